#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "vm/vm_lock.h"

#define TIMEOUT_DEFAULT_S 30
#define TIMEOUT_MOST_S	  86400
#define KILL_WAIT_S	  5 /* for a process that was sent SIGKILL */

struct stop_options {
	const char *name;
	unsigned timeout_s;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct stop_options *options = state->input;

	switch (key) {
	case 't':
		options->timeout_s = (unsigned)command_parse_number(state, "--timeout", argument, 0,
								    TIMEOUT_MOST_S);
		return 0;
	default:
		return named_vm_parse_only(key, argument, state, &options->name);
	}
}

/*
 * A handle on the process that runs the VM, so that a signal cannot hit another process that got
 * its pid: the lock is asked again after it was opened. -ESRCH when the VM does not run, -EREMOTE
 * when a process runs it that we cannot see.
 */
static int open_holder(const struct vm_directory *directory)
{
	pid_t pid = vm_lock_holder(directory->fd);
	if (pid == 0)
		return -ESRCH;
	if (pid == VM_LOCK_HOLDER_UNKNOWN)
		return -EREMOTE;
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid_fd < 0)
		return -errno;
	if (vm_lock_holder(directory->fd) != pid) {
		fd_close(pid_fd);
		return -ESRCH;
	}
	return pid_fd;
}

/* True when the process ended in time. */
static bool wait_end(int pid_fd, unsigned timeout_s)
{
	uint64_t deadline_ns = clock_now(&clock_boottime) + timeout_s * NS_PER_S;

	for (;;) {
		uint64_t now_ns = clock_now(&clock_boottime);
		int left_ms = now_ns >= deadline_ns
				      ? 0
				      : (int)((deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
		struct pollfd poll_fd = { .fd = pid_fd, .events = POLLIN };
		int n = poll(&poll_fd, 1, left_ms);
		if (n > 0)
			return true;
		if (n == 0 && left_ms == 0)
			return false;
	}
}

static int send_signal(int pid_fd, int signal_number)
{
	return syscall(SYS_pidfd_send_signal, pid_fd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

static int stop(const struct vm_home *home, const struct vm_directory *directory,
		const void *context)
{
	const struct stop_options *options = context;
	struct error err;
	autoclose int pid_fd = open_holder(directory);

	(void)home;
	if (pid_fd == -ESRCH) {
		pid_fd = -1;
		return named_vm_not_running(directory);
	}
	if (pid_fd == -EREMOTE) {
		error_set(&err,
			  "cannot stop the VM \"%s\": the process that runs it is not visible "
			  "from here (another container?)",
			  directory->name);
		pid_fd = -1;
		return command_fail(COMMAND_FAILED, &err);
	}
	int r = pid_fd < 0 ? pid_fd : send_signal(pid_fd, SIGINT);
	if (r == 0 && !wait_end(pid_fd, options->timeout_s)) {
		r = send_signal(pid_fd, SIGKILL);
		if (r == 0)
			(void)wait_end(pid_fd, KILL_WAIT_S); /* SIGKILL is not refused */
	}
	if (pid_fd < 0)
		pid_fd = -1;
	if (r < 0 && r != -ESRCH) {
		error_set(&err, "cannot stop the VM \"%s\": %s", directory->name, strerror(-r));
		return command_fail(COMMAND_FAILED, &err);
	}
	return COMMAND_OK;
}

int command_stop(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .name = "timeout",
		  .key = 't',
		  .arg = "SECONDS",
		  .doc = "how long to wait before it is killed (default: 30)" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Stops a running VM: asks `tartlet run' to end, and kills it when it does not "
		       "in time.\v"
		       "Examples:\n"
		       "  tartlet stop debian\n"
		       "  tartlet stop debian --timeout 5",
	};
	struct stop_options options = { .timeout_s = TIMEOUT_DEFAULT_S };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.name, COMMAND_VM_STATE, stop, &options);
}
