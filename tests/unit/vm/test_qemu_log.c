#include "vm/qemu_log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "base/error.h"
#include "scratch.h"

static void test_tail(void **state)
{
	static const struct {
		const char *text;
		unsigned most;
		size_t size;
		const char *expected;
	} rows[] = {
		{ "", 3, 100, "" },
		{ "\n\n", 3, 100, "" },
		{ "one\n", 3, 100, "one" },
		{ "one", 3, 100, "one" },
		{ "one\ntwo\nthree\nfour\n", 2, 100, "three\nfour" },
		{ "one\ntwo\n", 2, 100, "one\ntwo" },
		{ "one\n\ntwo\n\n", 2, 100, "\ntwo" },
		{ "a\x1b[31mb\rc\x7f", 3, 100, "a?[31mb?c?" },
		{ "0123456789\nabc\n", 5, 8, "89\nabc" },
	};
	const struct scratch *scratch = *state;
	char buffer[128];

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int fd = qemu_log_open(scratch->fd, NULL);
		assert_true(fd >= 0);
		assert_int_equal(qemu_log_empty(fd, NULL), 0);
		assert_int_equal(write(fd, rows[i].text, strlen(rows[i].text)),
				 strlen(rows[i].text));
		bool found = qemu_log_tail(fd, rows[i].most, buffer, rows[i].size);
		assert_int_equal(found, rows[i].expected[0] != 0);
		assert_string_equal(buffer, rows[i].expected);
		close(fd);
	}
}

/* Last words stay until another QEMU is about to start. */
static void test_open_keeps_it(void **state)
{
	const struct scratch *scratch = *state;
	char buffer[16];

	scratch_write(scratch->fd, "qemu.log", "old");
	int fd = qemu_log_open(scratch->fd, NULL);
	assert_true(qemu_log_tail(fd, 10, buffer, sizeof(buffer)));
	assert_string_equal(buffer, "old");
	assert_int_equal(qemu_log_empty(fd, NULL), 0);
	assert_false(qemu_log_tail(fd, 10, buffer, sizeof(buffer)));
	close(fd);
}

static void test_not_emptied(void **state)
{
	const struct scratch *scratch = *state;
	struct error err;

	scratch_write(scratch->fd, "qemu.log", "old");
	int fd = openat(scratch->fd, "qemu.log", O_RDONLY | O_CLOEXEC);
	assert_int_equal(qemu_log_empty(fd, &err), -EINVAL);
	assert_string_equal(err.text, "cannot empty qemu.log: Invalid argument");
	close(fd);
}

/* A QEMU whose parent was killed still has the log: the next run waits for its end. */
static void test_open_waits_for_the_former_qemu(void **state)
{
	const struct scratch *scratch = *state;
	int ends[2];
	char byte;

	int fd = qemu_log_open(scratch->fd, NULL);
	assert_int_equal(pipe(ends), 0);
	pid_t former = fork();
	if (former == 0) {
		for (;;)
			pause();
	}
	close(fd); /* now only the child has it */
	pid_t next = fork();
	if (next == 0) {
		byte = qemu_log_open(scratch->fd, NULL) >= 0 ? 'y' : 'n';
		_exit(write(ends[1], &byte, 1) == 1 ? 0 : 1);
	}
	close(ends[1]);
	int probe_fd = openat(scratch->fd, "qemu.log", O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(probe_fd, LOCK_EX | LOCK_NB), -1);
	close(probe_fd);
	assert_int_equal(waitpid(next, NULL, WNOHANG), 0); /* it waits */
	kill(former, SIGKILL);
	assert_int_equal(waitpid(former, NULL, 0), former);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(waitpid(next, NULL, 0), next);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tail, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_open_keeps_it, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_not_emptied, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_open_waits_for_the_former_qemu, scratch_setup,
						scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
