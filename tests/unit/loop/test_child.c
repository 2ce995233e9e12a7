#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "loop/child.h"

struct rig {
	struct loop *loop;
	struct loop_child child;
	int gate_fd; /* the child goes on when this is closed */
	pid_t pid;
	int status;
	int count;
};

static void ended(struct loop_child *child, int wait_status)
{
	struct rig *rig = container_of(child, struct rig, child);

	assert_null(child->loop);
	rig->status = wait_status;
	rig->count++;
}

/* A child that waits at the gate, then exits with that code. */
static void rig_fork(struct rig *rig, int exit_code)
{
	int ends[2];
	char byte;

	*rig = (struct rig){ .loop = NULL };
	assert_int_equal(pipe(ends), 0);
	rig->pid = fork();
	assert_true(rig->pid >= 0);
	if (rig->pid == 0) {
		close(ends[1]);
		while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
			;
		_exit(exit_code);
	}
	close(ends[0]);
	rig->gate_fd = ends[1];
	assert_int_equal(loop_new(&clock_boottime, &rig->loop), 0);
}

static void rig_run(struct rig *rig)
{
	while (rig->count == 0)
		assert_int_equal(loop_run_once(rig->loop, -1), 0);
}

static void rig_done(struct rig *rig)
{
	rig->gate_fd = fd_close(rig->gate_fd);
	rig->loop = loop_free(rig->loop);
}

static void test_exit_code(void **state)
{
	static const int codes[] = { 0, 1, 255 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
		struct rig rig;

		rig_fork(&rig, codes[i]);
		assert_int_equal(loop_child_open(&rig.child, rig.loop, rig.pid, ended), 0);
		assert_int_equal(loop_run_once(rig.loop, 0), 0);
		assert_int_equal(rig.count, 0);
		rig.gate_fd = fd_close(rig.gate_fd);
		rig_run(&rig);
		assert_true(WIFEXITED(rig.status));
		assert_int_equal(WEXITSTATUS(rig.status), codes[i]);
		/* It is reaped, and not called for again. */
		assert_int_equal(waitpid(rig.pid, NULL, WNOHANG), -1);
		assert_int_equal(loop_run_once(rig.loop, 0), 0);
		assert_int_equal(rig.count, 1);
		assert_int_equal(loop_child_kill(&rig.child, SIGTERM), -ESRCH);
		loop_child_close(&rig.child);
		rig_done(&rig);
	}
}

static void test_kill(void **state)
{
	struct rig rig;

	(void)state;
	rig_fork(&rig, 0);
	assert_int_equal(loop_child_open(&rig.child, rig.loop, rig.pid, ended), 0);
	assert_int_equal(loop_child_kill(&rig.child, 0), 0);
	assert_int_equal(loop_child_kill(&rig.child, SIGKILL), 0);
	rig_run(&rig);
	assert_true(WIFSIGNALED(rig.status));
	assert_int_equal(WTERMSIG(rig.status), SIGKILL);
	rig_done(&rig);
}

/* A stopped child has not ended. */
static void test_stop_is_no_end(void **state)
{
	struct rig rig;
	siginfo_t info;

	(void)state;
	rig_fork(&rig, 3);
	assert_int_equal(loop_child_open(&rig.child, rig.loop, rig.pid, ended), 0);
	assert_int_equal(loop_child_kill(&rig.child, SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, (id_t)rig.pid, &info, WSTOPPED | WNOWAIT), 0);
	assert_int_equal(loop_run_once(rig.loop, 0), 0);
	assert_int_equal(rig.count, 0);
	assert_int_equal(loop_child_kill(&rig.child, SIGCONT), 0);
	rig.gate_fd = fd_close(rig.gate_fd);
	rig_run(&rig);
	assert_int_equal(WEXITSTATUS(rig.status), 3);
	rig_done(&rig);
}

static void test_ended_before_open(void **state)
{
	struct rig rig;
	siginfo_t info;

	(void)state;
	rig_fork(&rig, 7);
	rig.gate_fd = fd_close(rig.gate_fd);
	assert_int_equal(waitid(P_PID, (id_t)rig.pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(loop_child_open(&rig.child, rig.loop, rig.pid, ended), 0);
	rig_run(&rig);
	assert_int_equal(WEXITSTATUS(rig.status), 7);
	rig_done(&rig);
}

static void test_reaped_by_another(void **state)
{
	struct rig rig;
	struct loop_child second;

	(void)state;
	rig_fork(&rig, 0);
	assert_int_equal(loop_child_open(&rig.child, rig.loop, rig.pid, ended), 0);
	rig.gate_fd = fd_close(rig.gate_fd);
	assert_int_equal(waitpid(rig.pid, NULL, 0), rig.pid);
	rig_run(&rig);
	assert_int_equal(rig.status, LOOP_CHILD_STATUS_LOST);
	assert_int_equal(loop_child_open(&second, rig.loop, rig.pid, ended), -ESRCH);
	loop_child_close(&second);
	rig_done(&rig);
}

static void test_close_leaves_the_child(void **state)
{
	struct rig rig;
	int status;

	(void)state;
	rig_fork(&rig, 5);
	assert_int_equal(loop_child_open(&rig.child, rig.loop, rig.pid, ended), 0);
	loop_child_close(&rig.child);
	loop_child_close(&rig.child);
	rig.gate_fd = fd_close(rig.gate_fd);
	assert_int_equal(waitpid(rig.pid, &status, 0), rig.pid);
	assert_int_equal(WEXITSTATUS(status), 5);
	assert_int_equal(loop_run_once(rig.loop, 0), 0);
	assert_int_equal(rig.count, 0);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_code),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_stop_is_no_end),
		cmocka_unit_test(test_ended_before_open),
		cmocka_unit_test(test_reaped_by_another),
		cmocka_unit_test(test_close_leaves_the_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
