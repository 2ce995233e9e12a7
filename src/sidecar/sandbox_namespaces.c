/*
 * Theory of operation
 *
 * unshare() of a user namespace may succeed where the map of its users is refused then (AppArmor of some
 * distributions does that), and there is no way back. So a child tries first.
 *
 * The files of the map belong to root where the process changed its user, since it cannot be dumped then. It opens
 * them with its old user for files alone (setfsuid), which sandbox_ids_change() left to it; to be dumpable for that
 * moment would be to be traceable by others of that user.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "sidecar/sandbox_internal.h"

static int write_maps(const struct sandbox *sandbox, int proc_fd, uid_t user, gid_t group)
{
	const struct sandbox_kernel *kernel = sandbox->kernel;
	char users[64];
	char groups[64];

	snprintf(users, sizeof(users), "%u %u 1\n", user, user);
	snprintf(groups, sizeof(groups), "%u %u 1\n", group, group);
	/* Whoever may drop groups there could get at files that the group is refused (CVE-2014-8989):
	 * the kernel wants that given up before the groups are mapped. */
	if (kernel->write_proc(proc_fd, "self/uid_map", users) < 0 ||
	    kernel->write_proc(proc_fd, "self/setgroups", "deny") < 0 ||
	    kernel->write_proc(proc_fd, "self/gid_map", groups) < 0)
		return -errno;
	return 0;
}

static int enter_user_namespace(const struct sandbox *sandbox, int flags, int proc_fd)
{
	/* Asked before: in the new namespace there is nobody yet. */
	uid_t user = geteuid();
	gid_t group = getegid();
	uid_t real;
	uid_t effective;
	uid_t saved;

	if (getresuid(&real, &effective, &saved) < 0)
		return -errno;
	(void)setfsuid(saved); /* one that it has: cannot fail */
	int r = sandbox->kernel->unshare(CLONE_NEWUSER | flags) < 0 ? -errno : 0;
	if (r == 0)
		r = write_maps(sandbox, proc_fd, user, group);
	(void)setfsuid(user); /* as above */
	return r;
}

/* 0 or negative errno, from the child that tried; by a pipe, since the caller may ignore SIGCHLD. */
static int try_user_namespace(const struct sandbox *sandbox, int flags, int proc_fd)
{
	int ends[2];
	int result = -EIO;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	autoclose int read_fd = ends[0];
	autoclose int write_fd = ends[1];
	pid_t child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		result = enter_user_namespace(sandbox, flags, proc_fd);
		_exit(write(write_fd, &result, sizeof(result)) < 0 ? 1 : 0);
	}
	(void)fd_close(fd_take(&write_fd));
	ssize_t size;
	do
		size = read(read_fd, &result, sizeof(result));
	while (size < 0 && errno == EINTR);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return size == (ssize_t)sizeof(result) ? result : -EIO;
}

int sandbox_make_user_namespace(struct sandbox *sandbox, int flags, int proc_fd)
{
	int r = try_user_namespace(sandbox, flags, proc_fd);

	if (r == 0)
		r = enter_user_namespace(sandbox, flags, proc_fd);
	if (r == 0)
		sandbox->user_namespace = true;
	return r;
}

/*
 * /proc is a directory that must be there anyway; the empty file system needs one to be attached to, before it takes
 * the place of the root. Both stand on each other then, and the lower one, the old, goes.
 */
static int empty_root(const struct sandbox *sandbox)
{
	const struct sandbox_kernel *kernel = sandbox->kernel;

	if (kernel->mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    kernel->mount("empty", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "size=4096,nr_inodes=2,mode=0555") < 0 ||
	    chdir("/proc") < 0 || kernel->pivot_root(".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int make_mount_namespace(struct sandbox *sandbox, struct error *err)
{
	if (sandbox->kernel->unshare(CLONE_NEWNS) < 0)
		return sandbox_miss(sandbox, "mount namespace, and no empty root in it", -errno, "",
				    err);
	int r = empty_root(sandbox);
	return r < 0 ? sandbox_miss(sandbox, "empty root", r, "", err) : 0;
}

int sandbox_make_namespaces(struct sandbox *sandbox, struct error *err)
{
	static const struct {
		int flag;
		const char *name;
	} kinds[] = { { CLONE_NEWIPC, "IPC namespace" }, { CLONE_NEWUTS, "UTS namespace" } };
	int r = make_mount_namespace(sandbox, err);

	for (size_t i = 0; r == 0 && i < ARRAY_COUNT(kinds); i++) {
		if (sandbox->kernel->unshare(kinds[i].flag) < 0)
			r = sandbox_miss(sandbox, kinds[i].name, -errno, "", err);
	}
	return r;
}
