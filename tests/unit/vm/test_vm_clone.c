#include "vm/vm_clone.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/seed_settings.h"
#include "vm/vm_config.h"
#include "vm/vm_directory.h"

struct fixture {
	struct scratch *scratch;
	struct vm_directory source;
	int copy_fd;
};

static int setup(void **state)
{
	static struct fixture fixture;
	void *scratch;

	scratch_setup(&scratch);
	fixture = (struct fixture){ .scratch = scratch, .source.name = "one" };
	assert_int_equal(mkdirat(fixture.scratch->fd, "one", 0700), 0);
	assert_int_equal(mkdirat(fixture.scratch->fd, "two", 0700), 0);
	fixture.source.fd = openat(fixture.scratch->fd, "one", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture.copy_fd = openat(fixture.scratch->fd, "two", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scratch_write(fixture.source.fd, "nvram.bin", "variables");
	scratch_write(fixture.source.fd, "disk.img", "the disk");
	scratch_write(
		fixture.source.fd, "config.json",
		"{\"version\": 1, \"os\": \"linux\", \"arch\": \"amd64\", \"cpuCount\": 3, "
		"\"memorySize\": 67108864, \"macAddress\": \"02:00:00:00:00:07\", \"firmware\": \"uefi\", "
		"\"disks\": [{\"file\": \"disk.img\", \"format\": \"raw\"}]}");
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	void *scratch = fixture->scratch;

	close(fixture->source.fd);
	close(fixture->copy_fd);
	return scratch_teardown(&scratch);
}

static void assert_file(int directory_fd, const char *name, const char *text)
{
	char *data;
	size_t size;

	assert_int_equal(files_read(directory_fd, name, 4096, &data, &size), 0);
	assert_string_equal(data, text);
	free(data);
}

static bool is_there(const struct fixture *fixture, const char *name)
{
	return faccessat(fixture->copy_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static const char *mac_of(int directory_fd, char text[MAC_ADDR_TEXT_SIZE])
{
	struct vm_config config;

	assert_int_equal(vm_config_load(directory_fd, &config, NULL), 0);
	mac_addr_format(&config.mac, text);
	vm_config_done(&config);
	return text;
}

static void bind_socket(const struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/one/control.sock",
		 fixture->scratch->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void test_all_of_the_vm_and_nothing_of_a_run(void **state)
{
	struct fixture *fixture = *state;
	char mac[MAC_ADDR_TEXT_SIZE];
	struct vm_config config;
	struct error err;

	static const char *const left[] = { "run.json", "qemu.log", "known_hosts",
					    ".config.json.1.new", "suspend.state.used" };
	for (size_t i = 0; i < ARRAY_COUNT(left); i++)
		scratch_write(fixture->source.fd, left[i], "x");
	bind_socket(fixture);
	assert_int_equal(mkdirat(fixture->source.fd, "directory", 0700), 0);
	/* A file that this version does not know. */
	scratch_write(fixture->source.fd, "later.json", "later");
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, &err), 0);
	assert_file(fixture->copy_fd, "nvram.bin", "variables");
	assert_file(fixture->copy_fd, "disk.img", "the disk");
	assert_file(fixture->copy_fd, "later.json", "later");
	for (size_t i = 0; i < ARRAY_COUNT(left); i++)
		assert_false(is_there(fixture, left[i]));
	assert_false(is_there(fixture, "control.sock"));
	assert_false(is_there(fixture, "directory"));
	assert_int_equal(vm_config_load(fixture->copy_fd, &config, NULL), 0);
	assert_int_equal(config.cpu_count, 3);
	assert_string_not_equal(mac_addr_format(&config.mac, mac), "02:00:00:00:00:07");
	vm_config_done(&config);
	assert_string_equal(mac_of(fixture->source.fd, mac), "02:00:00:00:00:07");
}

static void test_a_suspended_vm_keeps_its_mac(void **state)
{
	struct fixture *fixture = *state;
	char mac[MAC_ADDR_TEXT_SIZE];

	scratch_write(fixture->source.fd, VM_DIRECTORY_SAVED_STATE, "memory");
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, NULL), 0);
	assert_file(fixture->copy_fd, VM_DIRECTORY_SAVED_STATE, "memory");
	assert_string_equal(mac_of(fixture->copy_fd, mac), "02:00:00:00:00:07");
}

static void test_a_disk_elsewhere(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	assert_int_equal(renameat(fixture->source.fd, "disk.img", fixture->scratch->fd, "else"), 0);
	assert_int_equal(symlinkat("../else", fixture->source.fd, "disk.img"), 0);
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, NULL), 0);
	assert_int_equal(fstatat(fixture->copy_fd, "disk.img", &status, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(status.st_mode));
	assert_file(fixture->copy_fd, "disk.img", "the disk");
}

/* It would be a VM without a disk. */
static void test_a_disk_that_cannot_be_copied(void **state)
{
	static const char text[] =
		"{\"version\": 1, \"os\": \"linux\", \"arch\": \"amd64\", \"cpuCount\": 3, "
		"\"memorySize\": 67108864, \"macAddress\": \"02:00:00:00:00:07\", \"firmware\": \"uefi\", "
		"\"disks\": [{\"file\": \"qemu.log\", \"format\": \"raw\"}]}";
	struct fixture *fixture = *state;
	struct error err;

	assert_int_equal(unlinkat(fixture->source.fd, "disk.img", 0), 0);
	assert_int_equal(mkfifoat(fixture->source.fd, "disk.img", 0600), 0);
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "cannot copy disk.img of VM \"one\": it is neither a regular "
				      "file nor a block device");
	assert_false(is_there(fixture, "config.json"));
	scratch_write(fixture->source.fd, "qemu.log", "x");
	scratch_write(fixture->source.fd, "config.json", text);
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, &err), -EINVAL);
	assert_string_equal(err.text,
			    "cannot copy qemu.log of VM \"one\": a file of a VM should not "
			    "be called so");
}

static void test_a_broken_config(void **state)
{
	struct fixture *fixture = *state;
	struct error err;

	scratch_write(fixture->source.fd, "config.json", "{}");
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, &err), -EINVAL);
	assert_string_equal(err.text,
			    "VM \"one\": config.json: \"version\" is missing (a whole number)");
}

struct watched {
	struct files_progress files;
	uint64_t done;
	uint64_t total;
};

static void watch(struct files_progress *files, uint64_t done, uint64_t total)
{
	struct watched *watched = (struct watched *)files;

	assert_true(done >= watched->done && done <= total);
	watched->done = done;
	watched->total = total;
}

static void test_progress_over_all_files(void **state)
{
	struct fixture *fixture = *state;
	struct watched watched = { .files.advance = watch };

	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, &watched.files, NULL),
			 0);
	assert_int_equal(watched.total, strlen("variables") + strlen("the disk"));
	assert_int_equal(watched.done, watched.total);
}

static void test_failures(void **state)
{
	struct fixture *fixture = *state;
	struct error err;

	scratch_write(fixture->copy_fd, "disk.img", "in the way");
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, &err), -EEXIST);
	assert_string_equal(err.text, "cannot copy disk.img of VM \"one\": File exists");
	assert_int_equal(symlinkat("nowhere", fixture->source.fd, "extra.img"), 0);
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, &err), -ENOENT);
	assert_string_equal(err.text,
			    "cannot copy extra.img of VM \"one\": No such file or directory");
	assert_int_equal(unlinkat(fixture->source.fd, "nvram.bin", 0), 0);
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, &err), -ENOENT);
	assert_string_equal(err.text, "VM is missing files for a supported layout: nvram.bin");
}

/* The same keys for another instance. */
static void test_seed_is_another_instance(void **state)
{
	const struct fixture *fixture = *state;
	struct seed_settings source = { 0 };
	struct seed_settings copy;

	assert_int_equal(seed_settings_set_hostname(&source, "box", NULL), 0);
	assert_int_equal(seed_settings_save(fixture->source.fd, &source, NULL), 0);
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, NULL), 0);
	assert_int_equal(seed_settings_load(fixture->copy_fd, &copy, NULL), 0);
	assert_string_equal(copy.hostname, "box");
	assert_string_not_equal(copy.instance_id, source.instance_id);
	seed_settings_done(&copy);
	/* What cannot be read is not copied as if it were whole. */
	scratch_write(fixture->source.fd, SEED_FILE_NAME, "{}");
	assert_int_equal(unlinkat(fixture->copy_fd, "disk.img", 0), 0);
	assert_int_equal(unlinkat(fixture->copy_fd, "nvram.bin", 0), 0);
	assert_int_equal(unlinkat(fixture->copy_fd, SEED_FILE_NAME, 0), 0);
	assert_int_equal(vm_clone_fill(&fixture->source, fixture->copy_fd, NULL, NULL), -EINVAL);
	seed_settings_done(&source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_of_the_vm_and_nothing_of_a_run, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_suspended_vm_keeps_its_mac, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seed_is_another_instance, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_disk_that_cannot_be_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_broken_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_disk_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_progress_over_all_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
