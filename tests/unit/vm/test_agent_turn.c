#include "vm/agent_turn.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "scratch.h"

static uint64_t in_ms(uint64_t ms)
{
	return clock_now(&clock_boottime) + ms * NS_PER_MS;
}

static void test_one_at_a_time(void **state)
{
	const struct scratch *scratch = *state;
	int first = agent_turn_take(scratch->fd, 0);

	assert_true(first >= 0);
	assert_false(agent_turn_is_wanted(first));
	uint64_t start_ns = clock_now(&clock_boottime);
	assert_int_equal(agent_turn_take(scratch->fd, in_ms(50)), -ETIMEDOUT);
	assert_true(clock_now(&clock_boottime) - start_ns >= 50 * NS_PER_MS);
	assert_false(agent_turn_is_wanted(first));
	fd_close(first);
	int second = agent_turn_take(scratch->fd, 0);
	assert_true(second >= 0);
	fd_close(second);
}

struct waiter {
	int directory_fd;
	int turn_fd;
};

static void *wait_for_turn(void *context)
{
	struct waiter *waiter = context;

	waiter->turn_fd = agent_turn_take(waiter->directory_fd, in_ms(30000));
	return NULL;
}

static void test_who_waits_is_seen(void **state)
{
	const struct scratch *scratch = *state;
	struct waiter waiter = { .directory_fd = scratch->fd };
	pthread_t thread;
	int first = agent_turn_take(scratch->fd, 0);

	assert_true(first >= 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_turn, &waiter), 0);
	uint64_t end_ns = in_ms(30000);
	while (!agent_turn_is_wanted(first))
		assert_true(clock_now(&clock_boottime) < end_ns);
	fd_close(first);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(waiter.turn_fd >= 0);
	assert_false(agent_turn_is_wanted(waiter.turn_fd));
	fd_close(waiter.turn_fd);
}

static void test_ends_with_its_holder(void **state)
{
	const struct scratch *scratch = *state;
	int ends[2];
	char byte;

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (agent_turn_take(scratch->fd, 0) < 0 || write(ends[1], "y", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(agent_turn_take(scratch->fd, 0), -ETIMEDOUT);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	int turn_fd = agent_turn_take(scratch->fd, 0);
	assert_true(turn_fd >= 0);
	fd_close(turn_fd);
	fd_close(ends[0]);
	fd_close(ends[1]);
}

static void test_no_directory(void **state)
{
	(void)state;
	assert_int_equal(agent_turn_take(-1, 0), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_at_a_time, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_who_waits_is_seen, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_ends_with_its_holder, scratch_setup,
						scratch_teardown),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
