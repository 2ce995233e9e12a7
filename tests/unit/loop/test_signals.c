#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/signals.h"

struct rig {
	struct loop *loop;
	struct loop_signals signals;
	int last;
	int count;
	bool close_at_once;
};

static void received(struct loop_signals *signals, int signal_number)
{
	struct rig *rig = container_of(signals, struct rig, signals);

	rig->last = signal_number;
	rig->count++;
	if (rig->close_at_once)
		loop_signals_close(signals);
}

static void rig_open(struct rig *rig, sigset_t *set)
{
	*rig = (struct rig){ .loop = NULL };
	assert_int_equal(loop_new(&clock_boottime, &rig->loop), 0);
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGUSR1);
	assert_int_equal(loop_signals_open(&rig->signals, rig->loop, set, received), 0);
}

static bool is_blocked(int signal_number)
{
	sigset_t mask;

	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	return sigismember(&mask, signal_number) == 1;
}

static void test_delivery(void **state)
{
	struct rig rig;
	sigset_t set;

	(void)state;
	rig_open(&rig, &set);
	assert_true(is_blocked(SIGTERM));
	assert_int_equal(loop_run_once(rig.loop, 0), 0);
	assert_int_equal(rig.count, 0);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(loop_run_once(rig.loop, -1), 0);
	assert_int_equal(rig.count, 1);
	assert_int_equal(rig.last, SIGTERM);
	/* Two different ones are two calls. */
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(loop_run_once(rig.loop, -1), 0);
	assert_int_equal(loop_run_once(rig.loop, -1), 0);
	assert_int_equal(rig.count, 3);
	assert_int_equal(loop_run_once(rig.loop, 0), 0);
	assert_int_equal(rig.count, 3);
	loop_signals_close(&rig.signals);
	loop_signals_close(&rig.signals);
	assert_false(is_blocked(SIGTERM));
	loop_free(rig.loop);
}

/* Pending at the end: discarded, else SIGTERM would kill this very test. */
static void test_pending_at_close(void **state)
{
	struct rig rig;
	sigset_t set;

	(void)state;
	rig_open(&rig, &set);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	loop_signals_close(&rig.signals);
	assert_int_equal(loop_run_once(rig.loop, 0), 0);
	assert_int_equal(rig.count, 0);
	loop_free(rig.loop);
}

static void test_close_in_callback(void **state)
{
	struct rig rig;
	sigset_t set;

	(void)state;
	rig_open(&rig, &set);
	rig.close_at_once = true;
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(loop_run_once(rig.loop, -1), 0);
	assert_int_equal(rig.count, 1);
	assert_false(is_blocked(SIGUSR1));
	loop_free(rig.loop);
}

static void test_mask_is_kept(void **state)
{
	struct rig rig;
	sigset_t set;
	sigset_t before;

	(void)state;
	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &before, NULL), 0);
	rig_open(&rig, &set);
	assert_int_equal(sigismember(&rig.signals.previous_mask, SIGUSR1), 1);
	assert_int_equal(sigismember(&rig.signals.previous_mask, SIGTERM), 0);
	loop_signals_close(&rig.signals);
	assert_true(is_blocked(SIGUSR1));
	assert_false(is_blocked(SIGTERM));
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &before, NULL), 0);
	loop_free(rig.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivery),
		cmocka_unit_test(test_pending_at_close),
		cmocka_unit_test(test_close_in_callback),
		cmocka_unit_test(test_mask_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
