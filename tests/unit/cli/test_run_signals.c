#include "cli/run_signals.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/loop.h"

struct rig {
	struct loop *loop;
	struct run_signals signals;
	int last;
};

static void received(struct loop_signals *signals, int signal_number)
{
	struct rig *rig = container_of(signals, struct rig, signals.signals);

	rig->last = signal_number;
}

static void rig_open(struct rig *rig)
{
	*rig = (struct rig){ .signals.stop_fd = -1 };
	assert_int_equal(loop_new(&clock_boottime, &rig->loop), 0);
	assert_int_equal(run_signals_open(&rig->signals, rig->loop, received), 0);
}

static void rig_close(struct rig *rig)
{
	run_signals_close(&rig->signals);
	assert_int_equal(rig->signals.stop_fd, -1);
	loop_free(rig->loop);
}

/* One batch of the loop: which signal came. */
static int delivered(struct rig *rig)
{
	rig->last = 0;
	assert_int_equal(loop_run_once(rig->loop, 0), 0);
	return rig->last;
}

/* Which signals ask for the end: as long as the loop has not seen it, and no longer. */
static void test_stop_is_pending(void **state)
{
	const struct {
		int number;
		bool stops;
	} cases[] = {
		{ SIGINT, true },   { SIGTERM, true },	{ SIGHUP, true },
		{ SIGUSR1, false }, { SIGUSR2, false },
	};
	struct rig rig;

	(void)state;
	signal(SIGHUP, SIG_DFL);
	rig_open(&rig);
	assert_true(run_signals_stop_fd(&rig.signals) >= 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_false(run_signals_stop_is_asked(&rig.signals));
		kill(getpid(), cases[i].number);
		assert_int_equal(run_signals_stop_is_asked(&rig.signals), cases[i].stops);
		assert_int_equal(delivered(&rig), cases[i].number);
	}
	rig_close(&rig);
}

static void test_hangup_under_nohup(void **state)
{
	struct rig rig;

	(void)state;
	signal(SIGHUP, SIG_IGN);
	rig_open(&rig);
	kill(getpid(), SIGHUP);
	assert_false(run_signals_stop_is_asked(&rig.signals));
	assert_int_equal(delivered(&rig), 0);
	rig_close(&rig);
	signal(SIGHUP, SIG_DFL);
}

/* As a shell without job control starts what it puts into the background. */
static void test_interrupt_where_it_was_ignored(void **state)
{
	struct rig rig;

	(void)state;
	signal(SIGINT, SIG_IGN);
	rig_open(&rig);
	kill(getpid(), SIGINT);
	assert_true(run_signals_stop_is_asked(&rig.signals));
	assert_int_equal(delivered(&rig), SIGINT);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_is_pending),
		cmocka_unit_test(test_hangup_under_nohup),
		cmocka_unit_test(test_interrupt_where_it_was_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
