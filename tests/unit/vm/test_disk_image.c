#include "vm/disk_image.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/error.h"
#include "scratch.h"

/* A qcow2 header of version 3, as qemu-img writes it for a disk of 1 GiB. */
static size_t good_qcow2(uint8_t *head)
{
	static const uint8_t start[] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };

	memset(head, 0, DISK_IMAGE_HEAD_SIZE);
	memcpy(head, start, sizeof(start));
	head[23] = 16;	 /* clusters of 64 KiB */
	head[28] = 0x40; /* 2^30 */
	head[103] = 104; /* the header's length */
	return 104;
}

static void test_qcow2(void **state)
{
	uint8_t head[DISK_IMAGE_HEAD_SIZE];
	struct disk_image image;
	struct error err;

	(void)state;
	size_t size = good_qcow2(head);
	assert_int_equal(disk_image_judge(head, size, 196624, &image, &err), 0);
	assert_int_equal(image.format, DISK_FORMAT_QCOW2);
	assert_int_equal(image.size, 1 << 30);
	head[7] = 2;
	assert_int_equal(disk_image_judge(head, 72, 196624, &image, &err), 0);
}

/* One byte of a good header changed, or the header cut. */
static void test_qcow2_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
		size_t size; /* 0 = whole */
		const char *reason;
	} rows[] = {
		{ 7, 1, 0, "damaged" },	    { 7, 4, 0, "damaged" },    { 23, 8, 0, "damaged" },
		{ 23, 22, 0, "damaged" },   { 28, 0, 0, "damaged" }, /* a disk of no bytes */
		{ 24, 0x80, 0, "damaged" },			     /* of 2^63 and more */
		{ 79, 2, 0, "damaged" },    { 23, 16, 79, "damaged" }, { 23, 16, 4, "damaged" },
		{ 35, 1, 0, "encrypted" },  { 35, 2, 0, "encrypted" },
	};
	uint8_t head[DISK_IMAGE_HEAD_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct disk_image image;
		struct error err = { .text = "" };
		size_t size = good_qcow2(head);
		head[rows[i].at] = rows[i].byte;
		if (rows[i].size)
			size = rows[i].size;
		assert_int_equal(disk_image_judge(head, size, 196624, &image, &err), -EINVAL);
		assert_non_null(strstr(err.text, rows[i].reason));
	}
}

/* Such an image may be the VM's own; one that somebody brings is refused. */
static void test_qcow2_on_another_file(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
		const char *reason;
	} rows[] = {
		{ 15, 104, "on top of another file" },
		{ 8, 1, "on top of another file" },
		{ 79, 4, "whose data are in another file" },
	};
	const struct scratch *scratch = *state;
	uint8_t head[DISK_IMAGE_HEAD_SIZE];
	char path[128];

	snprintf(path, sizeof(path), "%s/disk", scratch->path);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct disk_image image;
		struct error err = { .text = "" };
		int fd;
		size_t size = good_qcow2(head);
		head[rows[i].at] = rows[i].byte;
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_int_equal(write(fd, head, size), size);
		close(fd);
		assert_int_equal(disk_image_open(path, &fd, &image, &err), -EINVAL);
		assert_non_null(strstr(err.text, rows[i].reason));
		assert_int_equal(disk_image_look(scratch->fd, "disk", &image), 0);
		assert_string_equal(image.dependence, rows[i].reason);
		assert_int_equal(image.size, 1 << 30);
	}
}

static void test_raw(void **state)
{
	uint8_t head[DISK_IMAGE_HEAD_SIZE] = { 0 };
	struct disk_image image;
	struct error err;

	(void)state;
	assert_int_equal(disk_image_judge(head, 512, 512, &image, &err), 0);
	assert_int_equal(image.format, DISK_FORMAT_RAW);
	assert_int_equal(image.size, 512);
	assert_false(image.boots);
	head[510] = 0x55;
	head[511] = 0xaa;
	assert_int_equal(disk_image_judge(head, 1024, UINT64_C(1) << 40, &image, &err), 0);
	assert_true(image.boots);
	assert_int_equal(image.size, UINT64_C(1) << 40);
}

static void test_not_an_image(void **state)
{
	static const struct {
		const char *start;
		size_t size;
		size_t at;
		const char *reason;
	} rows[] = {
		{ "hello", 5, 0, NULL },
		{ "KDMV", 4, 0, "VMDK" },
		{ "# Disk DescriptorFile", 21, 0, "VMDK" },
		{ "vhdxfile", 8, 0, "VHDX" },
		{ "conectix", 8, 0, "VHD" },
		{ "\x7f\x10\xda\xbe", 4, 64, "VDI" },
		{ "QED\0", 4, 0, "QED" },
		{ "\x1f\x8b\x08", 3, 0, "gzip" },
		{ "\xfd"
		  "7zXZ\0",
		  6, 0, "xz" },
		{ "\x28\xb5\x2f\xfd", 4, 0, "zstd" },
		{ "BZh9", 4, 0, "bzip2" },
		{ "PK\x03\x04", 4, 0, "zip" },
		{ "\x7f"
		  "ELF",
		  4, 0, "program" },
	};
	uint8_t head[DISK_IMAGE_HEAD_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct disk_image image;
		struct error err = { .text = "" };
		memset(head, 0, sizeof(head));
		memcpy(head + rows[i].at, rows[i].start, rows[i].size);
		int r = disk_image_judge(head, sizeof(head), 1 << 20, &image, &err);
		assert_int_equal(r, rows[i].reason ? -EINVAL : 0);
		if (rows[i].reason)
			assert_non_null(strstr(err.text, rows[i].reason));
	}
}

static void test_sizes_that_no_disk_has(void **state)
{
	static const struct {
		size_t head;
		uint64_t size;
	} rows[] = { { 0, 0 }, { 1, 1 }, { 511, 511 }, { 513, 513 }, { 1024, 1025 }, { 0, 512 } };
	uint8_t head[DISK_IMAGE_HEAD_SIZE] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct disk_image image;
		struct error err = { .text = "" };
		assert_int_equal(disk_image_judge(head, rows[i].head, rows[i].size, &image, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, "is no disk image"));
	}
}

static void test_open(void **state)
{
	const struct scratch *scratch = *state;
	struct disk_image image;
	struct error err;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/disk", scratch->path);
	assert_int_equal(disk_image_open(path, &fd, &image, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	scratch_write(scratch->fd, "disk", "text");
	assert_int_equal(disk_image_open(path, &fd, &image, &err), -EINVAL);
	assert_int_equal(truncate(path, 1 << 20), 0);
	assert_int_equal(disk_image_open(path, &fd, &image, &err), 0);
	assert_int_equal(image.size, 1 << 20);
	close(fd);
	assert_int_equal(disk_image_look(scratch->fd, "disk", &image), 0);
	assert_int_equal(disk_image_look(scratch->fd, ".", &image), -EINVAL);
	/* A pipe must not hang us. */
	assert_int_equal(mkfifoat(scratch->fd, "pipe", 0600), 0);
	assert_int_equal(disk_image_look(scratch->fd, "pipe", &image), -EINVAL);
	assert_int_equal(disk_image_open("/dev/zero", &fd, &image, &err), -EINVAL);
}

static void test_names(void **state)
{
	enum disk_format format;

	(void)state;
	assert_true(disk_format_parse("raw", &format) && format == DISK_FORMAT_RAW);
	assert_true(disk_format_parse("qcow2", &format) && format == DISK_FORMAT_QCOW2);
	assert_false(disk_format_parse("RAW", &format));
	assert_false(disk_format_parse("", &format));
	assert_string_equal(disk_format_name(DISK_FORMAT_QCOW2), "qcow2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qcow2),
		cmocka_unit_test(test_qcow2_refused),
		cmocka_unit_test_setup_teardown(test_qcow2_on_another_file, scratch_setup,
						scratch_teardown),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_not_an_image),
		cmocka_unit_test(test_sizes_that_no_disk_has),
		cmocka_unit_test_setup_teardown(test_open, scratch_setup, scratch_teardown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
