#include "cli/terminal_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

#define KEEPER_FD 2 /* where the keeper has its end of the pipe: it has nothing to say */

/* Also run by the keeper, between fork and the end: async-signal-safe calls only. */
static void restore(const struct terminal_guard *guard)
{
	/* Nobody is left to be told when one of them fails: the terminal is gone then. */
	if (guard->is_terminal)
		(void)tcsetattr(0, TCSANOW, &guard->settings);
	for (int fd = 0; fd < 2; fd++) {
		if (guard->flags[fd] >= 0)
			(void)fcntl(fd, F_SETFL, guard->flags[fd]);
	}
}

/*
 * A session of its own: signals of the terminal do not reach it, and it may set a terminal whose foreground
 * it is not in. A byte means that all is set back already; the end of the pipe without one, that we died.
 */
static void keep(const struct terminal_guard *guard, int fd) __attribute__((noreturn));
static void keep(const struct terminal_guard *guard, int fd)
{
	sigset_t all;
	char byte;
	ssize_t n;

	sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	(void)setsid();
	/* Nothing of ours is to live on in it, last of all the pipe's other end. */
	if (dup2(fd, KEEPER_FD) < 0 || close_range(KEEPER_FD + 1, ~0U, 0) < 0)
		_exit(1);
	do {
		n = read(KEEPER_FD, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		restore(guard);
	_exit(0);
}

static int start_keeper(struct terminal_guard *guard)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		keep(guard, ends[0]);
	int r = pid < 0 ? -errno : 0;
	fd_close(ends[0]);
	if (r < 0) {
		fd_close(ends[1]);
		return r;
	}
	guard->keeper = pid;
	guard->life_fd = ends[1];
	return 0;
}

int terminal_guard_begin(struct terminal_guard *guard, struct error *err)
{
	struct terminal_guard made = { .life_fd = -1 };
	pid_t foreground = tcgetpgrp(0);

	/* To change the terminal from there would stop QEMU, and nobody would see why. */
	if (foreground >= 0 && foreground != getpgrp()) {
		error_set(err, "--serial needs the terminal, and this process is in its "
			       "background: run it in the foreground, or with --serial-path");
		return -EBUSY;
	}
	made.is_terminal = tcgetattr(0, &made.settings) == 0;
	for (int fd = 0; fd < 2; fd++)
		made.flags[fd] = fcntl(fd, F_GETFL);
	int r = start_keeper(&made);
	if (r < 0) {
		error_set(err, "cannot guard the terminal: %s", strerror(-r));
		return r;
	}
	*guard = made;
	return 0;
}

void terminal_guard_restore(const struct terminal_guard *guard)
{
	if (guard->keeper)
		restore(guard);
}

void terminal_guard_end(struct terminal_guard *guard)
{
	if (!guard->keeper)
		return;
	restore(guard);
	/* Cannot fail: one byte into an empty pipe. Should the keeper be gone, there is nothing to tell. */
	(void)!write(guard->life_fd, "", 1);
	fd_close(guard->life_fd);
	while (waitpid(guard->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	*guard = (struct terminal_guard){ .life_fd = -1 };
}
