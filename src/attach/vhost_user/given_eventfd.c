#include "attach/vhost_user/given_eventfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* A file without a type: only the kernel makes those. As it is known: nobody is asked how the file is by now. */
static bool is_anonymous(int fd)
{
	struct statx status;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) == 0 &&
	       (status.stx_mode & S_IFMT) == 0;
}

/* An eventfd is read 8 bytes at a time, and says so before it looks whether there is something. What cannot be read
 * without waiting refuses otherwise. */
static bool is_read_without_waiting(int fd)
{
	uint8_t byte;
	const struct iovec part = { &byte, sizeof(byte) };

	return preadv2(fd, &part, 1, -1, RWF_NOWAIT) < 0 && errno == EINVAL;
}

/* It fetches what is written before it looks whether there is room, and here is nothing to fetch. A file that cannot be
 * written (an epoll set, a timer) refuses otherwise. */
static bool is_written(int fd)
{
	const struct iovec nowhere = { NULL, sizeof(uint64_t) };

	return writev(fd, &nowhere, 1) < 0 && errno == EFAULT;
}

bool given_eventfd_is_one(int fd)
{
	/* In this order: each is harmless for what the ones before it let pass. */
	return is_anonymous(fd) && is_read_without_waiting(fd) && is_written(fd);
}
