#include "host/local_ports.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "host/file_change.h"

#define LOCAL_PORTS_FILE "/proc/sys/net/ipv4/ip_local_port_range"
/* Two numbers of five digits, and room for more blanks than the kernel writes. */
#define LOCAL_PORTS_TEXT_SIZE 64

bool local_ports_parse(struct text_view text, uint32_t *ret_count)
{
	struct text_view line;
	struct text_view word;
	uint16_t first;
	uint16_t last;

	if (!file_change_next_line(&text, &line) || text.length > 0)
		return false;
	if (!file_change_next_word(&line, &word) || !text_parse_u16(word, &first) || first == 0)
		return false;
	if (!file_change_next_word(&line, &word) || !text_parse_u16(word, &last) || last < first)
		return false;
	if (file_change_next_word(&line, &word))
		return false;
	*ret_count = (uint32_t)last - first + 1;
	return true;
}

/* One read has all of it: a file of the kernel, whose size is not known before. */
uint32_t local_ports_count(void)
{
	char text[LOCAL_PORTS_TEXT_SIZE];
	uint32_t count = 0;
	ssize_t size;
	int fd = open(LOCAL_PORTS_FILE, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return LOCAL_PORTS_DEFAULT;
	do
		size = read(fd, text, sizeof(text));
	while (size < 0 && errno == EINTR);
	(void)fd_close(fd);
	if (size < 0 || !local_ports_parse((struct text_view){ text, (size_t)size }, &count))
		return LOCAL_PORTS_DEFAULT;
	return count;
}

void local_ports_ended(struct local_ports *ports, enum ip_family family, uint64_t now_ns)
{
	if (family == IP_FAMILY_V6)
		ports->pause_end_v6_ns = now_ns + LOCAL_PORTS_PAUSE_NS;
	else
		ports->pause_end_v4_ns = now_ns + LOCAL_PORTS_PAUSE_NS;
}

bool local_ports_may_ask(const struct local_ports *ports, enum ip_family family, uint64_t now_ns)
{
	return now_ns >= (family == IP_FAMILY_V6 ? ports->pause_end_v6_ns : ports->pause_end_v4_ns);
}
