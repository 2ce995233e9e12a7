#include "vm/qemu_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

/* As Tart's: room for a burst of frames towards the guest and from it. */
#define SOCKET_RECEIVE_SIZE (4 << 20)
#define SOCKET_SEND_SIZE    (1 << 20)

/* What the child needs that must not be looked up between fork and exec: other threads of ours may
 * have held any lock when we forked, so only async-signal-safe calls are made there. */
struct child {
	const struct qemu_spawn *spawn;
	pid_t parent;
	int null_fd;
	int report_fd; /* takes the errno of what failed; closed by exec */
};

static int child_set_up(const struct child *child)
{
	const struct qemu_spawn *spawn = child->spawn;

	/* First: who changes his rights loses the parent-death signal. */
	int r = spawn->confine ? spawn->confine(spawn->confine_context) : 0;
	if (r < 0)
		return r;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* The parent may have died before that call: then no signal comes any more. */
	if (getppid() != child->parent)
		return -ESRCH;
	/* A Ctrl-C on the terminal is for us; we stop QEMU in order. With a console on the terminal
	 * it must stay in the foreground, and the terminal sends no signals then. */
	if (!spawn->serial && setpgid(0, 0) < 0)
		return -errno;
	if (fchdir(spawn->directory_fd) < 0)
		return -errno;
	if (!spawn->serial && (dup2(child->null_fd, 0) < 0 || dup2(spawn->log_fd, 1) < 0))
		return -errno;
	if (dup2(spawn->log_fd, 2) < 0)
		return -errno;
	for (size_t i = 0; i < spawn->inherited_count; i++) {
		if (fcntl(spawn->inherited[i], F_SETFD, 0) < 0)
			return -errno;
	}
	/* An ignored or blocked signal would stay so behind exec. */
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	if (sigprocmask(SIG_SETMASK, spawn->signal_mask, NULL) < 0)
		return -errno;
	return 0;
}

static void child_run(const struct child *child) __attribute__((noreturn));
static void child_run(const struct child *child)
{
	int r = child_set_up(child);

	if (r == 0) {
		execvp(child->spawn->argv[0], child->spawn->argv);
		r = -errno;
	}
	ssize_t n = write(child->report_fd, &r, sizeof(r));
	_exit(n == (ssize_t)sizeof(r) ? 127 : 126);
}

/* 0 when the child executed the program, else its negative errno. */
static int read_report(int fd)
{
	int report = 0;
	ssize_t n;

	do {
		n = read(fd, &report, sizeof(report));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(report) ? report : 0;
}

static int start(struct child *child, pid_t *ret_pid)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child->report_fd = ends[1];
	child->parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		child_run(child);
	int r = pid < 0 ? -errno : 0;
	fd_close(ends[1]);
	if (r == 0)
		r = read_report(ends[0]);
	fd_close(ends[0]);
	if (r < 0) {
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return r;
	}
	*ret_pid = pid;
	return 0;
}

int qemu_process_start(const struct qemu_spawn *spawn, pid_t *ret_pid, struct error *err)
{
	autoclose int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct child child = { .spawn = spawn, .null_fd = null_fd };
	int r = null_fd < 0 ? -errno : start(&child, ret_pid);

	if (r < 0)
		error_set(err, "%s cannot be started: %s: %s", spawn->what ? spawn->what : "QEMU",
			  spawn->argv[0], strerror(-r));
	return r;
}

const char *qemu_process_end_text(int wait_status, char buffer[QEMU_END_TEXT_SIZE])
{
	if (WIFEXITED(wait_status)) {
		snprintf(buffer, QEMU_END_TEXT_SIZE, "exit status %d", WEXITSTATUS(wait_status));
	} else if (WIFSIGNALED(wait_status)) {
		const char *name = sigdescr_np(WTERMSIG(wait_status));
		snprintf(buffer, QEMU_END_TEXT_SIZE, "signal %d (%s)", WTERMSIG(wait_status),
			 name ? name : "unknown");
	} else {
		snprintf(buffer, QEMU_END_TEXT_SIZE, "unknown status");
	}
	return buffer;
}

int qemu_process_socket_pair(int ret_fds[2])
{
	static const int receive_size = SOCKET_RECEIVE_SIZE;
	static const int send_size = SOCKET_SEND_SIZE;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	for (size_t i = 0; i < 2; i++) {
		/* Capped by net.core.[rw]mem_max without a word: less room is only slower. */
		(void)setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &receive_size,
				 sizeof(receive_size));
		(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &send_size, sizeof(send_size));
	}
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}
