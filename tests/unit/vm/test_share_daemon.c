#include "vm/share_daemon.h"

#include <errno.h>
#include <sys/wait.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/qemu_query.h"

static void test_version(void **state)
{
	(void)state;
	assert_true(share_daemon_version_is_of_qemu("virtiofsd version 7.2.22 (Debian 1:7.2)\n"));
	assert_true(share_daemon_version_is_of_qemu(""));
	assert_false(share_daemon_version_is_of_qemu("virtiofsd 1.10.0\n"));
}

/* The first one in PATH that is a program. */
static void test_find(void **state)
{
	const struct qemu_query_wait wait = { .time_ms = 30000, .stop_fd = -1 };
	const struct scratch *scratch = *state;
	struct share_daemon daemon;
	char path[256];

	assert_int_equal(mkdirat(scratch->fd, "one", 0700), 0);
	assert_int_equal(mkdirat(scratch->fd, "two", 0700), 0);
	scratch_write(scratch->fd, "one/virtiofsd", "#!/bin/sh\necho virtiofsd 1.13.0\n");
	scratch_write(scratch->fd, "two/virtiofsd", "#!/bin/sh\necho virtiofsd version 7.2.22\n");
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), ":relative:/none:%s/one:%s/two", scratch->path,
			 scratch->path);
		setenv("PATH", path, 1);
		assert_int_equal(share_daemon_find(&wait, &daemon, NULL), 0);
		snprintf(path, sizeof(path), "%s/%s/virtiofsd", scratch->path, i ? "two" : "one");
		assert_string_equal(daemon.path, path);
		assert_int_equal(daemon.of_qemu, i);
		assert_int_equal(unlinkat(scratch->fd, i ? "two/virtiofsd" : "one/virtiofsd", 0),
				 0);
	}
}

static void test_arguments(void **state)
{
	static const struct {
		struct share_daemon daemon;
		const char *const expected[6];
	} rows[] = {
		{ { "/q/virtiofsd", true },
		  { "/q/virtiofsd", "--fd=5", "--rlimit-nofile=0", "-o",
		    "sandbox=namespace,source=/a\\, b\\\\c", NULL } },
		{ { "/r/virtiofsd", false },
		  { "/r/virtiofsd", "--fd=5", "--rlimit-nofile=0", "--sandbox=namespace",
		    "--shared-dir=/a, b\\c", NULL } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct share_daemon_args args;
		size_t k = 0;
		assert_int_equal(share_daemon_args_build(&rows[i].daemon, "/a, b\\c", 5, &args), 0);
		for (; rows[i].expected[k]; k++)
			assert_string_equal(args.argv[k], rows[i].expected[k]);
		assert_null(args.argv[k]);
		share_daemon_args_done(&args);
	}
}

/* In a child: what is read only there is as before here, and the child cannot mount it writable. */
static void test_confined(void **state)
{
	const struct scratch *scratch = *state;
	struct share_confinement confinement;
	char inside[128];
	int status;

	snprintf(inside, sizeof(inside), "%s/file", scratch->path);
	for (int read_only = 0; read_only < 2; read_only++) {
		share_confinement_init(&confinement, scratch->path, read_only);
		if (share_confinement_try(&confinement) == -EPERM)
			skip(); /* neither root nor user namespaces */
		assert_int_equal(share_confinement_try(&confinement), 0);
		pid_t pid = fork();
		if (pid == 0) {
			if (share_confinement_enter(&confinement) < 0)
				_exit(1);
			int fd = open(inside, O_WRONLY | O_CREAT, 0600);
			_exit(read_only ? (fd >= 0 || errno != EROFS) : fd < 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	scratch_write(scratch->fd, "here", "x");
	share_confinement_init(&confinement, "/none", true);
	assert_int_equal(share_confinement_try(&confinement), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version),
		cmocka_unit_test_setup_teardown(test_find, scratch_setup, scratch_teardown),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test_setup_teardown(test_confined, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
