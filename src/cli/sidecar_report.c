#include "cli/sidecar_report.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "control/control_json.h"

#define LINE_MOST  ((size_t)4 << 20) /* as many forwards as a network has, in both families */
#define FIRST_SIZE ((size_t)4096)

static bool are_forwards(const json_t *list)
{
	struct vmnet_port_forward forward;
	const json_t *item;
	size_t i;

	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, item)
	{
		if (!control_json_parse_forward(item, &forward, NULL))
			return false;
	}
	return true;
}

static bool from_json(json_t *root, struct sidecar_report *report)
{
	const char *subnet;
	const char *gateway;
	const char *address;
	json_t *forwards;

	if (json_unpack(root, "{ss ss ss so !}", "subnet", &subnet, "gateway", &gateway, "address",
			&address, "forwards", &forwards) < 0 ||
	    !ip_prefix_parse(subnet, &report->subnet) ||
	    !ip_addr_parse(gateway, &report->gateway) ||
	    !ip_addr_parse(address, &report->address) ||
	    !ip_prefix_contains(&report->subnet, &report->gateway) ||
	    !ip_prefix_contains(&report->subnet, &report->address) || !are_forwards(forwards))
		return false;
	report->forwards = json_incref(forwards);
	return true;
}

bool sidecar_report_parse(const char *text, size_t size, struct sidecar_report *ret_report)
{
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	bool good = root && from_json(root, ret_report);

	json_decref(root);
	return good;
}

struct line {
	char *text;
	size_t size;
	size_t capacity;
};

/* Bytes that came, or negative errno. */
static ssize_t read_more(int fd, struct line *line)
{
	if (line->size == line->capacity) {
		size_t capacity = line->capacity > 0 ? 2 * line->capacity : FIRST_SIZE;
		char *text = capacity <= LINE_MOST ? realloc(line->text, capacity) : NULL;
		if (!text)
			return capacity <= LINE_MOST ? -ENOMEM : -EMSGSIZE;
		line->text = text;
		line->capacity = capacity;
	}
	ssize_t got = read(fd, line->text + line->size, line->capacity - line->size);
	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	line->size += (size_t)got;
	return got == 0 ? -EPIPE : got;
}

static int await(int fd, int stop_fd, uint64_t deadline_ns)
{
	struct pollfd fds[] = { { .fd = stop_fd, .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };

	for (;;) {
		uint64_t now_ns = clock_now(&clock_boottime);
		uint64_t left_ns = now_ns < deadline_ns ? deadline_ns - now_ns : 0;
		int n = poll(fds, ARRAY_COUNT(fds), (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return fds[0].revents ? -ECANCELED : 0;
		if (n == 0 && left_ns == 0)
			return -ETIMEDOUT;
	}
}

static int read_line(int fd, int stop_fd, int timeout_ms, struct line *line)
{
	uint64_t deadline_ns = clock_now(&clock_boottime) + (uint64_t)timeout_ms * NS_PER_MS;

	for (;;) {
		int r = await(fd, stop_fd, deadline_ns);
		if (r < 0)
			return r;
		size_t before = line->size;
		ssize_t got = read_more(fd, line);
		if (got == -EAGAIN)
			continue;
		if (got < 0)
			return (int)got;
		const char *end = memchr(line->text + before, '\n', (size_t)got);
		if (end) {
			line->size = (size_t)(end - line->text);
			return 0;
		}
	}
}

int sidecar_report_read(int fd, int stop_fd, int timeout_ms, struct sidecar_report *ret_report,
			struct error *err)
{
	struct line line = { 0 };

	int r = read_line(fd, stop_fd, timeout_ms, &line);
	if (r == 0 && !sidecar_report_parse(line.text, line.size, ret_report)) {
		error_set(err, "softnet's report is not what this version of tartlet expects");
		r = -EPROTO;
	} else if (r < 0 && r != -EPIPE && r != -ECANCELED) {
		error_set(err, "softnet does not report its network: %s", strerror(-r));
	}
	free(line.text);
	return r;
}
