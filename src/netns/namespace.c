#include "netns/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

#define PID_MOST INT32_MAX

/* What the sentences call it: "process 123" or the path. */
#define NAME_SIZE 300

struct wanted {
	const char *path;
	bool is_process;
	char process_path[64];
	char name[NAME_SIZE];
};

/* Whatever its size: a file whose name is a number is ./NUMBER. */
static bool is_number(const char *where)
{
	return where[0] != '\0' && where[strspn(where, "0123456789")] == '\0';
}

/* -ESRCH: a number that no process can have. */
static int wanted_init(struct wanted *wanted, const char *where)
{
	uint64_t pid;

	*wanted = (struct wanted){ .path = where, .is_process = is_number(where) };
	snprintf(wanted->name, sizeof(wanted->name), "%s%s", wanted->is_process ? "process " : "",
		 where);
	if (!wanted->is_process)
		return 0;
	if (!text_parse_u64(text_view_of(where), PID_MOST, &pid))
		return -ESRCH;
	snprintf(wanted->process_path, sizeof(wanted->process_path), "/proc/%u/ns/net",
		 (unsigned)pid);
	wanted->path = wanted->process_path;
	return 0;
}

static int fail_to_open(const struct wanted *wanted, int reason, struct error *err)
{
	if (wanted->is_process && (reason == -ENOENT || reason == -ESRCH))
		error_set(err, "%s does not exist", wanted->name);
	else if (wanted->is_process && (reason == -EACCES || reason == -EPERM))
		error_set(err, "no right to the network namespace of %s", wanted->name);
	else
		error_set(err, "cannot open the network namespace %s%s: %s",
			  wanted->is_process ? "of " : "", wanted->name, strerror(-reason));
	return reason;
}

/* Before it is really opened: opening a device or a pipe would do something. */
static bool is_namespace_file(int path_fd)
{
	struct statfs status;

	return fstatfs(path_fd, &status) == 0 && (unsigned long)status.f_type == NSFS_MAGIC;
}

static bool is_same(int fd, const char *path)
{
	struct stat one;
	struct stat other;

	return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

int namespace_open(const char *where, int *ret_fd, struct error *err)
{
	struct wanted wanted;
	char again[64];

	int r = wanted_init(&wanted, where);
	if (r < 0)
		return fail_to_open(&wanted, r, err);
	autoclose int path_fd = open(wanted.path, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return fail_to_open(&wanted, -errno, err);
	snprintf(again, sizeof(again), "/proc/self/fd/%d", path_fd);
	int fd = is_namespace_file(path_fd) ? open(again, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		error_set(err, "%s is not a network namespace", wanted.name);
		goto fail;
	}
	if (is_same(fd, "/proc/self/ns/net")) {
		error_set(err,
			  "the network namespace of %s is the one that tartlet itself is in: a "
			  "guest needs another",
			  wanted.name);
		goto fail;
	}
	*ret_fd = fd;
	return 0;
fail:
	fd_close(fd);
	return -EINVAL;
}

/* -1: it is the caller's own. */
static int open_owner(int fd, int *ret_owner_fd)
{
	int owner_fd = ioctl(fd, NS_GET_USERNS);

	if (owner_fd < 0)
		return -errno;
	if (is_same(owner_fd, "/proc/self/ns/user"))
		owner_fd = fd_close(owner_fd);
	*ret_owner_fd = owner_fd;
	return 0;
}

int namespace_join(int fd, struct error *err)
{
	autoclose int owner_fd = -1;

	int r = open_owner(fd, &owner_fd);
	if (r == 0 && owner_fd >= 0 && setns(owner_fd, CLONE_NEWUSER) < 0)
		r = -errno;
	if (r == 0 && setns(fd, CLONE_NEWNET) < 0)
		r = -errno;
	if (r == -EPERM)
		error_set(err, "no right to join that network namespace: it belongs to another "
			       "user or to root");
	else if (r < 0)
		error_set(err, "cannot join the network namespace: %s", strerror(-r));
	return r;
}

static int fail_to_unshare(const char *what, struct error *err)
{
	int r = -errno;
	bool forbidden = r == -EPERM || r == -EACCES || r == -ENOSPC;

	error_set(err, "cannot %s: %s%s", what, strerror(-r),
		  forbidden ? " (the sysctls kernel.unprivileged_userns_clone, "
			      "kernel.apparmor_restrict_unprivileged_userns and "
			      "user.max_*_namespaces may forbid it)"
			    : "");
	return r;
}

int namespace_unshare(struct error *err)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
		return fail_to_unshare("make user, network and mount namespaces", err);
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return fail_to_unshare("keep mounts inside the namespace", err);
	return 0;
}
