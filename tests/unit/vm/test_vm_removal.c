#include "vm/vm_removal.h"

#include <errno.h>

#include "base/error.h"
#include "fake_assignments.h"
#include "scratch.h"
#include "vm/vm_home.h"

struct fixture {
	struct scratch *scratch;
	struct vm_home home;
};

static void make(const struct vm_home *home, const char *name)
{
	struct vm_draft draft;

	assert_int_equal(vm_draft_begin(home, &draft, NULL), 0);
	scratch_write(draft.fd, "config.json", "{}");
	scratch_write(draft.fd, "disk.img", "the disk");
	assert_int_equal(vm_draft_publish(home, &draft, name, NULL), 0);
	vm_draft_end(home, &draft);
}

static int setup(void **state)
{
	static struct fixture fixture;
	void *scratch;

	scratch_setup(&scratch);
	fixture.scratch = scratch;
	setenv("TARTLET_HOME", fixture.scratch->path, 1);
	assert_int_equal(vm_home_open(&fixture.home, NULL), 0);
	make(&fixture.home, "one");
	make(&fixture.home, "two");
	fake_assignments_clear();
	fake_assignments_put("one", 7);
	fake_assignments_put("old", 8);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	void *scratch = fixture->scratch;

	vm_home_close(&fixture->home);
	return scratch_teardown(&scratch);
}

static bool is_there(const struct fixture *fixture, const char *path)
{
	return faccessat(fixture->home.fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int delete_vm(const struct fixture *fixture, const char *name, struct error *err)
{
	struct vm_directory directory;

	assert_int_equal(vm_directory_open(&fixture->home, name, &directory, NULL), 0);
	int r = vm_removal(&fixture->home, &directory, err);
	vm_directory_close(&directory);
	return r;
}

static void test_all_of_it_goes(void **state)
{
	const struct fixture *fixture = *state;

	assert_int_equal(delete_vm(fixture, "one", NULL), 0);
	assert_false(is_there(fixture, "vms/one"));
	assert_true(is_there(fixture, "vms/two"));
	assert_int_equal(fake_assignments_get("one"), 0);
	assert_int_equal(fake_assignments_get("old"), 8);
}

/* The VM's files make room where the records find none, and where they do not suffice it stays to be
 * deleted again. */
static void test_no_room(void **state)
{
	const struct fixture *fixture = *state;
	struct error err;

	fake_assignments_refuse(VMNET_BUFFER_EXHAUSTED, 1);
	assert_int_equal(delete_vm(fixture, "one", &err), 0);
	assert_false(is_there(fixture, "vms/one"));
	assert_int_equal(fake_assignments_get("one"), 0);
	fake_assignments_refuse(VMNET_BUFFER_EXHAUSTED, 2);
	assert_int_equal(delete_vm(fixture, "two", &err), -ENOSPC);
	assert_non_null(strstr(err.text, "the files of VM \"two\" are removed, the VM is not: "));
	assert_true(is_there(fixture, "vms/two/config.json"));
	assert_false(is_there(fixture, "vms/two/disk.img"));
	assert_int_equal(delete_vm(fixture, "two", &err), 0);
}

/* A rename that was killed, and cannot be completed on a full disk, does not stand in the way. */
static void test_no_room_for_what_was_begun(void **state)
{
	const struct fixture *fixture = *state;
	static const char begun[] = "{\"do\": \"rename\", \"from\": \"old\", \"to\": \"two\"}";

	scratch_write(fixture->home.tmp_fd, VM_HOME_JOURNAL, begun);
	fake_assignments_refuse(VMNET_BUFFER_EXHAUSTED, 1);
	assert_int_equal(delete_vm(fixture, "one", NULL), 0);
	assert_false(is_there(fixture, "vms/one"));
	assert_false(is_there(fixture, "tmp/" VM_HOME_JOURNAL));
	assert_int_equal(fake_assignments_get("one"), 0);
	assert_int_equal(fake_assignments_get("two"), 8);
	/* Another reason is no reason to remove anything. */
	scratch_write(fixture->home.tmp_fd, VM_HOME_JOURNAL, "{}");
	assert_int_equal(delete_vm(fixture, "two", NULL), -EINVAL);
	assert_true(is_there(fixture, "vms/two/disk.img"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_of_it_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room_for_what_was_begun, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
