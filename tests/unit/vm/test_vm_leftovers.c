#include "vm/vm_leftovers.h"

#include <errno.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/vm_home.h"

struct fixture {
	struct scratch *scratch;
	struct vm_home home;
	struct vm_directory directory;
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct vm_draft draft;
	void *scratch;

	scratch_setup(&scratch);
	fixture.scratch = scratch;
	setenv("TARTLET_HOME", fixture.scratch->path, 1);
	assert_int_equal(vm_home_open(&fixture.home, NULL), 0);
	assert_int_equal(vm_draft_begin(&fixture.home, &draft, NULL), 0);
	scratch_write(draft.fd, "config.json", "{}");
	assert_int_equal(vm_draft_publish(&fixture.home, &draft, "one", NULL), 0);
	vm_draft_end(&fixture.home, &draft);
	assert_int_equal(vm_directory_open(&fixture.home, "one", &fixture.directory, NULL), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	void *scratch = fixture->scratch;

	vm_directory_close(&fixture->directory);
	vm_home_close(&fixture->home);
	return scratch_teardown(&scratch);
}

static bool is_there(const struct fixture *fixture, const char *name)
{
	return faccessat(fixture->directory.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_only_what_was_left(void **state)
{
	static const char *const left[] = { "suspend.state.new",   "suspend.state.used",
					    ".config.json.12.new", ".run.json.12.new",
					    ".seed.json.12.new",   ".suspend.refused.12.new" };
	static const char *const kept[] = { "config.json", "suspend.state", "disk.img",
					    ".run.json.mine.new", ".notes.12.new" };
	const struct fixture *fixture = *state;
	struct timespec used[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct stat status;

	for (size_t i = 0; i < ARRAY_COUNT(left); i++)
		scratch_write(fixture->directory.fd, left[i], "x");
	for (size_t i = 1; i < ARRAY_COUNT(kept); i++)
		scratch_write(fixture->directory.fd, kept[i], "x");
	assert_int_equal(futimens(fixture->directory.fd, used), 0);
	assert_int_equal(vm_leftovers_remove(&fixture->home, &fixture->directory, NULL), 0);
	for (size_t i = 0; i < ARRAY_COUNT(left); i++)
		assert_false(is_there(fixture, left[i]));
	for (size_t i = 0; i < ARRAY_COUNT(kept); i++)
		assert_true(is_there(fixture, kept[i]));
	assert_int_equal(fstat(fixture->directory.fd, &status), 0);
	assert_int_equal(status.st_atim.tv_sec, 1000);
}

static void test_in_use(void **state)
{
	const struct fixture *fixture = *state;
	struct vm_directory copied;
	struct error err;

	scratch_write(fixture->directory.fd, "suspend.state.new", "x");
	/* Somebody copies it. */
	assert_int_equal(vm_directory_open(&fixture->home, "one", &copied, NULL), 0);
	assert_int_equal(vm_home_lock(&fixture->home, NULL), 0);
	assert_int_equal(vm_directory_share(&fixture->home, &copied, NULL), 0);
	vm_home_unlock(&fixture->home);
	assert_int_equal(vm_leftovers_remove(&fixture->home, &fixture->directory, &err), -EBUSY);
	assert_true(is_there(fixture, "suspend.state.new"));
	vm_directory_close(&copied);
	assert_int_equal(vm_leftovers_remove(&fixture->home, &fixture->directory, &err), 0);
	assert_false(is_there(fixture, "suspend.state.new"));
}

static void test_gone(void **state)
{
	const struct fixture *fixture = *state;
	struct error err;

	assert_int_equal(renameat(fixture->home.vms_fd, "one", fixture->home.vms_fd, "two"), 0);
	assert_int_equal(vm_leftovers_remove(&fixture->home, &fixture->directory, &err), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_what_was_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
