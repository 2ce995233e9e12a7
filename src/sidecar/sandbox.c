/*
 * Theory of operation
 *
 * Who may make namespaces (root) makes them as such, changes its user, and then goes into a user namespace in which
 * there is nothing but that user. An ordinary user needs the user namespace first, since only there it may make the
 * others. Who has a few capabilities, but not that one (low ports, raw sockets), keeps them until everything is open,
 * at the price of the PID namespace: it could be had only inside the user namespace, and would cost them.
 *
 * What was given to the process as descriptors stays: the sandbox is about everything else.
 */

#include "sidecar/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "sidecar/sandbox_internal.h"

int sandbox_miss(struct sandbox *sandbox, const char *layer, int reason, const char *hint,
		 struct error *err)
{
	if (sandbox->options.strict) {
		error_set(err, "the sandbox has no %s: %s%s", layer, strerror(-reason), hint);
		return reason;
	}
	assert(sandbox->missing_count < SANDBOX_MISSING_MOST);
	error_set(&sandbox->missing[sandbox->missing_count++],
		  "no %s: %s%s; the sandbox goes on without it", layer, strerror(-reason), hint);
	return 0;
}

const char *sandbox_missing(const struct sandbox *sandbox, size_t index)
{
	return index < sandbox->missing_count ? sandbox->missing[index].text : NULL;
}

/* Not getppid(): it is 0 where the parent is in another PID namespace. */
static bool is_orphan(const struct sandbox *sandbox)
{
	struct pollfd channel = { .fd = sandbox->channel_fd };

	return poll(&channel, 1, 0) != 0;
}

/* Again after each change of user: it takes the signal off (prctl(2)). */
static int die_with_parent(const struct sandbox *sandbox, struct error *err)
{
	if (sandbox->kernel->prctl(PR_SET_PDEATHSIG, SIGKILL, 0) < 0) {
		int r = -errno;
		error_set(err, "cannot be bound to the parent's life: %s", strerror(-r));
		return r;
	}
	if (is_orphan(sandbox)) {
		error_set(err, "the process that reads files for this one has gone");
		return -EPIPE;
	}
	return 0;
}

/* While it has a path. An fd or negative errno: in some roots there is none, and so no user namespace. */
static int open_proc(void)
{
	int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return -errno;
}

static const char *user_namespace_hint(int reason)
{
	return reason == -EPERM || reason == -EACCES || reason == -ENOSPC
		       ? " (the sysctls kernel.unprivileged_userns_clone, "
			 "kernel.apparmor_restrict_unprivileged_userns and "
			 "user.max_*_namespaces may forbid it)"
		       : "";
}

static int make_user_namespace(struct sandbox *sandbox, int proc_fd, int flags, const char *kinds,
			       struct error *err)
{
	if (sandbox->tried_user_namespace)
		return 0;
	sandbox->tried_user_namespace = true;
	int r = proc_fd;
	if (r >= 0)
		r = sandbox_make_user_namespace(sandbox, flags, proc_fd);
	return r < 0 ? sandbox_miss(sandbox, kinds, r, user_namespace_hint(r), err) : 0;
}

static int prepare_pid_namespace(struct sandbox *sandbox, struct error *err)
{
	if (sandbox_has_capability(sandbox, CAP_SYS_ADMIN)) {
		if (sandbox->kernel->unshare(CLONE_NEWPID) == 0)
			return 0;
		return sandbox_miss(sandbox, "PID namespace", -errno, "", err);
	}
	if (sandbox_has_capabilities(sandbox))
		return sandbox_miss(sandbox, "PID namespace", -EPERM,
				    " (it would cost this process the capabilities that it was "
				    "given, for want of CAP_SYS_ADMIN)",
				    err);
	autoclose int proc_fd = open_proc();
	return make_user_namespace(sandbox, proc_fd, CLONE_NEWPID, "user and PID namespaces", err);
}

/* In an ordinary user's parent, where the namespace gave them: it did not have them before. */
static int drop_new_capabilities(struct sandbox *sandbox, struct error *err)
{
	return sandbox->user_namespace ? sandbox_drop_capabilities(sandbox, err) : 0;
}

pid_t sandbox_fork(struct sandbox *sandbox, const struct sandbox_options *options,
		   int *ret_channel_fd, struct error *err)
{
	int ends[2];

	sandbox->options = *options;
	sandbox->channel_fd = -1;
	if (!sandbox->kernel)
		sandbox->kernel = &sandbox_kernel_real;
	int r = prepare_pid_namespace(sandbox, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		r = -errno;
		error_set(err, "cannot make the sandbox's channel: %s", strerror(-r));
		return r;
	}
	autoclose int parent_fd = ends[0];
	autoclose int child_fd = ends[1];
	pid_t child = fork();
	if (child < 0) {
		r = -errno;
		error_set(err, "cannot fork for the sandbox: %s", strerror(-r));
		return r;
	}
	if (child > 0) {
		r = drop_new_capabilities(sandbox, err);
		if (r < 0) /* the child ends with its channel */
			return r;
		*ret_channel_fd = fd_take(&parent_fd);
		return child;
	}
	parent_fd = fd_close(parent_fd);
	sandbox->channel_fd = child_fd;
	r = die_with_parent(sandbox, err);
	if (r < 0)
		_exit(1);
	*ret_channel_fd = fd_take(&child_fd);
	return 0;
}

/* After it, nothing of the file system can be named, and no right is left but what the kernel refuses to take. */
static int enter_namespaces(struct sandbox *sandbox, int proc_fd, struct error *err)
{
	bool as_root = sandbox_has_capability(sandbox, CAP_SYS_ADMIN);
	int r = as_root ? sandbox_make_namespaces(sandbox, err) : 0;

	if (r == 0)
		r = sandbox_empty_bounding_set(sandbox, err);
	if (r == 0)
		r = sandbox_ids_change(sandbox, err);
	if (r == 0)
		r = make_user_namespace(sandbox, proc_fd, 0, "user namespace", err);
	if (r == 0 && !as_root)
		r = sandbox_make_namespaces(sandbox, err);
	return r < 0 ? r : sandbox_ids_finish(sandbox, err);
}

static int forbid_traces(const struct sandbox *sandbox, struct error *err)
{
	const struct rlimit none = {};

	if (sandbox->kernel->prctl(PR_SET_DUMPABLE, 0, 0) == 0 &&
	    setrlimit(RLIMIT_CORE, &none) == 0)
		return 0;
	int r = -errno;
	error_set(err, "cannot forbid core dumps: %s", strerror(-r));
	return r;
}

static int forbid_new_privileges(const struct sandbox *sandbox, struct error *err)
{
	if (sandbox->kernel->prctl(PR_SET_NO_NEW_PRIVS, 1, 0) == 0)
		return 0;
	int r = -errno;
	error_set(err, "cannot set no_new_privs: %s", strerror(-r));
	return r;
}

int sandbox_enter(struct sandbox *sandbox, struct error *err)
{
	autoclose int proc_fd = open_proc();
	int r = enter_namespaces(sandbox, proc_fd, err);
	if (r == 0)
		r = sandbox_empty_bounding_set(sandbox, err);
	if (r == 0)
		r = sandbox_drop_capabilities(sandbox, err);
	if (r == 0)
		r = forbid_traces(sandbox, err);
	if (r == 0)
		r = forbid_new_privileges(sandbox, err);
	if (r == 0)
		r = sandbox_restrict_files(sandbox, err);
	return r < 0 ? r : die_with_parent(sandbox, err);
}
