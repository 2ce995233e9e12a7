#include "vm/qemu_process.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/qemu_log.h"

struct shell {
	struct qemu_spawn spawn;
	sigset_t none;
	char program[16];
	char option[4];
	char script[256];
	char *argv[4];
	int log_fd;
};

/* A shell in QEMU's place. */
static void shell_init(struct shell *shell, const struct scratch *scratch, const char *script)
{
	*shell = (struct shell){ .program = "/bin/sh", .option = "-c" };
	snprintf(shell->script, sizeof(shell->script), "%s", script);
	shell->argv[0] = shell->program;
	shell->argv[1] = shell->option;
	shell->argv[2] = shell->script;
	shell->log_fd = qemu_log_open(scratch->fd, NULL);
	assert_true(shell->log_fd >= 0);
	sigemptyset(&shell->none);
	shell->spawn = (struct qemu_spawn){
		.argv = shell->argv,
		.directory_fd = scratch->fd,
		.log_fd = shell->log_fd,
		.signal_mask = &shell->none,
	};
}

static int wait_status(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_directory_log_and_status(void **state)
{
	const struct scratch *scratch = *state;
	char expected[160];
	char text[256];
	struct shell shell;
	pid_t pid;

	shell_init(&shell, scratch, "pwd; echo wrong >&2; cat; exit 3");
	assert_int_equal(qemu_process_start(&shell.spawn, &pid, NULL), 0);
	int status = wait_status(pid);
	assert_string_equal(qemu_process_end_text(status, text), "exit status 3");
	assert_true(qemu_log_tail(shell.log_fd, 5, text, sizeof(text)));
	snprintf(expected, sizeof(expected), "%s\nwrong", scratch->path);
	assert_string_equal(text, expected);
	close(shell.log_fd);
}

static void test_cannot_be_executed(void **state)
{
	const struct scratch *scratch = *state;
	struct shell shell;
	struct error err;
	pid_t pid = 0;

	shell_init(&shell, scratch, "");
	snprintf(shell.program, sizeof(shell.program), "/no/such/qemu");
	assert_int_equal(qemu_process_start(&shell.spawn, &pid, &err), -ENOENT);
	assert_non_null(strstr(err.text, "QEMU cannot be started: /no/such/qemu"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing left behind */
	close(shell.log_fd);
}

static void test_inherited_fds(void **state)
{
	const struct scratch *scratch = *state;
	struct shell shell;
	int kept[2];
	int others[2];
	char script[96];
	char text[1024];
	bool seen[1024] = { false };
	pid_t pid;

	assert_int_equal(pipe2(kept, O_CLOEXEC), 0);
	assert_int_equal(qemu_process_socket_pair(others), 0);
	/* By /dev/fd: some shells take only one digit behind >&. */
	snprintf(script, sizeof(script), "echo hello >/dev/fd/%d; exec ls /proc/self/fd", kept[1]);
	shell_init(&shell, scratch, script);
	shell.spawn.inherited = &kept[1];
	shell.spawn.inherited_count = 1;
	assert_int_equal(qemu_process_start(&shell.spawn, &pid, NULL), 0);
	assert_true(WIFEXITED(wait_status(pid)));
	assert_int_equal(read(kept[0], text, sizeof(text)), 6);
	assert_memory_equal(text, "hello\n", 6);
	assert_true(qemu_log_tail(shell.log_fd, 1000, text, sizeof(text)));
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		int fd = atoi(line);
		assert_in_range(fd, 0, 1023);
		seen[fd] = true;
	}
	assert_true(seen[0] && seen[1] && seen[2] && seen[kept[1]]);
	/* ls itself opens one, the lowest that is free: at most one of these is its own. */
	assert_true(seen[kept[0]] + seen[others[0]] + seen[others[1]] + seen[shell.log_fd] <= 1);
	for (int i = 0; i < 2; i++) {
		close(kept[i]);
		close(others[i]);
	}
	close(shell.log_fd);
}

static void test_signals_are_as_asked(void **state)
{
	const struct scratch *scratch = *state;
	char text[QEMU_END_TEXT_SIZE];
	struct shell shell;
	sigset_t blocked;
	sigset_t before;
	pid_t pid;

	/* As in `run`: blocked and even ignored with us, but SIGTERM must end QEMU. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	signal(SIGTERM, SIG_IGN);
	shell_init(&shell, scratch, "kill -TERM $$; exit 0");
	assert_int_equal(qemu_process_start(&shell.spawn, &pid, NULL), 0);
	int status = wait_status(pid);
	signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_true(WIFSIGNALED(status));
	assert_string_equal(qemu_process_end_text(status, text), "signal 15 (Terminated)");
	close(shell.log_fd);
}

/* SIGKILL of the parent: the pipe's last writer is gone when the child is. */
static void test_dies_with_its_parent(void **state)
{
	const struct scratch *scratch = *state;
	int ends[2];
	char byte;

	assert_int_equal(pipe(ends), 0);
	pid_t parent = fork();
	if (parent == 0) {
		struct shell shell;
		pid_t pid;
		char script[64];
		snprintf(script, sizeof(script), "printf x >/dev/fd/%d; exec sleep 1000", ends[1]);
		shell_init(&shell, scratch, script);
		const int inherited[] = { ends[1] };
		shell.spawn.inherited = inherited;
		shell.spawn.inherited_count = 1;
		if (qemu_process_start(&shell.spawn, &pid, NULL) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1); /* the child runs */
	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_int_equal(read(ends[0], &byte, 1), 0); /* end of file: the child is gone */
	close(ends[0]);
}

static void test_own_process_group(void **state)
{
	const struct scratch *scratch = *state;
	struct shell shell;
	pid_t pid;

	for (int serial = 0; serial < 2; serial++) {
		shell_init(&shell, scratch, "kill -STOP $$");
		shell.spawn.serial = serial;
		assert_int_equal(qemu_process_start(&shell.spawn, &pid, NULL), 0);
		/* Set before exec, which start waits for. */
		assert_int_equal(getpgid(pid), serial ? getpgid(0) : pid);
		kill(pid, SIGKILL);
		wait_status(pid);
		close(shell.log_fd);
	}
}

static void test_end_text(void **state)
{
	char text[QEMU_END_TEXT_SIZE];

	(void)state;
	assert_string_equal(qemu_process_end_text(0, text), "exit status 0");
	assert_string_equal(qemu_process_end_text(1 << 8, text), "exit status 1");
	assert_string_equal(qemu_process_end_text(SIGKILL, text), "signal 9 (Killed)");
	assert_string_equal(qemu_process_end_text(SIGSEGV | 0x80, text),
			    "signal 11 (Segmentation fault)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_directory_log_and_status, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_cannot_be_executed, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_inherited_fds, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_signals_are_as_asked, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_dies_with_its_parent, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_own_process_group, scratch_setup,
						scratch_teardown),
		cmocka_unit_test(test_end_text),
	};

	alarm(300); /* a child that never speaks must not hang the tests */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
