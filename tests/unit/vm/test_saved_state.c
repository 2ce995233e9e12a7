#include "vm/saved_state.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/saved_machine.h"
#include "vm/vm_directory.h"

static struct saved_machine make(void)
{
	struct saved_machine machine = {
		.qemu = { 7, 2 },
		.accel = ACCEL_TCG,
		.attach = NET_ATTACH_STREAM,
		.cpu_count = 2,
		.memory_size = 256 << 20,
		.arguments = json_array(),
	};

	assert_true(mac_addr_parse("02:00:00:00:00:01", &machine.mac) &&
		    ip_prefix_parse("10.1.2.0/30", &machine.subnet) &&
		    ip_addr_parse("10.1.2.2", &machine.address));
	return machine;
}

static bool is_there(const struct scratch *scratch, const char *name)
{
	return faccessat(scratch->fd, name, F_OK, 0) == 0;
}

/* Some memory of a guest, saved. */
static void save(const struct scratch *scratch)
{
	struct saved_machine machine = make();
	struct error err;

	int fd = saved_state_begin(scratch->fd, &err);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "memory", 6), 6);
	assert_int_equal(saved_state_commit(scratch->fd, fd, &machine, &err), 0);
	close(fd);
	saved_machine_done(&machine);
}

static void test_save_and_open(void **state)
{
	const struct scratch *scratch = *state;
	struct saved_machine machine = make();
	struct saved_machine opened;
	struct error err;
	char data[16];
	int fd = -1;

	assert_int_equal(saved_state_open(scratch->fd, &fd, &opened, &err), -ENOENT);
	save(scratch);
	assert_int_equal(saved_state_open(scratch->fd, &fd, &opened, &err), 0);
	assert_true(saved_machine_fits(&machine, &opened, &err));
	assert_int_equal(read(fd, data, sizeof(data)), 6);
	assert_memory_equal(data, "memory", 6);
	close(fd);
	saved_machine_done(&opened);
	saved_machine_done(&machine);
}

static void test_cannot_begin(void **state)
{
	const struct scratch *scratch = *state;
	struct error err;

	assert_int_equal(mkdirat(scratch->fd, VM_DIRECTORY_SAVED_STATE ".new", 0700), 0);
	assert_int_equal(saved_state_begin(scratch->fd, &err), -EISDIR);
	assert_non_null(strstr(err.text, "Is a directory"));
}

static void test_commit_fails(void **state)
{
	const struct scratch *scratch = *state;
	struct saved_machine machine = make();
	struct error err;

	int fd = saved_state_begin(scratch->fd, &err);
	assert_true(fd >= 0);
	assert_int_equal(mkdirat(scratch->fd, VM_DIRECTORY_SAVED_STATE, 0700), 0);
	assert_int_equal(saved_state_commit(scratch->fd, fd, &machine, &err), -EISDIR);
	assert_non_null(strstr(err.text, VM_DIRECTORY_SAVED_STATE));
	close(fd);
	saved_machine_done(&machine);
}

static void test_aside_and_back(void **state)
{
	const struct scratch *scratch = *state;

	save(scratch);
	assert_int_equal(saved_state_set_aside(scratch->fd), 0);
	assert_false(is_there(scratch, VM_DIRECTORY_SAVED_STATE));
	assert_int_equal(saved_state_put_back(scratch->fd), 0);
	assert_true(is_there(scratch, VM_DIRECTORY_SAVED_STATE));
	assert_int_equal(saved_state_set_aside(scratch->fd), 0);
	saved_state_sweep(scratch->fd);
	assert_int_equal(saved_state_put_back(scratch->fd), -ENOENT);
}

static void test_sweep_and_remove(void **state)
{
	const struct scratch *scratch = *state;
	struct error err;

	save(scratch);
	int fd = saved_state_begin(scratch->fd, &err); /* and a run that was killed */
	assert_true(fd >= 0);
	close(fd);
	saved_state_sweep(scratch->fd);
	assert_false(is_there(scratch, VM_DIRECTORY_SAVED_STATE ".new"));
	assert_true(is_there(scratch, VM_DIRECTORY_SAVED_STATE));
	assert_int_equal(saved_state_remove(scratch->fd, &err), 0);
	assert_false(is_there(scratch, VM_DIRECTORY_SAVED_STATE));
	assert_int_equal(saved_state_remove(scratch->fd, &err), 0);
	assert_int_equal(mkdirat(scratch->fd, VM_DIRECTORY_SAVED_STATE, 0700), 0);
	assert_int_equal(saved_state_remove(scratch->fd, &err), -EISDIR);
}

static void test_damaged(void **state)
{
	const struct scratch *scratch = *state;
	struct saved_machine opened;
	struct error err;
	int fd = -1;

	/* Cut in its header, then with an overwritten byte of it. */
	scratch_write(scratch->fd, VM_DIRECTORY_SAVED_STATE, "tartlet-suspend\n");
	assert_int_equal(saved_state_open(scratch->fd, &fd, &opened, &err), -EINVAL);
	assert_string_equal(err.text, "its saved state suspend.state is damaged");
	assert_int_equal(unlinkat(scratch->fd, VM_DIRECTORY_SAVED_STATE, 0), 0);
	save(scratch);
	int raw_fd = openat(scratch->fd, VM_DIRECTORY_SAVED_STATE, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(raw_fd, "T", 1, 0), 1);
	close(raw_fd);
	assert_int_equal(saved_state_open(scratch->fd, &fd, &opened, &err), -EINVAL);
	/* Not a file, and one that is somewhere else. */
	assert_int_equal(unlinkat(scratch->fd, VM_DIRECTORY_SAVED_STATE, 0), 0);
	assert_int_equal(mkdirat(scratch->fd, VM_DIRECTORY_SAVED_STATE, 0700), 0);
	assert_int_equal(saved_state_open(scratch->fd, &fd, &opened, &err), -EINVAL);
	assert_int_equal(unlinkat(scratch->fd, VM_DIRECTORY_SAVED_STATE, AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("elsewhere", scratch->fd, VM_DIRECTORY_SAVED_STATE), 0);
	assert_int_equal(saved_state_open(scratch->fd, &fd, &opened, &err), -ELOOP);
	assert_non_null(strstr(err.text, "cannot be read"));
	assert_int_equal(fd, -1);
}

static void test_length_lies(void **state)
{
	static const char header[] = "tartlet-suspend\n\xff\xff\xff\xff{}";
	struct saved_machine machine;

	(void)state;
	for (size_t size = 0; size < sizeof(header); size++)
		assert_false(saved_state_parse(header, size, &machine));
}

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SCRATCH(test_save_and_open),    WITH_SCRATCH(test_cannot_begin),
		WITH_SCRATCH(test_commit_fails),     WITH_SCRATCH(test_aside_and_back),
		WITH_SCRATCH(test_sweep_and_remove), WITH_SCRATCH(test_damaged),
		cmocka_unit_test(test_length_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
