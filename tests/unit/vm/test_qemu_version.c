#include "vm/qemu_version.h"

#include <errno.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/qemu_query.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		bool good;
		unsigned major;
		unsigned minor;
	} rows[] = {
		{ "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright", true, 7,
		  2 },
		{ "QEMU emulator version 10.0.0\n", true, 10, 0 },
		{ "QEMU emulator version 8.1", true, 8, 1 },
		{ "warning: x\nQEMU emulator version 9.2.0-rc1", true, 9, 2 },
		{ "QEMU emulator version 7", false, 0, 0 },
		{ "QEMU emulator version .2", false, 0, 0 },
		{ "QEMU emulator version 7.", false, 0, 0 },
		{ "QEMU emulator version 99999999.1", false, 0, 0 },
		{ "QEMU emulator version ", false, 0, 0 },
		{ "busybox 1.35", false, 0, 0 },
		{ "", false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct qemu_version version = { 0 };
		assert_int_equal(qemu_version_parse(rows[i].text, &version), rows[i].good);
		assert_int_equal(version.major, rows[i].major);
		assert_int_equal(version.minor, rows[i].minor);
	}
}

static const struct qemu_query_wait patient = { .time_ms = 30000, .stop_fd = -1 };

static void test_check(void **state)
{
	static const struct {
		const char *script;
		int result;
		const char *said;
	} rows[] = {
		{ "#!/bin/sh\necho QEMU emulator version 7.2.0\n", 0, "" },
		{ "#!/bin/sh\necho QEMU emulator version 8.0.0\n", 0, "" },
		{ "#!/bin/sh\necho QEMU emulator version 7.1.9\n", -EOPNOTSUPP,
		  "QEMU 7.1 is too old: 7.2 or newer is needed" },
		{ "#!/bin/sh\necho QEMU emulator version 6.9.0\n", -EOPNOTSUPP, "too old" },
		{ "#!/bin/sh\necho QEMU emulator version 8.0.0\nexec >&-\nsleep 60\n", 0, "" },
		{ "#!/bin/sh\nexit 1\n", -EINVAL, "does not answer as QEMU does" },
	};
	const struct scratch *scratch = *state;
	struct qemu_version version = { 0 };
	char program[128];

	snprintf(program, sizeof(program), "%s/qemu", scratch->path);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		scratch_write(scratch->fd, "qemu", rows[i].script);
		assert_int_equal(qemu_version_check(program, &patient, &version, &err),
				 rows[i].result);
		assert_non_null(strstr(err.text, rows[i].said));
	}
	assert_int_equal(version.major, 8); /* the last good one */
	assert_int_equal(version.minor, 0);
}

/* The shell's child has the pipe too: the whole of the process group is ended. */
static void test_silent(void **state)
{
	const struct qemu_query_wait wait = { .time_ms = 50, .stop_fd = -1 };
	const struct scratch *scratch = *state;
	struct qemu_version version;
	struct error err;
	char program[128];

	snprintf(program, sizeof(program), "%s/qemu", scratch->path);
	scratch_write(scratch->fd, "qemu", "#!/bin/sh\nsleep 60\n");
	assert_int_equal(qemu_version_check(program, &wait, &version, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "--version does not answer within 1 s"));
}

static void test_stopped(void **state)
{
	const struct scratch *scratch = *state;
	struct qemu_version version;
	struct error err = { .text = "" };
	char program[128];
	int stop[2];

	snprintf(program, sizeof(program), "%s/qemu", scratch->path);
	scratch_write(scratch->fd, "qemu", "#!/bin/sh\nsleep 60\n");
	assert_int_equal(pipe(stop), 0);
	assert_int_equal(write(stop[1], "x", 1), 1);
	const struct qemu_query_wait wait = { .time_ms = 30000, .stop_fd = stop[0] };
	assert_int_equal(qemu_version_check(program, &wait, &version, &err), -ECANCELED);
	assert_string_equal(err.text, "");
	close(stop[0]);
	close(stop[1]);
}

static void test_missing(void **state)
{
	struct qemu_version version;
	struct error err;

	(void)state;
	assert_int_equal(qemu_version_check("no-such-qemu-program", &patient, &version, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "QEMU is missing: there is no no-such-qemu-program"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test_setup_teardown(test_check, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_silent, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_stopped, scratch_setup, scratch_teardown),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
