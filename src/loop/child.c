#include "loop/child.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

/* Negative errno, 0 = still runs, 1 = reaped. */
static int reap(pid_t pid, int *ret_status)
{
	pid_t rc;

	do {
		rc = waitpid(pid, ret_status, WNOHANG);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -errno;
	return rc == pid;
}

static void child_ready(struct loop_watch *watch, uint32_t events)
{
	struct loop_child *child = container_of(watch, struct loop_child, watch);
	int status = 0;
	int rc = reap(child->pid, &status);

	(void)events;
	if (rc == 0)
		return;
	loop_child_close(child);
	child->ended(child, rc < 0 ? LOOP_CHILD_STATUS_LOST : status);
}

int loop_child_open(struct loop_child *child, struct loop *loop, pid_t pid,
		    void (*ended)(struct loop_child *child, int wait_status))
{
	/* By number: glibc has a name for it since 2.36 only. Close-on-exec by nature. */
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int rc;

	*child = (struct loop_child){ .ended = ended, .pid = pid };
	loop_watch_init(&child->watch, child_ready);
	if (pid_fd < 0)
		return -errno;
	rc = loop_watch_add(loop, &child->watch, pid_fd, EPOLLIN);
	if (rc < 0) {
		fd_close(pid_fd);
		return rc;
	}
	child->loop = loop;
	return 0;
}

int loop_child_kill(struct loop_child *child, int signal_number)
{
	if (!child->loop)
		return -ESRCH;
	if (syscall(SYS_pidfd_send_signal, child->watch.fd, signal_number, NULL, 0) < 0)
		return -errno;
	return 0;
}

void loop_child_close(struct loop_child *child)
{
	int pid_fd = child->watch.fd;

	if (!child->loop)
		return;
	loop_watch_remove(child->loop, &child->watch);
	fd_close(pid_fd);
	child->loop = NULL;
}
