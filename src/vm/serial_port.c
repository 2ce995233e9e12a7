#include "vm/serial_port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

static const char *reason(int r)
{
	switch (r) {
	case -ENXIO: /* a pipe */
		return "nobody reads from it";
	case -EISDIR:
		return "it is a directory";
	case -EIO: /* the master is closed */
		return "the other end of that terminal is closed";
	default:
		return strerror(-r);
	}
}

/* Nothing but these four: a block device would be overwritten by the guest's first message. */
static bool is_fit(mode_t mode)
{
	return S_ISREG(mode) || S_ISCHR(mode) || S_ISFIFO(mode);
}

/* Never our controlling terminal, and not waiting for a reader or a carrier. */
static int open_in_mode(const char *path, int mode)
{
	int fd = open(path, mode | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static int open_terminal(const char *path, struct serial_port *ret_port)
{
	autoclose int fd = open_in_mode(path, O_RDWR);

	if (fd < 0)
		return fd;
	if (!isatty(fd))
		return -ENOTTY;
	*ret_port = (struct serial_port){ SERIAL_TERMINAL, fd_take(&fd) };
	return 0;
}

/* QEMU wants it open for writing alone. */
static int open_output(const char *path, struct serial_port *ret_port)
{
	struct stat status;
	autoclose int fd = open_in_mode(path, O_WRONLY | O_APPEND);

	if (fd == -ENOENT)
		fd = open_in_mode(path, O_WRONLY | O_APPEND | O_CREAT);
	if (fd < 0)
		return fd;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!is_fit(status.st_mode))
		return -EINVAL;
	*ret_port = (struct serial_port){ SERIAL_OUTPUT, fd_take(&fd) };
	return 0;
}

static int open_port(const char *path, struct serial_port *ret_port)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return errno == ENOENT ? open_output(path, ret_port) : -errno;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	if (!is_fit(status.st_mode))
		return -EINVAL;
	int r = S_ISCHR(status.st_mode) ? open_terminal(path, ret_port) : -ENOTTY;
	return r == -ENOTTY ? open_output(path, ret_port) : r;
}

int serial_port_open(const char *path, struct serial_port *ret_port, struct error *err)
{
	int r = open_port(path, ret_port);

	if (r == -EINVAL)
		error_set(err,
			  "the serial port cannot be connected to %s: it is no terminal, character "
			  "device, pipe or file",
			  path);
	else if (r < 0)
		error_set(err, "the serial port cannot be connected to %s: %s", path, reason(r));
	return r;
}
