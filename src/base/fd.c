#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

int fd_close(int fd)
{
	int kept_errno = errno;

	/* EINTR too means closed on Linux: closing again could hit another thread's descriptor. */
	if (fd >= 0)
		close(fd);
	errno = kept_errno;
	return -1;
}

int fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int fd_set_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int fd_set_cloexec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

bool fd_fill_standard(void)
{
	int fd;

	do {
		/* Without O_CLOEXEC: like any standard stream they are for children, too. */
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

bool fd_forget_input(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && dup2(fd, STDIN_FILENO) >= 0;

	fd_close(fd);
	return good;
}

unsigned long fd_raise_limit(void)
{
	struct rlimit limit;
	rlim_t soft;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1024; /* what every Linux starts with */
	soft = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	if (soft != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		soft = limit.rlim_max;
	return soft;
}

void free_in_scope(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}
