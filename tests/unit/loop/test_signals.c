#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/signals.h"

struct rig {
	struct loop *loop;
	struct loop_signals signals;
	int last;
	int code;
	int count;
	bool close_at_once;
};

static void received(struct loop_signals *signals, int signal_number)
{
	struct rig *rig = container_of(signals, struct rig, signals);

	rig->last = signal_number;
	rig->code = signals->code;
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

/* In a session of its own whose terminal is `terminal`: what a Ctrl-C there looks like. */
static int wait_for_interrupt(const char *terminal, int ready_fd)
{
	struct rig rig = { .loop = NULL };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	/* The first terminal that a session leader opens becomes the session's. */
	if (setsid() < 0 || open(terminal, O_RDWR) < 0 ||
	    loop_new(&clock_boottime, &rig.loop) < 0 ||
	    loop_signals_open(&rig.signals, rig.loop, &set, received) < 0 ||
	    write(ready_fd, "", 1) != 1 || loop_run_once(rig.loop, 10000) < 0)
		return 100;
	return rig.last == SIGINT && rig.code == SI_KERNEL ? 0 : 101;
}

static void test_where_it_came_from(void **state)
{
	char terminal[64];
	struct rig rig;
	sigset_t set;
	char byte;
	int ready[2];
	int status;

	(void)state;
	rig_open(&rig, &set);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(loop_run_once(rig.loop, -1), 0);
	assert_int_equal(rig.code, SI_USER);
	loop_signals_close(&rig.signals);
	loop_free(rig.loop);

	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, terminal, sizeof(terminal)), 0);
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(wait_for_interrupt(terminal, ready[1]));
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(write(master, "\003", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(ready[0]);
	close(master);
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

static void test_signals_of_end(void **state)
{
	struct sigaction before;
	sigset_t set;

	(void)state;
	assert_int_equal(sigaction(SIGHUP, NULL, &before), 0);
	assert_true(signal(SIGHUP, SIG_DFL) != SIG_ERR);
	loop_signals_of_end(&set);
	assert_true(sigismember(&set, SIGINT) && sigismember(&set, SIGTERM));
	assert_true(sigismember(&set, SIGHUP));
	assert_false(sigismember(&set, SIGUSR1));
	assert_true(signal(SIGHUP, SIG_IGN) != SIG_ERR); /* as nohup does */
	loop_signals_of_end(&set);
	assert_true(sigismember(&set, SIGINT) && sigismember(&set, SIGTERM));
	assert_false(sigismember(&set, SIGHUP));
	assert_int_equal(sigaction(SIGHUP, &before, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivery),	 cmocka_unit_test(test_where_it_came_from),
		cmocka_unit_test(test_pending_at_close), cmocka_unit_test(test_close_in_callback),
		cmocka_unit_test(test_mask_is_kept),	 cmocka_unit_test(test_signals_of_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
