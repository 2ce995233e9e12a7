/*
 * The two processes together. The test is the one outside; what the other one sees is told by its
 * program, a shell.
 */
#include "netns_test.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "netns/resident.h"

static const struct link_config config = { .mac = { { 2, 0, 0, 0, 0, 7 } }, .mtu = 1400 };
static const struct ip_addr no_server;
static sigset_t no_signals;

struct shell {
	char program[16];
	char option[4];
	char script[512];
	char *argv[4];
	struct resident_plan plan;
};

static void shell_init(struct shell *shell, const char *script)
{
	*shell = (struct shell){ .program = "/bin/sh", .option = "-c" };
	snprintf(shell->script, sizeof(shell->script), "%s", script);
	shell->argv[0] = shell->program;
	shell->argv[1] = shell->option;
	shell->argv[2] = shell->script;
	shell->plan = (struct resident_plan){
		.join_fd = -1, .interface = "vm0", .argv = shell->argv, .signal_mask = &no_signals
	};
}

/* Ends the test where neither namespaces nor /dev/net/tun are for us. */
static void start(const struct resident_plan *plan, struct resident *resident)
{
	struct error err = { .text = "" };

	int r = resident_start(plan, resident, &err);
	if (r == -EACCES || r == -EPERM || r == -ENOENT || r == -ENOSPC)
		skip();
	if (r < 0)
		fail_msg("%s", err.text);
	assert_true(resident->pid > 0 && resident->socket_fd >= 0 && resident->tap_fd >= 0);
}

static void assert_no_child(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static int run_to_end(const char *script)
{
	struct error err = { .text = "" };
	struct resident resident;
	struct shell shell;
	int status = 0;

	shell_init(&shell, script);
	start(&shell.plan, &resident);
	assert_int_equal(if_nametoindex("vm0"), 0); /* it is not with us */
	assert_int_equal(resident_configure(&resident, &config, &no_server, &err), 0);
	assert_int_equal(resident_execute(&resident, &err), 0);
	assert_int_equal(resident.socket_fd, -1);
	assert_int_equal(waitpid(resident.pid, &status, 0), resident.pid);
	resident.pid = 0;
	resident_end(&resident);
	assert_no_child();
	return status;
}

static void test_runs(void **state)
{
	(void)state;
	int status = run_to_end("grep -q vm0: /proc/net/dev && test -z \"$(cat /etc/resolv.conf)\" "
				"&& exit 5");
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 5);
	status = run_to_end("kill -TERM $$");
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* No descriptor of ours, no signal that we block or ignore. */
static void test_program_inherits_nothing(void **state)
{
	sigset_t blocked;

	(void)state;
	/* What whoever started us ignores (nohup) is not ours to undo, nor to be judged here. */
	void (*hang_up)(int signal_number) = signal(SIGHUP, SIG_DFL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
	signal(SIGPIPE, SIG_IGN);
	int status = run_to_end("grep -q '^SigBlk:.0*$' /proc/self/status && "
				"grep -q '^SigIgn:.0*$' /proc/self/status && "
				"! ls -l /proc/self/fd | grep -E 'socket:|net/tun|ns:|anon_inode'");
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, hang_up);
	assert_int_equal(sigprocmask(SIG_UNBLOCK, &blocked, NULL), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_cannot_be_executed(void **state)
{
	struct error err = { .text = "" };
	struct resident resident;
	struct shell shell;

	(void)state;
	shell_init(&shell, "");
	snprintf(shell.program, sizeof(shell.program), "/no/program");
	start(&shell.plan, &resident);
	assert_int_equal(resident_configure(&resident, &config, &no_server, &err), 0);
	assert_int_equal(resident_execute(&resident, &err), -ENOENT);
	assert_non_null(strstr(err.text, "cannot run \"/no/program\""));
	resident_end(&resident);
	assert_no_child();
}

static void test_failures_leave_nothing(void **state)
{
	struct link_config wrong = config;
	struct error err = { .text = "" };
	struct resident resident;
	struct shell shell;

	(void)state;
	shell_init(&shell, "");
	start(&shell.plan, &resident);
	wrong.mtu = 100000;
	assert_int_equal(resident_configure(&resident, &wrong, &no_server, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cannot configure the interface vm0"));
	resident_end(&resident);
	resident_end(&resident);
	assert_no_child();

	resident = (struct resident){ .socket_fd = -1 };
	shell.plan.interface = "lo";
	assert_int_equal(resident_start(&shell.plan, &resident, &err), -EBUSY);
	assert_non_null(strstr(err.text, "there is an interface lo already"));
	assert_int_equal(resident.socket_fd, -1); /* untouched */
	assert_no_child();

	/* Not a namespace at all. */
	shell.plan.join_fd = open("/", O_RDONLY | O_CLOEXEC);
	assert_true(resident_start(&shell.plan, &resident, &err) < 0);
	assert_non_null(strstr(err.text, "cannot join"));
	close(shell.plan.join_fd);
	assert_no_child();
}

/* It was killed between two turns. */
static void test_resident_is_gone(void **state)
{
	struct error err = { .text = "" };
	struct resident resident;
	struct shell shell;

	(void)state;
	shell_init(&shell, "");
	start(&shell.plan, &resident);
	assert_int_equal(kill(resident.pid, SIGKILL), 0);
	/* The end of file is there when it is dead, and can be waited for. */
	struct pollfd end = { .fd = resident.socket_fd, .events = POLLIN };
	assert_int_equal(poll(&end, 1, 60000), 1);
	assert_int_equal(resident_configure(&resident, &config, &no_server, &err), -EPIPE);
	assert_non_null(strstr(err.text, "is gone"));
	resident_end(&resident);
	assert_no_child();
}

static int wait_gone(pid_t pid)
{
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = pid_fd, .events = POLLIN };

	if (pid_fd < 0)
		return 0;
	int r = poll(&end, 1, 60000) == 1 ? 0 : -1;
	close(pid_fd);
	return r;
}

/* Whoever started it is killed: before it runs its program, and after. */
static void check_dies_with_us(bool execute)
{
	int told[2];
	pid_t inside = 0;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct resident resident;
		struct shell shell;
		shell_init(&shell, "exec sleep 1000");
		if (resident_start(&shell.plan, &resident, NULL) < 0)
			_exit(CHILD_SKIP);
		if (execute) {
			CHILD_CHECK(resident_configure(&resident, &config, &no_server, NULL) == 0);
			CHILD_CHECK(resident_execute(&resident, NULL) == 0);
		}
		CHILD_CHECK(write(told[1], &resident.pid, sizeof(pid_t)) == sizeof(pid_t));
		pause();
		_exit(1);
	}
	close(told[1]);
	ssize_t size = read(told[0], &inside, sizeof(inside));
	close(told[0]);
	if (size == sizeof(inside))
		assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (size != sizeof(inside))
		skip();
	assert_int_equal(wait_gone(inside), 0);
}

static void test_dies_with_us(void **state)
{
	(void)state;
	check_dies_with_us(false);
	check_dies_with_us(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_program_inherits_nothing),
		cmocka_unit_test(test_cannot_be_executed),
		cmocka_unit_test(test_failures_leave_nothing),
		cmocka_unit_test(test_resident_is_gone),
		cmocka_unit_test(test_dies_with_us),
	};

	sigemptyset(&no_signals);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
