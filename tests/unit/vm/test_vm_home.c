#include "vm/vm_home.h"

#include <errno.h>
#include <sys/file.h>

#include "base/error.h"
#include "scratch.h"

static void open_home(const struct scratch *scratch, struct vm_home *home)
{
	char path[128];
	struct error err = { .text = "" };

	snprintf(path, sizeof(path), "%s/a/b//home/", scratch->path);
	setenv("TARTLET_HOME", path, 1);
	assert_int_equal(vm_home_open(home, &err), 0);
	assert_string_equal(err.text, "");
}

static void test_open_makes_it(void **state)
{
	const struct scratch *scratch = *state;
	struct vm_home home;
	struct stat status;
	char expected[128];
	char *networks;

	open_home(scratch, &home);
	snprintf(expected, sizeof(expected), "%s/a/b/home", scratch->path);
	assert_string_equal(home.path, expected);
	assert_int_equal(fstat(home.fd, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	assert_int_equal(fstatat(home.fd, "vms", &status, 0), 0);
	assert_int_equal(fstatat(home.fd, "tmp", &status, 0), 0);
	assert_int_equal(fstatat(home.fd, "networks", &status, 0), -1);
	assert_int_equal(vm_home_state_directory(&home, &networks, NULL), 0);
	assert_int_equal(stat(networks, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	free(networks);
	vm_home_close(&home);
	open_home(scratch, &home); /* a second time */
	vm_home_close(&home);
}

static void test_default_is_below_home(void **state)
{
	const struct scratch *scratch = *state;
	struct vm_home home;
	char expected[128];

	unsetenv("TARTLET_HOME");
	setenv("HOME", scratch->path, 1);
	assert_int_equal(vm_home_open(&home, NULL), 0);
	snprintf(expected, sizeof(expected), "%s/.tartlet", scratch->path);
	assert_string_equal(home.path, expected);
	vm_home_close(&home);
}

static void test_a_file_in_the_way(void **state)
{
	const struct scratch *scratch = *state;
	struct vm_home home;
	struct error err;
	char path[128];

	scratch_write(scratch->fd, "file", "x");
	snprintf(path, sizeof(path), "%s/file/home", scratch->path);
	setenv("TARTLET_HOME", path, 1);
	assert_true(vm_home_open(&home, &err) < 0);
	assert_non_null(strstr(err.text, "TARTLET_HOME is invalid: "));
	assert_non_null(strstr(err.text, path));
}

static void test_settings(void **state)
{
	static const struct {
		const char *text;
		const char *address; /* NULL = refused */
		const char *reason;
	} rows[] = {
		{ "{}", "*", NULL },
		{ "{\"expose_address\": \"127.0.0.1\"}", "127.0.0.1", NULL },
		{ "{\"expose_address\": \"::1\"}", "::1", NULL },
		{ "{\"expose_address\": \"localhost\"}", "localhost", NULL },
		{ "{\"expose_address\": \"*\"}", "*", NULL },
		{ "{\"expose_address\": \"eth0\"}", NULL, "expose_address should be" },
		{ "{\"expose_address\": 1}", NULL, "expose_address should be" },
		{ "{\"expose_adress\": \"::1\"}", NULL, "unknown setting \"expose_adress\"" },
		{ "{\"expose_address\": \"::1\", \"expose_address\": \"*\"}", NULL, "line 1" },
		{ "[]", NULL, "not a JSON object" },
		{ "", NULL, "line 1" },
	};
	const struct scratch *scratch = *state;
	struct vm_home_settings settings;
	struct vm_home home;

	open_home(scratch, &home);
	assert_int_equal(vm_home_load_settings(&home, &settings, NULL), 0);
	assert_string_equal(settings.expose_address, "*");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		scratch_write(home.fd, "config.json", rows[i].text);
		int r = vm_home_load_settings(&home, &settings, &err);
		assert_int_equal(r, rows[i].address ? 0 : -EINVAL);
		if (rows[i].address)
			assert_string_equal(settings.expose_address, rows[i].address);
		else
			assert_non_null(strstr(err.text, rows[i].reason));
	}
	vm_home_close(&home);
}

static void test_lock_excludes(void **state)
{
	struct vm_home home;
	struct vm_home other;

	open_home(*state, &home);
	open_home(*state, &other);
	assert_int_equal(vm_home_lock(&home, NULL), 0);
	assert_int_equal(flock(other.fd, LOCK_EX | LOCK_NB), -1);
	vm_home_unlock(&home);
	assert_int_equal(flock(other.fd, LOCK_EX | LOCK_NB), 0);
	vm_home_close(&other);
	vm_home_close(&home);
}

static void test_sweep(void **state)
{
	struct vm_home home;
	struct vm_home other;
	struct stat status;

	open_home(*state, &home);
	open_home(*state, &other);
	assert_int_equal(mkdirat(home.tmp_fd, "left", 0700), 0);
	scratch_write(home.tmp_fd, "left/disk.img", "x");
	assert_int_equal(mkdirat(home.tmp_fd, "busy", 0700), 0);
	int busy_fd = openat(home.tmp_fd, "busy", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(busy_fd, LOCK_EX), 0);
	/* Not while another process works under the lock. */
	assert_int_equal(vm_home_lock(&other, NULL), 0);
	vm_home_sweep(&home);
	assert_int_equal(fstatat(home.tmp_fd, "left", &status, 0), 0);
	vm_home_unlock(&other);
	vm_home_sweep(&home);
	assert_int_equal(fstatat(home.tmp_fd, "left", &status, 0), -1);
	assert_int_equal(fstatat(home.tmp_fd, "busy", &status, 0), 0);
	assert_int_equal(flock(other.fd, LOCK_EX | LOCK_NB), 0); /* given back */
	close(busy_fd);
	vm_home_close(&other);
	vm_home_close(&home);
}

static void test_explain_write(void **state)
{
	const struct vm_home home = { .path = (char[]){ "/h" } };
	static const int known[] = { -EROFS, -EACCES, -EPERM };
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
		error_set(&err, "cannot open x");
		assert_int_equal(vm_home_explain_write(&home, known[i], &err), known[i]);
		assert_string_equal(err.text, "home directory /h is not writable: cannot open x");
	}
	/* Another cause, or none. */
	error_set(&err, "cannot open x");
	assert_int_equal(vm_home_explain_write(&home, -ENOSPC, &err), -ENOSPC);
	assert_int_equal(vm_home_explain_write(&home, 3, &err), 3);
	assert_string_equal(err.text, "cannot open x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_makes_it, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_default_is_below_home, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_a_file_in_the_way, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_settings, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_lock_excludes, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_sweep, scratch_setup, scratch_teardown),
		cmocka_unit_test(test_explain_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
