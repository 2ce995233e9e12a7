#include "cli/memory_limit.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_SIZE   128
#define DATA_NUMBER 6

/* Of what RLIMIT_DATA counts: proc(5), the sixth number of statm, in pages; 0 where it is not known. A sanitizer has
 * terabytes of it. */
static uint64_t data_size(void)
{
	struct text_view number = { 0 };
	struct text_view rest;
	char line[LINE_SIZE] = "";
	uint64_t pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	rest = text_view_of(fgets(line, sizeof(line), file) ? line : "");
	for (unsigned i = 0; i < DATA_NUMBER; i++)
		(void)text_view_cut(rest, ' ', &number, &rest);
	(void)fclose(file);
	return text_parse_u64(number, UINT64_MAX >> 20, &pages)
		       ? pages * (uint64_t)sysconf(_SC_PAGESIZE)
		       : 0;
}

void memory_limit_set(uint64_t more)
{
	uint64_t now = data_size();
	struct rlimit limit;

	if (now == 0 || getrlimit(RLIMIT_DATA, &limit) < 0 || limit.rlim_cur < now + more)
		return;
	limit.rlim_cur = now + more;
	(void)setrlimit(RLIMIT_DATA, &limit);
}
