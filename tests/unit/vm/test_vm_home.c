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

#define LEFT "tartlet-0000000000000001.draft"
#define BUSY "tartlet-0000000000000002.draft"

static void test_sweep(void **state)
{
	struct vm_home home;
	struct vm_home other;
	struct stat status;

	open_home(*state, &home);
	open_home(*state, &other);
	assert_int_equal(mkdirat(home.tmp_fd, LEFT, 0700), 0);
	scratch_write(home.tmp_fd, LEFT "/disk.img", "x");
	assert_int_equal(mkdirat(home.tmp_fd, BUSY, 0700), 0);
	int busy_fd = openat(home.tmp_fd, BUSY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(busy_fd, LOCK_EX), 0);
	/* Not while another process works under the lock. */
	assert_int_equal(vm_home_lock(&other, NULL), 0);
	vm_home_sweep(&home);
	assert_int_equal(fstatat(home.tmp_fd, LEFT, &status, 0), 0);
	vm_home_unlock(&other);
	vm_home_sweep(&home);
	assert_int_equal(fstatat(home.tmp_fd, LEFT, &status, 0), -1);
	assert_int_equal(fstatat(home.tmp_fd, BUSY, &status, 0), 0);
	assert_int_equal(flock(other.fd, LOCK_EX | LOCK_NB), 0); /* given back */
	close(busy_fd);
	vm_home_close(&other);
	vm_home_close(&home);
}

/* Somebody's own tmp/, as when TARTLET_HOME is a home directory, or a link of that name. */
static void test_foreign_files_stay(void **state)
{
	static const char *const folders[] = { "thesis", "0123456789abcdef", ".journal.1.new" };
	static const char *const files[] = {
		"notes",
		"thesis/ch1",
		"0123456789abcdef/x",
		"tartlet-0000000000000003.draft", /* ours are folders */
		".journal.new",
		".journal.x.new",
	};
	static const char *const links[] = { "away", ".journal.2.new" };
	const struct scratch *scratch = *state;
	struct vm_home home;
	struct stat status;

	assert_int_equal(mkdirat(scratch->fd, "elsewhere", 0700), 0);
	scratch_write(scratch->fd, "elsewhere/x", "x");
	open_home(scratch, &home);
	for (size_t i = 0; i < ARRAY_COUNT(folders); i++)
		assert_int_equal(mkdirat(home.tmp_fd, folders[i], 0700), 0);
	for (size_t i = 0; i < ARRAY_COUNT(files); i++)
		scratch_write(home.tmp_fd, files[i], "x");
	for (size_t i = 0; i < ARRAY_COUNT(links); i++)
		assert_int_equal(symlinkat("../../../../elsewhere", home.tmp_fd, links[i]), 0);
	assert_int_equal(symlinkat("../../../../elsewhere", home.tmp_fd, LEFT), 0);
	scratch_write(home.tmp_fd, ".journal.77.new", "{");
	vm_home_sweep(&home);
	for (size_t i = 0; i < ARRAY_COUNT(folders); i++)
		assert_int_equal(fstatat(home.tmp_fd, folders[i], &status, 0), 0);
	for (size_t i = 0; i < ARRAY_COUNT(files); i++)
		assert_int_equal(fstatat(home.tmp_fd, files[i], &status, 0), 0);
	for (size_t i = 0; i < ARRAY_COUNT(links); i++)
		assert_int_equal(fstatat(home.tmp_fd, links[i], &status, AT_SYMLINK_NOFOLLOW), 0);
	/* What is ours goes; of a link, no more than that. */
	assert_int_equal(fstatat(home.tmp_fd, ".journal.77.new", &status, 0), -1);
	assert_int_equal(fstatat(home.tmp_fd, LEFT, &status, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(scratch->fd, "elsewhere/x", &status, 0), 0);
	vm_home_close(&home);
}

static void test_parts_are_no_links(void **state)
{
	static const char *const parts[] = { "vms", "tmp" };
	const struct scratch *scratch = *state;
	struct vm_home home;
	struct stat status;
	struct error err;
	char *networks;

	assert_int_equal(mkdirat(scratch->fd, "elsewhere", 0700), 0);
	assert_int_equal(mkdirat(scratch->fd, "elsewhere/" LEFT, 0700), 0);
	open_home(scratch, &home);
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		assert_int_equal(unlinkat(home.fd, parts[i], AT_REMOVEDIR), 0);
		assert_int_equal(symlinkat("../../../elsewhere", home.fd, parts[i]), 0);
		struct vm_home again;
		assert_true(vm_home_open(&again, &err) < 0);
		assert_non_null(strstr(err.text, " is a symbolic link, which is not followed: "));
		assert_int_equal(unlinkat(home.fd, parts[i], 0), 0);
		assert_int_equal(vm_home_open(&again, &err), 0);
		vm_home_close(&again);
	}
	assert_int_equal(symlinkat("../../../elsewhere", home.fd, "networks"), 0);
	assert_true(vm_home_state_directory(&home, &networks, &err) < 0);
	assert_non_null(strstr(err.text, "/networks is a symbolic link"));
	assert_int_equal(fstatat(scratch->fd, "elsewhere/" LEFT, &status, 0), 0);
	vm_home_close(&home);
	/* The whole of it may be one. */
	char path[128];
	assert_int_equal(symlinkat("a/b/home", scratch->fd, "link"), 0);
	snprintf(path, sizeof(path), "%s/link", scratch->path);
	setenv("TARTLET_HOME", path, 1);
	assert_int_equal(vm_home_open(&home, &err), 0);
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
		cmocka_unit_test_setup_teardown(test_foreign_files_stay, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_parts_are_no_links, scratch_setup,
						scratch_teardown),
		cmocka_unit_test(test_explain_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
