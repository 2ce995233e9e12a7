/* What is said of a VM that stays, and the exit codes. What goes with one: tests/unit/vm/test_vm_removal.c. */
#include "cli/removal.h"

#include <errno.h>
#include <string.h>

#include "cli/command.h"
#include "ending.h"
#include "fake_assignments.h"
#include "made_home.h"
#include "vm/vm_lock.h"

#define REMOVED 50 /* what a child answers in COMMAND_OK's place: whether it is removed */
#define STAYS	51

struct attempt {
	struct vm_home home;
	struct vm_directory directory;
	int64_t accessed_s;
};

static void begin(struct attempt *attempt)
{
	made_home_vm("one");
	assert_int_equal(vm_home_open(&attempt->home, NULL), 0);
	assert_int_equal(vm_directory_open(&attempt->home, "one", &attempt->directory, NULL), 0);
	attempt->accessed_s = vm_directory_usage(&attempt->directory).accessed_s;
}

static bool is_there(const struct attempt *attempt)
{
	return faccessat(attempt->home.vms_fd, "one", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void end(struct attempt *attempt)
{
	vm_directory_close(&attempt->directory);
	vm_home_close(&attempt->home);
}

static int remove_named(const void *context)
{
	const struct attempt *attempt = context;

	return removal_of_named(&attempt->home, &attempt->directory);
}

static int remove_chosen(const void *context)
{
	const struct attempt *attempt = context;
	bool removed;
	int code = removal_of_chosen(&attempt->home, &attempt->directory, attempt->accessed_s,
				     &removed);

	return code != COMMAND_OK ? code : removed ? REMOVED : STAYS;
}

static void assert_ending(struct ending ending, int code, const char *said)
{
	assert_string_equal(ending.said, said);
	assert_int_equal(ending.code, code);
}

static void unused(void **state)
{
	struct attempt attempt;

	(void)state;
	begin(&attempt);
	assert_ending(ending_of(remove_named, &attempt), COMMAND_OK, "");
	assert_false(is_there(&attempt));
	end(&attempt);
	begin(&attempt);
	assert_ending(ending_of(remove_chosen, &attempt), REMOVED, "");
	assert_false(is_there(&attempt));
	end(&attempt);
}

/* Its lock is this process's. */
static void running(void **state)
{
	struct attempt attempt;

	(void)state;
	begin(&attempt);
	int lock_fd = vm_lock_take(attempt.directory.fd, NULL);

	assert_true(lock_fd >= 0);
	assert_ending(ending_of(remove_named, &attempt), COMMAND_FAILED, "VM \"one\" is running\n");
	assert_ending(ending_of(remove_chosen, &attempt), STAYS,
		      "VM \"one\" is in use now: it stays\n");
	assert_true(is_there(&attempt));
	(void)close(lock_fd);
	assert_ending(ending_of(remove_named, &attempt), COMMAND_OK, "");
	end(&attempt);
}

static void used_since(void **state)
{
	struct attempt attempt;

	(void)state;
	begin(&attempt);
	attempt.accessed_s--;
	assert_ending(ending_of(remove_chosen, &attempt), STAYS,
		      "VM \"one\" is in use now: it stays\n");
	assert_true(is_there(&attempt));
	assert_ending(ending_of(remove_named, &attempt), COMMAND_OK, "");
	end(&attempt);
}

/* Another has removed it since it was opened. */
static void another_was_faster(void **state)
{
	struct attempt attempt;

	(void)state;
	begin(&attempt);
	assert_ending(ending_of(remove_named, &attempt), COMMAND_OK, "");
	attempt.accessed_s = vm_directory_usage(&attempt.directory).accessed_s;
	struct ending ending = ending_of(remove_named, &attempt);

	assert_int_equal(ending.code, COMMAND_VM_STATE);
	assert_non_null(strstr(ending.said, "\"one\""));
	assert_int_equal(ending_of(remove_chosen, &attempt).code, STAYS);
	end(&attempt);
}

/* Its assignment cannot be removed. */
static void fails(void **state)
{
	struct attempt attempt;

	(void)state;
	begin(&attempt);
	fake_assignments_refuse(VMNET_FAILURE, 1); /* of each child */
	struct ending ending = ending_of(remove_named, &attempt);

	assert_int_equal(ending.code, COMMAND_FAILED);
	assert_int_not_equal(ending.said[0], '\0');
	assert_ending(ending_of(remove_chosen, &attempt), COMMAND_FAILED, ending.said);
	assert_true(is_there(&attempt));
	fake_assignments_clear();
	end(&attempt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unused),     cmocka_unit_test(running),
		cmocka_unit_test(used_since), cmocka_unit_test(another_was_faster),
		cmocka_unit_test(fails),
	};

	return cmocka_run_group_tests(tests, made_home_setup, made_home_remove);
}
