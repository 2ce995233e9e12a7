/* vm_export() and vm_import(): what one writes the other makes files of again. */

#include "vm/vm_export.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/vm_config.h"
#include "vm/vm_home.h"
#include "vm/vm_import.h"

#define MIB  ((off_t)1 << 20)
#define ROOM (UINT64_C(16) << 20)

/* A disk: where there are data, a megabyte each, and its size. */
struct layout {
	const char *what;
	off_t data[3]; /* -1: no more */
	off_t size;
};

static const struct layout layouts[] = {
	{ "all hole", { -1, -1, -1 }, 40 * MIB },
	{ "no hole", { 0, -1, -1 }, MIB },
	{ "hole at the end", { 0, -1, -1 }, 40 * MIB },
	{ "hole at the begin", { 39 * MIB, -1, -1 }, 40 * MIB },
	{ "holes everywhere", { 3 * MIB, 4 * MIB, 20 * MIB }, 40 * MIB },
	{ "one sector", { -1, -1, -1 }, 512 },
};

struct fixture {
	struct scratch *scratch;
	struct vm_home home;
};

static int setup(void **state)
{
	static struct fixture fixture;
	void *scratch;

	scratch_setup(&scratch);
	fixture.scratch = scratch;
	setenv("TARTLET_HOME", fixture.scratch->path, 1);
	assert_int_equal(vm_home_open(&fixture.home, NULL), 0);
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

static void make_disk(int directory_fd, const struct layout *layout)
{
	static char data[MIB];
	int fd = openat(directory_fd, "root", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, layout->size), 0);
	for (size_t i = 0; i < ARRAY_COUNT(layout->data) && layout->data[i] >= 0; i++) {
		memset(data, 'a' + (int)i, sizeof(data));
		assert_int_equal(pwrite(fd, data, sizeof(data), layout->data[i]), sizeof(data));
	}
	close(fd);
}

static void make_vm(const struct vm_home *home, const struct layout *layout,
		    struct vm_directory *ret_directory)
{
	char kernel[] = "vmlinuz";
	char initrd[] = "initrd";
	char cmdline[] = "a=b";
	char disk[] = "root";
	const struct vm_config config = {
		.cpu_count = 3,
		.memory_size = UINT64_C(64) << 20,
		.mac = { { 2, 0, 0, 0, 0, 9 } },
		.boot = VM_BOOT_KERNEL,
		.kernel = kernel,
		.initrd = initrd,
		.cmdline = cmdline,
		.disks = { { .file = disk, .format = DISK_FORMAT_RAW } },
		.disk_count = 1,
	};
	struct vm_draft draft;

	assert_int_equal(vm_draft_begin(home, &draft, NULL), 0);
	scratch_write(draft.fd, "vmlinuz", "kernel");
	scratch_write(draft.fd, "initrd", "");
	make_disk(draft.fd, layout);
	assert_int_equal(vm_config_save(draft.fd, &config, NULL), 0);
	assert_int_equal(vm_draft_replace(home, &draft, "one", NULL), 0);
	vm_draft_end(home, &draft);
	assert_int_equal(vm_directory_open(home, "one", ret_directory, NULL), 0);
}

/* The archive of it, from its begin. */
static int export_vm(const struct vm_home *home, const struct layout *layout)
{
	struct vm_directory directory;
	struct error err = { .text = "" };
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert_true(fd >= 0);
	make_vm(home, layout, &directory);
	if (vm_export(home, &directory, fd, NULL, &err) < 0)
		print_error("%s: %s\n", layout->what, err.text);
	assert_string_equal(err.text, "");
	vm_directory_close(&directory);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void assert_same(int one_fd, const char *one, int other_fd, const char *other)
{
	char *text;
	char *other_text;
	size_t size;
	size_t other_size;

	assert_int_equal(files_read(one_fd, one, 64 * MIB, &text, &size), 0);
	assert_int_equal(files_read(other_fd, other, 64 * MIB, &other_text, &other_size), 0);
	assert_int_equal(size, other_size);
	assert_memory_equal(text, other_text, size);
	free(text);
	free(other_text);
}

static void test_there_and_back(void **state)
{
	struct fixture *fixture = *state;
	struct vm_home *home = &fixture->home;

	for (size_t i = 0; i < ARRAY_COUNT(layouts); i++) {
		struct vm_directory directory;
		struct vm_config config;
		struct vm_draft draft;
		struct stat before;
		struct stat after;
		int fd = export_vm(home, &layouts[i]);

		assert_int_equal(vm_draft_begin(home, &draft, NULL), 0);
		assert_int_equal(vm_import(fd, draft.fd, ROOM, NULL, &config, NULL), 0);
		assert_int_equal(vm_directory_open(home, "one", &directory, NULL), 0);
		assert_same(directory.fd, "root", draft.fd, "disk.img");
		assert_same(directory.fd, "vmlinuz", draft.fd, "kernel");
		assert_same(directory.fd, "initrd", draft.fd, "initrd");
		assert_int_equal(fstatat(directory.fd, "root", &before, 0), 0);
		assert_int_equal(fstatat(draft.fd, "disk.img", &after, 0), 0);
		assert_true(after.st_blocks <= before.st_blocks + 16);
		assert_int_equal(config.cpu_count, 3);
		assert_string_equal(config.cmdline, "a=b");
		assert_string_equal(config.disks[0].file, "disk.img");
		assert_int_equal(faccessat(draft.fd, "config.json", F_OK, 0), -1);
		vm_config_done(&config);
		vm_directory_close(&directory);
		vm_draft_end(home, &draft);
		close(fd);
	}
}

static void test_room(void **state)
{
	static const struct {
		uint64_t room;
		int status;
	} rows[] = {
		/* three megabytes, and six bytes of a kernel */
		{ (UINT64_C(3) << 20) + 6, 0 },
		{ (UINT64_C(3) << 20) + 5, -ENOSPC },
		{ 0, -ENOSPC },
	};
	struct fixture *fixture = *state;
	int fd = export_vm(&fixture->home, &layouts[4]);

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct vm_config config;
		struct vm_draft draft;
		struct error err;

		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(vm_draft_begin(&fixture->home, &draft, NULL), 0);
		assert_int_equal(vm_import(fd, draft.fd, rows[i].room, NULL, &config, &err),
				 rows[i].status);
		if (rows[i].status == 0)
			vm_config_done(&config);
		vm_draft_end(&fixture->home, &draft);
	}
	close(fd);
}

/* What was cut off anywhere is not taken for a whole. */
static void test_cut(void **state)
{
	struct fixture *fixture = *state;
	int fd = export_vm(&fixture->home, &layouts[4]);
	off_t size = lseek(fd, 0, SEEK_END);

	for (off_t cut = size - 1; cut >= 0; cut -= 1 + size / 40) {
		struct vm_config config;
		struct vm_draft draft;
		struct error err = { .text = "" };

		assert_int_equal(ftruncate(fd, cut), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(vm_draft_begin(&fixture->home, &draft, NULL), 0);
		assert_int_equal(vm_import(fd, draft.fd, ROOM, NULL, &config, &err), -EINVAL);
		assert_true(err.text[0] != 0);
		vm_draft_end(&fixture->home, &draft);
	}
	close(fd);
}

/* A bit that turned anywhere, also one of the data, is found, or says nothing (as that of the window's size in the
 * header of zstd's frame). */
static void test_damaged(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;
	unsigned refused = 0;
	unsigned count = 0;
	int fd = export_vm(&fixture->home, &layouts[4]);
	off_t size = lseek(fd, 0, SEEK_END);
	off_t step = 1 + size / 50;

	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	for (off_t place = size - 1; place >= 0; place -= step) {
		struct vm_config config;
		struct vm_draft draft;
		struct error err = { .text = "" };
		uint8_t good;
		uint8_t bad;

		assert_int_equal(pread(fd, &good, 1, place), 1);
		bad = good ^ (uint8_t)(1U << (unsigned)(place % 8));
		assert_int_equal(pwrite(fd, &bad, 1, place), 1);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(vm_draft_begin(&fixture->home, &draft, NULL), 0);
		count++;
		if (vm_import(fd, draft.fd, ROOM, NULL, &config, &err) < 0) {
			assert_true(err.text[0] != 0);
			refused++;
		} else {
			assert_same(directory.fd, "root", draft.fd, "disk.img");
			assert_same(directory.fd, "vmlinuz", draft.fd, "kernel");
			vm_config_done(&config);
		}
		vm_draft_end(&fixture->home, &draft);
		assert_int_equal(pwrite(fd, &good, 1, place), 1);
	}
	assert_true(refused + 2 >= count && count > 40);
	vm_directory_close(&directory);
	close(fd);
}

static void test_no_room_to_write(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;
	struct error err;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	make_vm(&fixture->home, &layouts[1], &directory);
	assert_int_equal(vm_export(&fixture->home, &directory, fd, NULL, &err), -ENOSPC);
	assert_string_equal(err.text, "cannot write the archive: No space left on device");
	vm_directory_close(&directory);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
		TEST(test_there_and_back),   TEST(test_room), TEST(test_cut), TEST(test_damaged),
		TEST(test_no_room_to_write),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
