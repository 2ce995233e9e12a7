#include "base/held_signals.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static volatile sig_atomic_t handled;

static void handle(int number)
{
	handled = number;
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static void test_waits_then_acts(void **state)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct held_signals held;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		int fd = held_signals_watch();
		signal(numbers[i], handle);
		handled = 0;
		held_signals_begin(&held);
		assert_false(held_signals_waiting());
		assert_true(fd >= 0 && !is_readable(fd));
		raise(numbers[i]);
		assert_int_equal(handled, 0);
		assert_true(held_signals_waiting() && is_readable(fd));
		held_signals_end(&held);
		assert_int_equal(handled, numbers[i]);
		assert_false(held_signals_waiting());
		signal(numbers[i], SIG_DFL);
		close(fd);
	}
}

static void test_ignored(void **state)
{
	struct held_signals held;

	(void)state;
	signal(SIGINT, SIG_IGN); /* as nohup and background jobs have it */
	held_signals_begin(&held);
	raise(SIGINT);
	assert_false(held_signals_waiting());
	held_signals_end(&held);
	signal(SIGINT, SIG_DFL);
}

/* Whoever waits for us sees the signal. */
static void test_ends_the_process(void **state)
{
	struct held_signals held;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		held_signals_begin(&held);
		raise(SIGTERM);
		if (held_signals_waiting())
			held_signals_end(&held);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_then_acts),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
