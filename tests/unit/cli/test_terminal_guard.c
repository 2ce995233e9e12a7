#include "cli/terminal_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/fd.h"

/* How the process ends that has a guard and a terminal in raw mode. */
enum end {
	END_IN_ORDER,
	END_KILLED,
	END_RESTORED_THEN_KILLED,
	END_IN_BACKGROUND
};

static void make_raw(void)
{
	struct termios raw;

	if (tcgetattr(0, &raw) < 0)
		_exit(10);
	cfmakeraw(&raw);
	if (tcsetattr(0, TCSANOW, &raw) < 0 || fd_set_nonblocking(0) < 0 ||
	    fd_set_nonblocking(1) < 0)
		_exit(11);
}

/* Whose session's terminal is standard input. Never returns. */
static void run(enum end end)
{
	struct terminal_guard guard = { 0 };
	struct error err = { .text = "" };

	if (end == END_IN_BACKGROUND) {
		signal(SIGTTOU, SIG_IGN);
		pid_t other = fork();
		if (other == 0) {
			setpgid(0, 0);
			_exit(tcsetpgrp(0, getpgrp()) < 0);
		}
		/* Not waited for: a group whose leader is a zombie is there. */
		siginfo_t info;
		if (waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT) < 0 || info.si_status != 0)
			_exit(12);
		int r = terminal_guard_begin(&guard, &err);
		_exit(r == -EBUSY && strstr(err.text, "background") ? 0 : 13);
	}
	if (terminal_guard_begin(&guard, &err) < 0)
		_exit(14);
	make_raw();
	if (end == END_IN_ORDER) {
		terminal_guard_end(&guard);
		terminal_guard_end(&guard);
		_exit(guard.keeper == 0 ? 0 : 15);
	}
	if (end == END_RESTORED_THEN_KILLED) {
		terminal_guard_restore(&guard);
		make_raw();
	}
	raise(SIGKILL);
	_exit(16);
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* As a shell does it: the session and its terminal outlive the process with the guard. */
static void lead(int terminal, enum end end) __attribute__((noreturn));
static void lead(int terminal, enum end end)
{
	struct termios before, after;
	int life[2], status;
	char byte;

	if (login_tty(terminal) < 0 || pipe2(life, O_CLOEXEC) < 0 || tcgetattr(0, &before) < 0)
		_exit(20);
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(life[1], 1) < 0)
			_exit(21);
		run(end);
	}
	fd_close(life[1]);
	if (waitpid(pid, &status, 0) != pid)
		_exit(22);
	bool killed = end == END_KILLED || end == END_RESTORED_THEN_KILLED;
	if (killed ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status != 0)
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 23);
	/* The keeper has standard output open until it has set all back. */
	if (read(life[0], &byte, 1) != 0 || tcgetattr(0, &after) < 0)
		_exit(24);
	if (fcntl(0, F_GETFL) & O_NONBLOCK)
		_exit(25);
	_exit(memcmp(&before, &after, sizeof(before)) == 0 ? 0 : 26);
}

static void test_terminal_is_as_before(void **state)
{
	(void)state;
	for (enum end end = END_IN_ORDER; end <= END_IN_BACKGROUND; end++) {
		int ours, theirs;
		assert_int_equal(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
		pid_t pid = fork();
		if (pid == 0) {
			fd_close(ours);
			lead(theirs, end);
		}
		fd_close(theirs);
		assert_int_equal(end_of(pid), 0);
		fd_close(ours);
	}
}

static void test_no_terminal(void **state)
{
	int ends[2], status;

	(void)state;
	assert_int_equal(pipe2(ends, 0), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct terminal_guard guard = { 0 };
		dup2(ends[0], 0);
		if (terminal_guard_begin(&guard, NULL) < 0 || guard.is_terminal)
			_exit(1);
		if (fd_set_nonblocking(0) < 0)
			_exit(2);
		terminal_guard_end(&guard);
		_exit(0);
	}
	status = end_of(pid);
	assert_int_equal(status, 0);
	assert_false(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
	fd_close(ends[0]);
	fd_close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal_is_as_before),
		cmocka_unit_test(test_no_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
