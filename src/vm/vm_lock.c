#include "vm/vm_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

static struct flock whole_file(void)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
}

int vm_lock_take(int directory_fd, struct error *err)
{
	struct flock lock = whole_file();
	int fd = openat(directory_fd, "config.json", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		int r = -errno;
		error_set(err, "cannot open config.json to lock it: %s", strerror(-r));
		return r;
	}
	if (fcntl(fd, F_SETLK, &lock) == 0)
		return fd;
	int r = -errno;
	fd_close(fd);
	if (r == -EAGAIN || r == -EACCES)
		return -EBUSY;
	error_set(err, "cannot lock config.json: %s", strerror(-r));
	return r;
}

pid_t vm_lock_holder(int directory_fd)
{
	struct flock lock = whole_file();
	autoclose int fd = openat(directory_fd, "config.json", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return 0;
	/* 0: a process of another pid namespace; -1: an open file description lock, nobody's. */
	return lock.l_pid > 0 ? lock.l_pid : VM_LOCK_HOLDER_UNKNOWN;
}
