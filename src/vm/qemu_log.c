#include "vm/qemu_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

int qemu_log_open(int directory_fd, struct error *err)
{
	/* O_APPEND: we truncate, and QEMU must not write behind a hole. */
	autoclose int fd = openat(directory_fd, "qemu.log",
				  O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : 0;

	while (r == 0 && flock(fd, LOCK_EX) < 0)
		r = errno == EINTR ? 0 : -errno;
	if (r < 0) {
		error_set(err, "cannot open qemu.log: %s", strerror(-r));
		return r;
	}
	int result = fd;
	fd = -1;
	return result;
}

int qemu_log_empty(int log_fd, struct error *err)
{
	if (ftruncate(log_fd, 0) == 0)
		return 0;
	int r = -errno;
	error_set(err, "cannot empty qemu.log: %s", strerror(-r));
	return r;
}

bool qemu_log_tail(int log_fd, unsigned most, char *buffer, size_t size)
{
	struct stat status;
	if (fstat(log_fd, &status) < 0)
		return false;
	off_t start = status.st_size > (off_t)size - 1 ? status.st_size - (off_t)size + 1 : 0;
	ssize_t n = pread(log_fd, buffer, size - 1, start);
	size_t used = n > 0 ? (size_t)n : 0;
	while (used > 0 && (buffer[used - 1] == '\n' || buffer[used - 1] == '\r'))
		used--;
	buffer[used] = 0;

	size_t first = used;
	for (unsigned lines = 0; first > 0; first--) {
		if (buffer[first - 1] == '\n' && ++lines == most)
			break;
	}
	memmove(buffer, buffer + first, used - first + 1);
	for (char *c = buffer; *c; c++) {
		if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f)
			*c = '?';
	}
	return buffer[0] != 0;
}
