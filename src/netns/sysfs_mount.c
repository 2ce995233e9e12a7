/*
 * A sysfs shows the interfaces of the network namespace that it was mounted in. One of ours over all
 * of /sys would hide what is mounted in there, control groups above all; so it is there for a moment
 * only, and the two folders with interfaces are bound from it over those of the old one: the links of
 * class/net lead to devices/virtual/net, where a TAP is.
 *
 * The kernel lets a user namespace mount a sysfs only where nothing of the old one is hidden, and with
 * no more rights than that has: so its flags are taken over.
 */
#include "netns/sysfs_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "base/fd.h"

#define SYSFS	"/sys"
#define DEVICES SYSFS "/devices/virtual/net"
#define CLASS	SYSFS "/class/net"

static unsigned long flags_of(const struct statvfs *status)
{
	/* mount(2) has the same numbers for all but one. */
	unsigned long flags = status->f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC |
						ST_NOATIME | ST_NODIRATIME);

	if ((status->f_flag & ST_RELATIME) != 0)
		flags |= MS_RELATIME;
	else if ((status->f_flag & ST_NOATIME) == 0)
		flags |= MS_STRICTATIME; /* else mount(2) takes MS_RELATIME */
	return flags;
}

/* target_fd: what lies below the new sysfs by now. */
static int bind_folder(const char *path, int target_fd)
{
	char target[64];

	snprintf(target, sizeof(target), "/proc/self/fd/%d", target_fd);
	return mount(path, target, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

int sysfs_mount_make(void)
{
	struct statvfs status;

	autoclose int devices_fd = open(DEVICES, O_PATH | O_CLOEXEC);
	autoclose int class_fd = open(CLASS, O_PATH | O_CLOEXEC);
	if (devices_fd < 0 || class_fd < 0 || statvfs(SYSFS, &status) < 0 ||
	    mount("sysfs", SYSFS, "sysfs", flags_of(&status), NULL) < 0)
		return -errno;
	int devices_r = bind_folder(DEVICES, devices_fd);
	int class_r = devices_r == 0 ? bind_folder(CLASS, class_fd) : devices_r;
	if (umount2(SYSFS, MNT_DETACH) < 0)
		return -errno;
	/* One without the other would be links that lead nowhere. */
	if (devices_r == 0 && class_r < 0)
		(void)umount2(DEVICES, MNT_DETACH);
	return class_r;
}
