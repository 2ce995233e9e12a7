#include "vm/mac_owner.h"

#include "scratch.h"
#include "vm/vm_config.h"
#include "vm/vm_directory.h"
#include "vm/vm_home.h"

static void make(const struct vm_home *home, const char *name, uint8_t octet)
{
	const struct vm_config config = {
		.cpu_count = 1,
		.memory_size = UINT64_C(64) << 20,
		.mac = { { 2, 0, 0, 0, 0, octet } },
		.boot = VM_BOOT_UEFI,
	};
	struct vm_draft draft;

	assert_int_equal(vm_draft_begin(home, &draft, NULL), 0);
	scratch_write(draft.fd, "nvram.bin", "x");
	assert_int_equal(vm_config_save(draft.fd, &config, NULL), 0);
	assert_int_equal(vm_draft_publish(home, &draft, name, NULL), 0);
	vm_draft_end(home, &draft);
}

static void assert_owner(const struct vm_home *home, uint8_t octet, const char *except,
			 const char *wanted)
{
	const struct mac_addr mac = { { 2, 0, 0, 0, 0, octet } };
	char name[VM_NAME_MOST + 1] = "before";

	assert_int_equal(mac_owner_find(home, &mac, except, name, NULL), 0);
	assert_string_equal(name, wanted);
}

static void test_owner(void **state)
{
	struct scratch *scratch = *state;
	struct vm_home home;

	setenv("TARTLET_HOME", scratch->path, 1);
	assert_int_equal(vm_home_open(&home, NULL), 0);
	assert_owner(&home, 1, "", "");
	make(&home, "one", 1);
	make(&home, "two", 2);
	make(&home, "twin", 2);
	/* One that cannot be read is nobody's collision. */
	assert_int_equal(mkdirat(home.vms_fd, "bad", 0700), 0);
	int fd = openat(home.vms_fd, "bad", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scratch_write(fd, "config.json", "{");
	close(fd);
	assert_owner(&home, 1, "", "one");
	assert_owner(&home, 1, "one", "");
	assert_owner(&home, 2, "twin", "two");
	assert_owner(&home, 2, "two", "twin");
	assert_owner(&home, 3, "", "");
	vm_home_close(&home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_owner, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
