#include "netns/id_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

/* The kernel takes a map in one write of less than a page (user_namespaces(7)). */
#define MAP_SIZE 4096

/* The next number of the line, blanks before it skipped. */
static bool take_number(struct text_view *line, uint64_t *ret_number)
{
	struct text_view word;

	while (line->length > 0 && line->start[0] == ' ') {
		line->start++;
		line->length--;
	}
	(void)text_view_cut(*line, ' ', &word, line);
	return text_parse_u64(word, UINT32_MAX, ret_number);
}

bool id_map_identity(const char *own_map, char *buffer, size_t size)
{
	struct text_view rest = text_view_of(own_map);
	struct text_view line;
	size_t used = 0;

	while (text_view_cut(rest, '\n', &line, &rest) || line.length > 0) {
		uint64_t inside;
		uint64_t outside;
		uint64_t count;
		if (!take_number(&line, &inside) || !take_number(&line, &outside) ||
		    !take_number(&line, &count))
			return false;
		int length = snprintf(buffer + used, size - used, "%u %u %u\n", (unsigned)inside,
				      (unsigned)inside, (unsigned)count);
		if (length < 0 || (size_t)length >= size - used)
			return false;
		used += (size_t)length;
	}
	return used > 0;
}

static int write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];
	size_t size = strlen(text);

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t written = write(fd, text, size);
	if (written < 0)
		return -errno;
	return (size_t)written == size ? 0 : -EIO;
}

static int read_own(const char *path, char *buffer, size_t size)
{
	size_t used = 0;
	ssize_t count;

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((count = read(fd, buffer + used, size - 1 - used)) > 0)
		used += (size_t)count;
	if (count < 0)
		return -errno;
	buffer[used] = '\0';
	return 0;
}

static int keep_all(pid_t pid, const char *name)
{
	char own_path[32];
	char own_map[MAP_SIZE];
	char map[MAP_SIZE];

	snprintf(own_path, sizeof(own_path), "/proc/self/%s", name);
	int r = read_own(own_path, own_map, sizeof(own_map));
	if (r < 0)
		return r;
	if (!id_map_identity(own_map, map, sizeof(map)))
		return -EINVAL;
	return write_file(pid, name, map);
}

static int map_to_root(pid_t pid)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1\n", (unsigned)geteuid());
	int r = write_file(pid, "uid_map", map);
	/* Whoever may drop groups there could get at files that the group is refused (CVE-2014-8989):
	 * the kernel wants that given up first. */
	if (r == 0)
		r = write_file(pid, "setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1\n", (unsigned)getegid());
	if (r == 0)
		r = write_file(pid, "gid_map", map);
	return r;
}

int id_map_write(pid_t pid, struct error *err)
{
	int r = -EPERM;

	if (geteuid() == 0) {
		r = keep_all(pid, "uid_map");
		if (r == 0)
			r = keep_all(pid, "gid_map");
	}
	/* Also for root of a container without CAP_SETUID. */
	if (r == -EPERM)
		r = map_to_root(pid);
	if (r < 0)
		error_set(err, "cannot map the users of the new user namespace: %s", strerror(-r));
	return r;
}
