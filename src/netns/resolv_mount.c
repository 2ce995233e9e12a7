/*
 * A file can only be bound from a mount of this namespace, so there has to be one for a moment: a
 * tmpfs over the folder of resolv.conf. It is taken away again once the file is bound, and lives on
 * below that file alone. Nobody else sees any of it, and nothing is left when the namespace goes.
 */
#include "netns/resolv_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/error.h"
#include "base/fd.h"

#define TMPFS_OPTIONS "mode=0755,size=64k,nr_inodes=8"

static int write_file(const char *path, const struct ip_addr *server)
{
	char address[IP_ADDR_TEXT_SIZE];

	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	/* Not by the umask: every user of the namespace is to read it. */
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return -errno;
	if (server->family != IP_FAMILY_NONE &&
	    dprintf(fd, "nameserver %s\n", ip_addr_format(server, address)) < 0)
		return -errno;
	return 0;
}

/* target_fd: what lies below the tmpfs by now, or behind a symbolic link. */
static int bind_file(const char *path, int target_fd, const struct ip_addr *server)
{
	char target[64];

	snprintf(target, sizeof(target), "/proc/self/fd/%d", target_fd);
	int r = write_file(path, server);
	if (r == 0 && mount(path, target, NULL, MS_BIND, NULL) < 0)
		r = -errno;
	return r;
}

static int make(const char *path, const struct ip_addr *server)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path || (size_t)(slash - path) >= sizeof(folder))
		return -EINVAL;
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	autoclose int target_fd = open(path, O_PATH | O_CLOEXEC);
	if (target_fd < 0)
		return -errno;
	if (mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, TMPFS_OPTIONS) < 0)
		return -errno;
	int r = bind_file(path, target_fd, server);
	if (umount2(folder, MNT_DETACH) < 0 && r == 0)
		r = -errno;
	return r;
}

int resolv_mount_make(const char *path, const struct ip_addr *server, struct error *err)
{
	int r = make(path, server);

	if (r == -ENOENT)
		error_set(err,
			  "%s is missing, so none can be mounted over it: the guest has no "
			  "name server",
			  path);
	else if (r < 0)
		error_set(err, "cannot mount a file over %s: %s", path, strerror(-r));
	return r;
}
