#include "vm/draft_name.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"

#define PREFIX "tartlet-"
#define SUFFIX ".draft"
#define DIGITS 16

void draft_name_make(char name[DRAFT_NAME_SIZE])
{
	snprintf(name, DRAFT_NAME_SIZE, PREFIX "%016" PRIx64 SUFFIX, random_u64(&random_system));
}

bool draft_name_is(const char *name)
{
	size_t prefix = strlen(PREFIX);

	return strncmp(name, PREFIX, prefix) == 0 &&
	       strspn(name + prefix, "0123456789abcdef") == DIGITS &&
	       strcmp(name + prefix + DIGITS, SUFFIX) == 0;
}
