#include "cli/run_process.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "vm/vm_directory.h"
#include "vm/vm_lock.h"

/* The lock is asked again after the handle was opened. */
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

int run_process_open(const struct vm_directory *directory, const char *verb, struct error *err)
{
	int pid_fd = open_holder(directory);

	if (pid_fd == -EREMOTE)
		error_set(err,
			  "cannot %s the VM \"%s\": the process that runs it is not visible from "
			  "here (another container?)",
			  verb, directory->name);
	else if (pid_fd < 0 && pid_fd != -ESRCH)
		error_set(err, "cannot %s the VM \"%s\": %s", verb, directory->name,
			  strerror(-pid_fd));
	return pid_fd;
}

int run_process_signal(int pid_fd, int signal_number)
{
	return syscall(SYS_pidfd_send_signal, pid_fd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

bool run_process_wait_end(int pid_fd, unsigned timeout_s)
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
