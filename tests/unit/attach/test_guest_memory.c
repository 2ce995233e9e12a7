/* The guest's memory as the front end shares it: what is accepted, and what an address finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "attach/vhost_user/dirty_log.h"
#include "attach/vhost_user/guest_memory.h"
#include "vhost_guest.h"

#define PAGE 4096

/* Maps regions of one sealed file of 64 pages. */
static int map(const struct vhost_region *regions, size_t count, struct guest_memory *memory)
{
	int fd = vhost_guest_memfd((size_t)64 * PAGE, true);
	int fds[VHOST_REGIONS_MOST];
	struct error err = {};

	for (size_t i = 0; i < count; i++)
		fds[i] = fd;
	int status = guest_memory_map(regions, fds, count, false, memory, &err);
	assert_int_equal(status < 0, err.text[0] != '\0');
	(void)close(fd);
	return status;
}

static void regions_that_are_refused(void **state)
{
	static const struct {
		struct vhost_region regions[2];
		size_t count;
		int status;
	} cases[] = {
		{ { { 0, PAGE, 0x10000, 0 } }, 1, 0 },
		{ { { 0, 0, 0x10000, 0 } }, 1, -EINVAL },
		/* size and offset against the file (CVE-2020-10722) */
		{ { { 0, 64 * PAGE, 0x10000, 0 } }, 1, 0 },
		{ { { 0, 64 * PAGE + 1, 0x10000, 0 } }, 1, -EINVAL },
		{ { { 0, PAGE, 0x10000, 63 * PAGE } }, 1, 0 },
		{ { { 0, PAGE, 0x10000, 63 * PAGE + 1 } }, 1, -EINVAL },
		{ { { 0, PAGE, 0x10000, UINT64_MAX } }, 1, -EINVAL },
		{ { { 0, PAGE, 0x10000, UINT64_MAX - PAGE + 1 } }, 1, -EINVAL },
		{ { { 0, UINT64_MAX, 0x10000, PAGE } }, 1, -EINVAL },
		{ { { 0, UINT64_MAX, 0, 0 } }, 1, -EINVAL },
		{ { { 0, (uint64_t)1 << 63, 0, (uint64_t)1 << 63 } }, 1, -EINVAL },
		/* the guest's and the front end's addresses */
		{ { { UINT64_MAX, PAGE, 0x10000, 0 } }, 1, -EINVAL },
		{ { { UINT64_MAX - PAGE + 1, PAGE, 0x10000, 0 } }, 1, -EINVAL },
		{ { { UINT64_MAX - PAGE, PAGE, 0x10000, 0 } }, 1, 0 },
		{ { { 0, PAGE, UINT64_MAX - 1, 0 } }, 1, -EINVAL },
		/* two */
		{ { { 0, PAGE, 0x10000, 0 }, { PAGE, PAGE, 0x20000, PAGE } }, 2, 0 },
		{ { { 0, PAGE, 0x10000, 0 }, { PAGE - 1, PAGE, 0x20000, PAGE } }, 2, -EINVAL },
		{ { { PAGE, PAGE, 0x10000, 0 }, { 0, PAGE + 1, 0x20000, 0 } }, 2, -EINVAL },
		{ { { 0, 4 * PAGE, 0x10000, 0 }, { PAGE, PAGE, 0x20000, 0 } }, 2, -EINVAL },
		{ { { PAGE, PAGE, 0x10000, 0 }, { 0, 4 * PAGE, 0x20000, 0 } }, 2, -EINVAL },
		{ { { 0, PAGE, 0x10000, 0 }, { 0, PAGE, 0x20000, 0 } }, 2, -EINVAL },
		{ { { 0, PAGE, 0x10000, 0 }, { PAGE, 0, 0x20000, 0 } }, 2, -EINVAL },
		/* one piece of the front end's memory at two places of the guest's */
		{ { { 0, PAGE, 0x10000, 0 }, { PAGE, PAGE, 0x10000, 0 } }, 2, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct guest_memory memory = {};
		int status = map(cases[i].regions, cases[i].count, &memory);

		if (status != cases[i].status)
			print_error("case %zu\n", i);
		assert_int_equal(status, cases[i].status);
		assert_int_equal(memory.count, status == 0 ? cases[i].count : 0);
		guest_memory_unmap(&memory);
	}
}

/* Memory that can shrink would end us by SIGBUS. */
static void unsealed_memory(void **state)
{
	const struct vhost_region region = { 0, PAGE, 0x10000, 0 };
	struct guest_memory memory = {};
	struct error err = {};
	int fd = vhost_guest_memfd(PAGE, false);
	FILE *file = tmpfile();
	int plain_fd = fileno(file);
	int pipe_fds[2];

	(void)state;
	assert_int_equal(guest_memory_map(&region, &fd, 1, false, &memory, &err), -EPERM);
	assert_non_null(strstr(err.text, "F_SEAL_SHRINK"));
	assert_int_equal(guest_memory_map(&region, &fd, 1, true, &memory, &err), 0);
	guest_memory_unmap(&memory);
	/* One that grows only is no help. */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(guest_memory_map(&region, &fd, 1, false, &memory, &err), -EPERM);
	/* Already shrunk: also who trusts the front end wants to map what is there. */
	assert_int_equal(ftruncate(fd, PAGE / 2), 0);
	assert_int_equal(guest_memory_map(&region, &fd, 1, true, &memory, &err), -EINVAL);
	(void)close(fd);

	assert_int_equal(ftruncate(plain_fd, PAGE), 0);
	assert_int_equal(guest_memory_map(&region, &plain_fd, 1, false, &memory, &err), -EPERM);
	(void)fclose(file);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(guest_memory_map(&region, &pipe_fds[0], 1, true, &memory, &err), -EINVAL);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

/* A page of a sealed file that is not to be had is SIGBUS, too. Whoever is trusted has them. */
static void memory_of_huge_pages(void **state)
{
	const size_t size = (size_t)1 << 30; /* whole pages, whatever their size */
	const struct vhost_region region = { 0, size, 0, 0 };
	struct guest_memory memory = {};
	struct dirty_log log = {};
	struct error err = {};
	int fd = vhost_guest_hugetlb_memfd(size);

	(void)state;
	assert_int_equal(guest_memory_map(&region, &fd, 1, false, &memory, &err), -EPERM);
	assert_non_null(strstr(err.text, "without hugetlb=on)"));
	assert_int_equal(memory.count, 0);
	err = (struct error){};
	assert_int_equal(dirty_log_open(&log, fd, 0, PAGE, false, &err), -EPERM);
	assert_non_null(strstr(err.text, "without hugetlb=on)"));
	assert_false(dirty_log_is_open(&log));
	/* Mapped only, not touched: this machine may have none. */
	assert_int_equal(guest_memory_map(&region, &fd, 1, true, &memory, &err), 0);
	guest_memory_unmap(&memory);
	(void)close(fd);
}

/* What the owner of an ordinary sealed file punches out reads as zeroes. */
static void memory_with_a_hole(void **state)
{
	const struct vhost_region region = { 0, PAGE, 0, 0 };
	struct guest_memory memory = {};
	struct error err = {};
	int fd = vhost_guest_memfd(PAGE, true);
	uint8_t byte = 1;

	(void)state;
	assert_int_equal(guest_memory_map(&region, &fd, 1, false, &memory, &err), 0);
	memory.regions[0].map.bytes[0] = 7;
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	assert_true(guest_memory_read(&memory, 0, &byte, 1));
	assert_int_equal(byte, 0);
	guest_memory_unmap(&memory);
	(void)close(fd);
}

static void addresses(void **state)
{
	/* Two that touch in the guest's addresses but not in the file, and one far above. */
	static const struct vhost_region regions[] = {
		{ 0x1000, 0x1000, 0x700000, 0x8000 },
		{ 0x2000, 0x2000, 0x500000, 0x1000 },
		{ VHOST_GUEST_HIGH, 0x1000, 0x600000, 0x4000 },
	};
	static const struct {
		uint64_t address;
		uint64_t size;
		bool good;
		size_t parts;
	} cases[] = {
		{ 0x1000, 0x1000, true, 1 },
		{ 0x1000, 0x3000, true, 2 },
		{ 0x1fff, 2, true, 2 },
		{ 0x1000, 0x3001, false, 0 },
		{ 0xfff, 1, false, 0 },
		{ 0xfff, 2, false, 0 },
		{ 0x3fff, 1, true, 1 },
		{ 0x4000, 1, false, 0 },
		{ VHOST_GUEST_HIGH, 0x1000, true, 1 },
		{ VHOST_GUEST_HIGH + 0xfff, 2, false, 0 },
		{ 0x1000, UINT64_MAX, false, 0 },
		{ UINT64_MAX, 1, false, 0 },
		{ UINT64_MAX, UINT64_MAX, false, 0 },
		{ VHOST_GUEST_HIGH, UINT64_MAX - VHOST_GUEST_HIGH + 1, false, 0 },
		/* no bytes, at a good and at bad addresses (CVE-2020-10725) */
		{ 0x1000, 0, true, 0 },
		{ 0x3fff, 0, true, 0 },
		{ 0x4000, 0, false, 0 },
		{ 0, 0, false, 0 },
		{ UINT64_MAX, 0, false, 0 },
	};
	struct guest_memory memory = {};
	struct iovec parts[4];

	(void)state;
	assert_int_equal(map(regions, 3, &memory), 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		size_t count = 0;

		if (guest_memory_translate(&memory, cases[i].address, cases[i].size, parts, 4,
					   &count) != cases[i].good)
			fail_msg("case %zu", i);
		assert_int_equal(count, cases[i].parts);
		size_t size = 0;
		for (size_t j = 0; j < count; j++) {
			assert_int_equal(guest_memory_address_of(&memory, parts[j].iov_base),
					 cases[i].address + size);
			size += parts[j].iov_len;
		}
		if (count > 0)
			assert_int_equal(size, cases[i].size);
	}
	/* Appends, and never beyond the capacity. */
	size_t count = 3;
	assert_false(guest_memory_translate(&memory, 0x1000, 0x3000, parts, 4, &count));
	assert_int_equal(count, 3);
	assert_true(guest_memory_translate(&memory, 0x1000, 1, parts, 4, &count));
	assert_int_equal(count, 4);
	assert_false(guest_memory_translate(&memory, 0x1000, 1, parts, 4, &count));
	guest_memory_unmap(&memory);
}

static void bytes_across_regions(void **state)
{
	static const struct vhost_region regions[] = {
		{ 0x1000, 0x1000, 0x700000, 0x8000 },
		{ 0x2000, 0x1000, 0x500000, 0x1000 },
	};
	struct guest_memory memory = {};
	uint8_t bytes[4] = {};

	(void)state;
	assert_int_equal(map(regions, 2, &memory), 0);
	memory.regions[0].map.bytes[0xffe] = 1;
	memory.regions[0].map.bytes[0xfff] = 2;
	memory.regions[1].map.bytes[0] = 3;
	memory.regions[1].map.bytes[1] = 4;
	assert_true(guest_memory_read(&memory, 0x1ffe, bytes, 4));
	assert_memory_equal(bytes, ((uint8_t[]){ 1, 2, 3, 4 }), 4);
	assert_false(guest_memory_read(&memory, 0x2ffe, bytes, 4));
	guest_memory_unmap(&memory);
}

/* As many as there may be, told in no order of the guest's or the file's, and bytes through them all. */
static void as_many_regions_as_there_may_be(void **state)
{
	static const size_t places[] = { 3, 0, 7, 5, 1, 6, 2, 4 }; /* in the guest */
	struct vhost_region regions[VHOST_REGIONS_MOST];
	struct iovec parts[VHOST_REGIONS_MOST];
	struct guest_memory memory = {};
	static uint8_t bytes[7 * PAGE + 2];
	size_t count = 0;

	(void)state;
	_Static_assert(ARRAY_COUNT(places) == VHOST_REGIONS_MOST, "each region has its place");
	for (size_t i = 0; i < VHOST_REGIONS_MOST; i++)
		regions[i] = (struct vhost_region){
			.guest_address = VHOST_GUEST_HIGH + places[i] * PAGE,
			.size = PAGE,
			.user_address = (i + 1) * 0x100000,
			.file_offset = (63 - 2 * i) * PAGE,
		};
	assert_int_equal(map(regions, VHOST_REGIONS_MOST, &memory), 0);
	assert_int_equal(memory.count, VHOST_REGIONS_MOST);
	for (size_t i = 0; i < VHOST_REGIONS_MOST; i++)
		memset(memory.regions[i].map.bytes, (int)(10 + places[i]), PAGE);
	/* From the last byte of the first to the first of the last. */
	uint64_t first = VHOST_GUEST_HIGH + PAGE - 1;
	assert_true(guest_memory_read(&memory, first, bytes, 6 * PAGE + 2));
	for (size_t i = 0; i < 6 * PAGE + 2; i++)
		assert_int_equal(bytes[i], 10 + (PAGE - 1 + i) / PAGE);
	assert_true(guest_memory_translate(&memory, first, 6 * PAGE + 2, parts, ARRAY_COUNT(parts),
					   &count));
	assert_int_equal(count, VHOST_REGIONS_MOST);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(guest_memory_address_of(&memory, parts[i].iov_base),
				 i == 0 ? first : VHOST_GUEST_HIGH + i * PAGE);
	/* And not beyond the last. */
	assert_false(guest_memory_read(&memory, first, bytes, 7 * PAGE + 2));
	for (size_t i = 0; i < VHOST_REGIONS_MOST; i++)
		assert_ptr_equal(guest_memory_find_user(&memory, (i + 1) * 0x100000, PAGE, 16),
				 memory.regions[i].map.bytes);
	guest_memory_unmap(&memory);
}

static void user_addresses(void **state)
{
	static const struct vhost_region regions[] = {
		{ 0x1000, 0x1000, 0x700000, 0x8000 },
		{ 0x2000, 0x1000, 0x701000, 0x1000 },
		{ 0x5000, 0x1000, 0x900001, 0x2000 }, /* odd on one side */
		{ 0x9000, 0x1000, 0xa00000, 0x3001 }, /* on the other */
	};
	static const struct {
		uint64_t address;
		uint64_t size;
		size_t alignment;
		bool good;
	} cases[] = {
		{ 0x700000, 0x1000, 16, true },
		{ 0x700000, 0x1001, 16, false },
		{ 0x700008, 16, 16, false },
		{ 0x700008, 16, 8, true },
		{ 0x700fff, 1, 1, true },
		{ 0x700ffe, 4, 2, false },
		{ 0x6ffff0, 0x20, 16, false },
		{ 0x702000, 1, 1, false },
		{ UINT64_MAX - 15, 16, 16, false },
		{ 0x700010, UINT64_MAX, 16, false },
		{ UINT64_MAX - 15, 4096, 16, false },
		{ 0x900010, 16, 16, false },
		{ 0xa00000, 16, 16, false },
		{ 0xa00001, 1, 1, true },
		{ 0, 0, 1, false },
	};
	struct guest_memory memory = {};

	(void)state;
	assert_int_equal(map(regions, 4, &memory), 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		void *found = guest_memory_find_user(&memory, cases[i].address, cases[i].size,
						     cases[i].alignment);

		if ((found != NULL) != cases[i].good)
			fail_msg("case %zu", i);
	}
	assert_ptr_equal(guest_memory_find_user(&memory, 0x701004, 4, 4),
			 memory.regions[1].map.bytes + 4);
	guest_memory_unmap(&memory);
}

/* What was mapped before stays until the new one is there, and is gone then. */
static void mapped_again(void **state)
{
	static const struct vhost_region good = { 0, 2 * PAGE, 0x10000, PAGE };
	static const struct vhost_region bad[] = {
		{ 0, PAGE, 0x10000, 0 },
		{ PAGE, PAGE, 0x20000, 64 * PAGE },
	};
	struct guest_memory memory = {};

	(void)state;
	assert_int_equal(map(&good, 1, &memory), 0);
	void *before = memory.regions[0].map.map;
	assert_int_equal(map(bad, 2, &memory), -EINVAL);
	assert_int_equal(memory.count, 1);
	assert_ptr_equal(memory.regions[0].map.map, before);
	memory.regions[0].map.bytes[0] = 1;
	guest_memory_unmap(&memory);
	assert_int_equal(memory.count, 0);
	guest_memory_unmap(&memory);
}

/* --- the log of written pages ------------------------------------------------------------- */

static void pages_are_marked(void **state)
{
	struct dirty_log log = {};
	struct error err = {};
	int fd = vhost_guest_memfd(PAGE, true);

	(void)state;
	assert_false(dirty_log_is_open(&log));
	assert_int_equal(dirty_log_open(&log, fd, 16, 2, false, &err), 0);
	assert_true(dirty_log_is_open(&log));
	assert_true(dirty_log_mark(&log, 0, 0));
	assert_int_equal(log.map.bytes[0], 0);
	assert_true(dirty_log_mark(&log, 0, 1));
	assert_int_equal(log.map.bytes[0], 1);
	assert_true(dirty_log_mark(&log, 2 * PAGE - 1, 2));
	assert_int_equal(log.map.bytes[0], 7);
	assert_true(dirty_log_mark(&log, 7 * PAGE + 5, 2 * PAGE));
	assert_int_equal(log.map.bytes[0], 0x87);
	assert_int_equal(log.map.bytes[1], 3);
	/* The last page that two bytes cover, and what lies behind. */
	assert_true(dirty_log_mark(&log, 15 * PAGE, PAGE));
	assert_int_equal(log.map.bytes[1], 0x83);
	assert_false(dirty_log_mark(&log, 15 * PAGE, PAGE + 1));
	assert_false(dirty_log_mark(&log, 16 * PAGE, 1));
	assert_false(dirty_log_mark(&log, UINT64_MAX, 1));
	assert_false(dirty_log_mark(&log, UINT64_MAX, 2));
	assert_false(dirty_log_mark(&log, 1, UINT64_MAX));
	assert_int_equal(log.map.bytes[2], 0);
	dirty_log_close(&log);
	(void)close(fd);
}

static void logs_that_are_refused(void **state)
{
	static const struct {
		uint64_t offset;
		uint64_t size;
	} cases[] = {
		{ 0, 0 },	   { 0, PAGE + 1 },   { PAGE, 1 },
		{ 1, UINT64_MAX }, { UINT64_MAX, 1 }, { UINT64_MAX - 7, 16 },
	};
	struct dirty_log log = {};
	struct error err = {};
	int fd = vhost_guest_memfd(PAGE, true);
	int unsealed_fd = vhost_guest_memfd(PAGE, false);

	(void)state;
	assert_int_equal(dirty_log_open(&log, fd, 0, 8, false, &err), 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(
			dirty_log_open(&log, fd, cases[i].offset, cases[i].size, false, &err),
			-EINVAL);
	assert_int_equal(dirty_log_open(&log, unsealed_fd, 0, 8, false, &err), -EPERM);
	assert_true(dirty_log_mark(&log, 0, 1)); /* the old one is still there */
	assert_int_equal(dirty_log_open(&log, unsealed_fd, 0, 8, true, &err), 0);
	assert_int_equal(log.map.bytes[0], 0);
	dirty_log_close(&log);
	(void)close(fd);
	(void)close(unsealed_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_that_are_refused),
		cmocka_unit_test(unsealed_memory),
		cmocka_unit_test(memory_of_huge_pages),
		cmocka_unit_test(memory_with_a_hole),
		cmocka_unit_test(addresses),
		cmocka_unit_test(bytes_across_regions),
		cmocka_unit_test(as_many_regions_as_there_may_be),
		cmocka_unit_test(user_addresses),
		cmocka_unit_test(mapped_again),
		cmocka_unit_test(pages_are_marked),
		cmocka_unit_test(logs_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
