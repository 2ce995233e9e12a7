#include "vm/systemd_scope.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "scratch.h"
#include "vm/vm_label.h"

static void check(struct systemd_scope_call *call, const char *unit, const char *description)
{
	const char *const expected[] = {
		"busctl",
		"--user",
		"--timeout=3",
		"--quiet",
		"call",
		"org.freedesktop.systemd1",
		"/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager",
		"StartTransientUnit",
		"ssa(sv)a(sa(sv))",
		unit,
		"fail",
		"3",
		"PIDs",
		"au",
		"1",
		"4711",
		"Description",
		"s",
		description,
		"CollectMode",
		"s",
		"inactive-or-failed",
		"0",
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_string_equal(call->argv[i], expected[i]);
	assert_null(call->argv[sizeof(expected) / sizeof(expected[0])]);
}

static void test_call(void **state)
{
	struct systemd_scope_call call;

	(void)state;
	systemd_scope_build("ci-3", 4711, &call);
	check(&call, "tartlet-ci-3-4711.scope", "Virtual machine ci-3");
	systemd_scope_build("a b/\xc3\xa4", 4711, &call);
	check(&call, "tartlet-a-b---4711.scope", "Virtual machine a b/\xc3\xa4");
	systemd_scope_build(NULL, 4711, &call);
	check(&call, "tartlet-4711.scope", "Virtual machine ");
}

/* The longest label with the highest pid still makes a whole name. */
static void test_longest_unit(void **state)
{
	struct systemd_scope_call call;
	char label[VM_LABEL_LENGTH + 1];
	char expected[128];
	char safe[VM_LABEL_SAFE_SIZE];

	(void)state;
	memset(label, 'x', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	vm_label_safe(label, safe);
	systemd_scope_build(label, INT32_MAX, &call);
	snprintf(expected, sizeof(expected), "tartlet-%s-2147483647.scope", safe);
	assert_string_equal(call.unit, expected);
	assert_string_equal(call.pid, "2147483647");
}

/* VMs of the same name in two homes. */
static void test_two_of_one_name(void **state)
{
	struct systemd_scope_call one;
	struct systemd_scope_call other;

	(void)state;
	systemd_scope_build("debian", 4711, &one);
	systemd_scope_build("debian", 4712, &other);
	assert_string_not_equal(one.unit, other.unit);
}

static void test_available(void **state)
{
	const struct scratch *scratch = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	assert_false(systemd_scope_available(NULL));
	assert_false(systemd_scope_available(""));
	assert_false(systemd_scope_available(scratch->path));
	assert_int_equal(mkdirat(scratch->fd, "systemd", 0700), 0);
	assert_false(systemd_scope_available(scratch->path));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/systemd/private", scratch->path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_true(systemd_scope_available(scratch->path));
	close(fd);
}

/* The exact call, as a busctl of the test's own receives it. */
static void test_make(void **state)
{
	const struct scratch *scratch = *state;
	struct systemd_scope_call call;
	char path[256];
	char script[256];
	char *said;
	size_t size;

	snprintf(path, sizeof(path), "%s:%s", scratch->path, getenv("PATH"));
	setenv("PATH", path, 1);
	snprintf(script, sizeof(script), "#!/bin/sh\nprintf '%%s\\n' \"$@\" >%s/said\n",
		 scratch->path);
	scratch_write(scratch->fd, "busctl", script);
	systemd_scope_build("ci 3", 4711, &call);
	assert_int_equal(systemd_scope_make(&call), 0);
	assert_int_equal(files_read(scratch->fd, "said", 4096, &said, &size), 0);
	assert_string_equal(said,
			    "--user\n--timeout=3\n--quiet\ncall\norg.freedesktop.systemd1\n"
			    "/org/freedesktop/systemd1\norg.freedesktop.systemd1.Manager\n"
			    "StartTransientUnit\nssa(sv)a(sa(sv))\ntartlet-ci-3-4711.scope\nfail\n"
			    "3\nPIDs\nau\n1\n4711\nDescription\ns\nVirtual machine ci 3\n"
			    "CollectMode\ns\ninactive-or-failed\n0\n");
	free(said);
	scratch_write(scratch->fd, "busctl", "#!/bin/sh\nexit 1\n");
	assert_int_equal(systemd_scope_make(&call), -EIO);
}

static void own_unit(void **state)
{
	(void)state;
	assert_true(systemd_scope_is_own_unit("4711", 4711));
	assert_false(systemd_scope_is_own_unit("4710", 4711));
	assert_false(systemd_scope_is_own_unit(NULL, 4711));
	assert_false(systemd_scope_is_own_unit("", 4711));
	assert_false(systemd_scope_is_own_unit("4711 ", 4711));
	assert_false(systemd_scope_is_own_unit("4294972007", 4711)); /* 2^32 more */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_unit),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_longest_unit),
		cmocka_unit_test(test_two_of_one_name),
		cmocka_unit_test_setup_teardown(test_available, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_make, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
