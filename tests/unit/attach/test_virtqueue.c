/* The device's side of a virtqueue, against a driver that does everything wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "attach/vhost_user/virtqueue.h"
#include "vhost_guest.h"

#define SIZE 8 /* entries */

struct scene {
	struct vhost_guest guest;
	struct vhost_guest_queue *driver;
	struct guest_memory memory;
	struct virtqueue queue;
	struct virtqueue_chain chain;
	struct iovec parts[VIRTQUEUE_CHAIN_MOST];
};

static struct scene scene;

static void scene_setup(uint16_t size, enum virtqueue_direction direction)
{
	struct vhost_region regions[2];
	struct vhost_vring_address address;
	struct error err = {};

	vhost_guest_init(&scene.guest, size, true);
	scene.driver = &scene.guest.queues[1];
	vhost_guest_regions(&scene.guest, regions);
	int fds[2] = { scene.guest.memory_fd, scene.guest.memory_fd };
	assert_int_equal(guest_memory_map(regions, fds, 2, false, &scene.memory, &err), 0);
	address = vhost_guest_rings(&scene.guest, 1);
	scene.queue = (struct virtqueue){ .direction = direction, .size = size };
	assert_true(virtqueue_map(&scene.queue, &scene.memory, &address));
	virtqueue_start(&scene.queue);
}

static int setup(void **state)
{
	(void)state;
	scene_setup(SIZE, VIRTQUEUE_FROM_GUEST);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_memory_unmap(&scene.memory);
	vhost_guest_done(&scene.guest);
	return 0;
}

static enum virtqueue_result take(void)
{
	return virtqueue_take(&scene.queue, scene.parts, &scene.chain);
}

static void describe(uint16_t index, uint64_t address, uint32_t size, uint16_t flags, uint16_t next)
{
	vhost_guest_describe(scene.driver->descriptors, index, address, size, flags, next);
}

/* A place in the buffers, as the guest addresses it, and as we do. */
static uint64_t place(size_t offset)
{
	return vhost_guest_address(VHOST_GUEST_BUFFERS + offset);
}

static void one_chain(void **state)
{
	(void)state;
	assert_int_equal(take(), VIRTQUEUE_EMPTY);
	describe(3, place(0), 12, VHOST_NEXT, 5);
	describe(5, place(100), 1500, VHOST_NEXT, 0);
	describe(0, VHOST_GUEST_HIGH, 10, 0, 7);
	vhost_guest_offer(scene.driver, 3);
	assert_int_equal(virtqueue_waiting(&scene.queue), 1);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.head, 3);
	assert_int_equal(scene.chain.count, 3);
	assert_int_equal(scene.chain.size, 1522);
	assert_int_equal(scene.parts[1].iov_len, 1500);
	assert_int_equal(guest_memory_address_of(&scene.memory, scene.parts[1].iov_base),
			 place(100));
	assert_int_equal(guest_memory_address_of(&scene.memory, scene.parts[2].iov_base),
			 VHOST_GUEST_HIGH);
	assert_int_equal(take(), VIRTQUEUE_EMPTY);
	/* Given back and taken again. */
	virtqueue_untake(&scene.queue, 1);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.head, 3);
}

/* A piece of memory that two regions hold comes as two parts. */
static void across_regions(void **state)
{
	static const struct vhost_region regions[] = {
		{ 0, VHOST_GUEST_HALF, 0x10000000, 0 },
		{ VHOST_GUEST_HALF, VHOST_GUEST_HALF, 0x90000000, VHOST_GUEST_HALF },
	};
	const struct vhost_vring_address rings = {
		.descriptors = 0x10020000,
		.available = 0x10028000,
		.used = 0x10030000,
	};
	int fds[2] = { scene.guest.memory_fd, scene.guest.memory_fd };
	struct error err = {};

	(void)state;
	guest_memory_unmap(&scene.memory);
	assert_int_equal(guest_memory_map(regions, fds, 2, false, &scene.memory, &err), 0);
	assert_true(virtqueue_map(&scene.queue, &scene.memory, &rings));
	describe(0, VHOST_GUEST_HALF - 10, 30, 0, 0);
	vhost_guest_offer(scene.driver, 0);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.count, 2);
	assert_int_equal(scene.parts[0].iov_len, 10);
	assert_int_equal(scene.parts[1].iov_len, 20);
}

static void a_broken_chain(void)
{
	assert_int_equal(take(), VIRTQUEUE_BROKEN);
	assert_int_equal(take(), VIRTQUEUE_BROKEN); /* and it stays so */
}

/* The longest chain, with every cut that regions can make: as many parts as there is place for. */
static void longest_chain_over_all_regions(void **state)
{
	const size_t piece = VHOST_GUEST_SIZE / VHOST_REGIONS_MOST;
	struct vhost_region regions[VHOST_REGIONS_MOST];
	struct vhost_vring_address rings;
	int fds[VHOST_REGIONS_MOST];
	struct error err = {};

	(void)teardown(state);
	scene_setup(1024, VIRTQUEUE_FROM_GUEST);
	guest_memory_unmap(&scene.memory);
	for (size_t i = 0; i < VHOST_REGIONS_MOST; i++) {
		regions[i] = (struct vhost_region){
			.guest_address = i * piece,
			.size = piece,
			.user_address = (uintptr_t)scene.guest.bytes + i * piece,
			.file_offset = i * piece,
		};
		fds[i] = scene.guest.memory_fd;
	}
	assert_int_equal(
		guest_memory_map(regions, fds, VHOST_REGIONS_MOST, false, &scene.memory, &err), 0);
	rings = vhost_guest_rings(&scene.guest, 1);
	assert_true(virtqueue_map(&scene.queue, &scene.memory, &rings));
	/* Seven lie across a border, the rest anywhere. */
	for (uint16_t i = 0; i < 1024; i++) {
		uint64_t address = i < 7 ? (i + 1) * piece - 1 : place(i * 16u);

		describe(i, address, 2, i < 1023 ? VHOST_NEXT : 0, (uint16_t)(i + 1));
	}
	vhost_guest_offer(scene.driver, 0);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.count, 1024 + 7);
	assert_int_equal(scene.chain.size, 2048);
	for (size_t i = 0; i < 14; i++) {
		assert_int_equal(scene.parts[i].iov_len, 1);
		assert_int_equal(guest_memory_address_of(&scene.memory, scene.parts[i].iov_base),
				 (i / 2 + 1) * piece - 1 + i % 2);
	}
	/* One through all of them. */
	describe(0, piece - 1, (uint32_t)(6 * piece + 2), 0, 0);
	vhost_guest_offer(scene.driver, 0);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.count, VHOST_REGIONS_MOST);
	assert_int_equal(scene.parts[0].iov_len, 1);
	assert_int_equal(scene.parts[1].iov_len, piece);
	assert_int_equal(scene.parts[7].iov_len, 1);
	/* More cuts than parts: what no place is left for is refused, not written. */
	for (uint16_t i = 0; i < 1023; i++)
		describe(i, piece - 1, 2, VHOST_NEXT, (uint16_t)(i + 1));
	vhost_guest_offer(scene.driver, 0);
	a_broken_chain();
}

#define BROKEN(name, ...)                                                                          \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		scene.queue.indirect = true;                                                       \
		__VA_ARGS__;                                                                       \
		a_broken_chain();                                                                  \
	}

BROKEN(loop_of_one, describe(0, place(0), 10, VHOST_NEXT, 0); vhost_guest_offer(scene.driver, 0))
BROKEN(loop_of_two, describe(0, place(0), 10, VHOST_NEXT, 1);
       describe(1, place(0), 10, VHOST_NEXT, 0); vhost_guest_offer(scene.driver, 0))
BROKEN(loop_of_nothing, describe(0, place(0), 0, VHOST_NEXT, 0); vhost_guest_offer(scene.driver, 0))
BROKEN(next_beyond_the_table, describe(0, place(0), 10, VHOST_NEXT, SIZE);
       vhost_guest_offer(scene.driver, 0))
BROKEN(next_far_beyond, describe(0, place(0), 10, VHOST_NEXT, 65535);
       vhost_guest_offer(scene.driver, 0))
BROKEN(head_beyond_the_table, vhost_guest_offer(scene.driver, SIZE))
BROKEN(head_far_beyond, vhost_guest_offer(scene.driver, 65535))
BROKEN(no_memory, describe(0, VHOST_GUEST_SIZE, 1, 0, 0); vhost_guest_offer(scene.driver, 0))
BROKEN(runs_out_of_memory, describe(0, VHOST_GUEST_HALF - 5, 6, 0, 0);
       vhost_guest_offer(scene.driver, 0))
BROKEN(size_overflows, describe(0, VHOST_GUEST_HIGH, UINT32_MAX, 0, 0);
       vhost_guest_offer(scene.driver, 0))
BROKEN(address_overflows, describe(0, UINT64_MAX - 5, 10, 0, 0); vhost_guest_offer(scene.driver, 0))
/* CVE-2020-10725 */
BROKEN(nothing_at_no_memory, describe(0, VHOST_GUEST_SIZE, 0, 0, 0);
       vhost_guest_offer(scene.driver, 0))
BROKEN(for_the_other_direction, describe(0, place(0), 10, VHOST_WRITE, 0);
       vhost_guest_offer(scene.driver, 0))
BROKEN(for_both_directions, describe(0, place(0), 10, VHOST_NEXT, 1);
       describe(1, place(0), 10, VHOST_WRITE, 0); vhost_guest_offer(scene.driver, 0))
BROKEN(more_than_the_ring_holds, vhost_guest_set_available(scene.driver, SIZE + 1))
BROKEN(index_runs_backwards, vhost_guest_set_available(scene.driver, 65535))
BROKEN(indirect_empty, describe(0, place(0), 0, VHOST_INDIRECT, 0);
       vhost_guest_offer(scene.driver, 0))
BROKEN(indirect_of_half_an_entry, describe(0, place(0), 24, VHOST_INDIRECT, 0);
       vhost_guest_offer(scene.driver, 0))
BROKEN(indirect_at_no_memory, describe(0, VHOST_GUEST_SIZE, 32, VHOST_INDIRECT, 0);
       vhost_guest_offer(scene.driver, 0))
BROKEN(indirect_overflows, describe(0, UINT64_MAX - 15, 32, VHOST_INDIRECT, 0);
       vhost_guest_offer(scene.driver, 0))
BROKEN(indirect_and_next, describe(0, place(0), 16, VHOST_INDIRECT | VHOST_NEXT, 1);
       vhost_guest_offer(scene.driver, 0))
BROKEN(not_negotiated, scene.queue.indirect = false; describe(0, place(0), 16, VHOST_INDIRECT, 0);
       vhost_guest_offer(scene.driver, 0))

static uint8_t *table_at(size_t offset)
{
	return scene.guest.bytes + VHOST_GUEST_BUFFERS + offset;
}

BROKEN(indirect_in_indirect, vhost_guest_describe(table_at(0), 0, place(0), 16, VHOST_INDIRECT, 0);
       describe(0, place(0), 16, VHOST_INDIRECT, 0); vhost_guest_offer(scene.driver, 0))
BROKEN(indirect_loop, vhost_guest_describe(table_at(0), 0, place(0), 16, VHOST_NEXT, 1);
       vhost_guest_describe(table_at(0), 1, place(0), 16, VHOST_NEXT, 0);
       describe(0, place(0), 32, VHOST_INDIRECT, 0); vhost_guest_offer(scene.driver, 0))
BROKEN(indirect_next_beyond, vhost_guest_describe(table_at(0), 0, place(0), 16, VHOST_NEXT, 2);
       describe(0, place(0), 32, VHOST_INDIRECT, 0); vhost_guest_offer(scene.driver, 0))

static void indirect_chain(void **state)
{
	(void)state;
	scene.queue.indirect = true;
	for (uint16_t i = 0; i < SIZE; i++)
		vhost_guest_describe(table_at(0), i, place(4096 + i * 100u), 10,
				     i + 1 < SIZE ? VHOST_NEXT : 0, (uint16_t)(i + 1));
	/* The direct part before it, as the specification allows. */
	describe(2, place(0), SIZE * 16, VHOST_INDIRECT, 0);
	describe(1, place(3000), 7, VHOST_NEXT, 2);
	vhost_guest_offer(scene.driver, 2);
	vhost_guest_offer(scene.driver, 1);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.head, 2);
	assert_int_equal(scene.chain.count, SIZE);
	assert_int_equal(scene.chain.size, 80);
	assert_int_equal(guest_memory_address_of(&scene.memory, scene.parts[7].iov_base),
			 place(4096 + 700));
	/* More than the queue holds, all in all: over-long. */
	assert_int_equal(take(), VIRTQUEUE_BROKEN);
}

static void chain_of_the_whole_queue(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < SIZE; i++)
		describe(i, place(i * 10u), 10, i + 1 < SIZE ? VHOST_NEXT : 0, (uint16_t)(i + 1));
	vhost_guest_offer(scene.driver, 0);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.count, SIZE);
}

/* Queues may have more entries than a chain of ours has pieces. */
static void over_long_chain(void **state)
{
	(void)teardown(state);
	scene_setup(2048, VIRTQUEUE_FROM_GUEST);
	for (uint16_t i = 0; i < 2048; i++)
		describe(i, place(i), 1, i + 1 < 2048 ? VHOST_NEXT : 0, (uint16_t)(i + 1));
	vhost_guest_offer(scene.driver, 2048 - 1024);
	vhost_guest_offer(scene.driver, 0);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.count, 1024);
	a_broken_chain();
}

/* Also where its descriptors hold nothing: each is read. */
static void over_long_chain_of_nothing(void **state)
{
	(void)teardown(state);
	scene_setup(2048, VIRTQUEUE_FROM_GUEST);
	scene.queue.indirect = true;
	for (uint16_t i = 0; i < 2048; i++)
		describe(i, place(i), 0, i + 1 < 2048 ? VHOST_NEXT : 0, (uint16_t)(i + 1));
	/* 1,024 of an indirect table, and the one that names it; then one more. */
	describe(0, place(0), 1024 * 16, VHOST_INDIRECT, 0);
	for (uint16_t i = 0; i < 1024; i++)
		vhost_guest_describe(table_at(0), i, place(i), 0, i + 1 < 1024 ? VHOST_NEXT : 0,
				     (uint16_t)(i + 1));
	vhost_guest_offer(scene.driver, 0);
	vhost_guest_offer(scene.driver, 2048 - 1025);
	vhost_guest_offer(scene.driver, 2048 - 1026);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.descriptors, 1025);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.chain.descriptors, 1025);
	assert_int_equal(scene.chain.count, 0);
	a_broken_chain();
}

/* --- using -------------------------------------------------------------------------------- */

static void offer_simple(uint16_t index)
{
	describe(index, place(index * 64u), 64, 0, 0);
	vhost_guest_offer(scene.driver, index);
}

static void used_in_order_over_the_wrap(void **state)
{
	uint32_t head;
	uint32_t size;

	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		uint16_t index = (uint16_t)(i % SIZE);

		offer_simple(index);
		assert_int_equal(take(), VIRTQUEUE_TAKEN);
		virtqueue_put(&scene.queue, scene.chain.head, i);
		assert_false(vhost_guest_reap(scene.driver, &head, &size));
		assert_true(virtqueue_publish(&scene.queue));
		assert_true(vhost_guest_reap(scene.driver, &head, &size));
		assert_int_equal(head, index);
		assert_int_equal(size, i);
	}
}

static void calls_without_event_index(void **state)
{
	(void)state;
	assert_false(virtqueue_publish(&scene.queue)); /* nothing new */
	offer_simple(0);
	offer_simple(1);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	virtqueue_put(&scene.queue, 0, 0);
	assert_true(virtqueue_publish(&scene.queue));
	assert_false(virtqueue_publish(&scene.queue));
	vhost_guest_store(scene.driver->available, 1, 2); /* NO_INTERRUPT */
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	virtqueue_put(&scene.queue, 1, 0);
	assert_false(virtqueue_publish(&scene.queue));
}

static bool use_one(uint16_t index)
{
	offer_simple(index);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	virtqueue_put(&scene.queue, index, 0);
	return virtqueue_publish(&scene.queue);
}

static void calls_with_event_index(void **state)
{
	(void)state;
	scene.queue.event_index = true;
	vhost_guest_set_used_event(scene.driver, 100);
	assert_true(use_one(0)); /* the first time we do not know what the guest saw */
	assert_false(use_one(1));
	vhost_guest_set_used_event(scene.driver, 2);
	assert_true(use_one(2));
	assert_false(use_one(3)); /* asked for once */
	vhost_guest_set_used_event(scene.driver, 5);
	assert_false(use_one(4));
	/* Passed in a batch. */
	for (uint16_t i = 5; i < 8; i++) {
		offer_simple(i);
		assert_int_equal(take(), VIRTQUEUE_TAKEN);
		virtqueue_put(&scene.queue, i, 0);
	}
	assert_true(virtqueue_publish(&scene.queue));
}

static void kicks(void **state)
{
	(void)state;
	assert_false(virtqueue_listen(&scene.queue));
	assert_int_equal(vhost_guest_load(scene.driver->used, 2), 0);
	virtqueue_silence(&scene.queue);
	assert_int_equal(vhost_guest_load(scene.driver->used, 2), 1);
	offer_simple(0);
	assert_true(virtqueue_listen(&scene.queue));
	assert_int_equal(vhost_guest_load(scene.driver->used, 2), 0);
	scene.queue.event_index = true;
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_false(virtqueue_listen(&scene.queue));
	assert_int_equal(vhost_guest_available_event(scene.driver), 1);
}

/* What a back end before us took and did not use is still to be done. */
static void begins_where_the_guest_saw_the_end(void **state)
{
	(void)state;
	vhost_guest_store(scene.driver->used + 2, 65534, 2);
	scene.driver->next_available = 65534;
	for (uint16_t i = 0; i < 4; i++)
		offer_simple(i);
	virtqueue_start(&scene.queue);
	assert_int_equal(virtqueue_waiting(&scene.queue), 4);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(scene.queue.next_available, 65535);
	virtqueue_put(&scene.queue, scene.chain.head, 0);
	assert_true(virtqueue_publish(&scene.queue));
	assert_int_equal(vhost_guest_used_index(scene.driver), 65535);
}

static void rings_that_are_refused(void **state)
{
	static const struct {
		uint64_t descriptors;
		uint64_t available;
		uint64_t used;
		uint64_t log;
		uint32_t flags;
		bool good;
	} cases[] = {
		{ 0, 0, 0, 0, 0, true },
		{ 8, 0, 0, 0, 0, false },
		{ 0, 1, 0, 0, 0, false },
		{ 0, 2, 0, 0, 0, true },
		{ 0, 0, 2, 0, 0, false },
		{ 0, 0, 4, 0, 0, true },
		{ VHOST_GUEST_SIZE, 0, 0, 0, 0, false },
		{ 0, VHOST_GUEST_SIZE, 0, 0, 0, false },
		{ 0, 0, VHOST_GUEST_SIZE, 0, 0, false },
		/* across the end of a region, though the next one follows */
		{ VHOST_GUEST_HALF - 0x20010, 0, 0, 0, 0, false },
		{ VHOST_GUEST_HALF - 0x20000 - SIZE * 16, 0, 0, 0, 0, true },
		{ 0, 0, 0, UINT64_MAX - 16, 1, false },
		{ 0, 0, 0, UINT64_MAX - 16, 0, true },
		{ 0, 0, 0, 0x1000, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct vhost_vring_address address = vhost_guest_rings(&scene.guest, 1);
		struct virtqueue queue = { .size = SIZE };

		address.descriptors += cases[i].descriptors;
		address.available += cases[i].available;
		address.used += cases[i].used;
		address.log = cases[i].log;
		address.flags = cases[i].flags;
		if (virtqueue_map(&queue, &scene.memory, &address) != cases[i].good)
			fail_msg("case %zu", i);
		assert_int_equal(virtqueue_is_mapped(&queue), cases[i].good);
		virtqueue_unmap(&queue);
		assert_false(virtqueue_is_mapped(&queue));
	}
}

static void writes_are_logged(void **state)
{
	struct vhost_vring_address address = vhost_guest_rings(&scene.guest, 1);
	int fd = vhost_guest_memfd(4096, true);
	struct dirty_log log = {};
	struct error err = {};

	(void)state;
	assert_int_equal(dirty_log_open(&log, fd, 0, 4096, false, &err), 0);
	address.flags = VHOST_VRING_LOG;
	address.log = 0x7000; /* not where it is: the front end decides */
	assert_true(virtqueue_map(&scene.queue, &scene.memory, &address));
	scene.queue.log = &log;
	offer_simple(0);
	assert_int_equal(take(), VIRTQUEUE_TAKEN);
	assert_int_equal(log.map.bytes[0], 0);
	virtqueue_log_write(&scene.queue, scene.parts[0].iov_base, 0);
	assert_int_equal(log.map.bytes[VHOST_GUEST_BUFFERS / 4096 / 8], 0);
	virtqueue_log_write(&scene.queue, scene.parts[0].iov_base, 64);
	assert_int_equal(log.map.bytes[VHOST_GUEST_BUFFERS / 4096 / 8], 1);
	virtqueue_put(&scene.queue, 0, 64);
	assert_int_equal(log.map.bytes[0], 0x80);
	log.map.bytes[0] = 0;
	assert_true(virtqueue_publish(&scene.queue));
	assert_int_equal(log.map.bytes[0], 0x80);
	log.map.bytes[0] = 0;
	assert_false(virtqueue_listen(&scene.queue));
	assert_int_equal(log.map.bytes[0], 0x80);
	dirty_log_close(&log);
	(void)close(fd);
}

/* --- memory that changes while we read it ------------------------------------------------- */

static bool flips_end;

/* Good and bad in turn, as quickly as it goes. */
static void *flip(void *context)
{
	uint8_t *entry = scene.driver->descriptors;

	(void)context;
	while (!__atomic_load_n(&flips_end, __ATOMIC_RELAXED)) {
		vhost_guest_describe(entry, 0, place(0), 64, 0, 0);
		vhost_guest_describe(entry, 0, UINT64_MAX - 3, 64, VHOST_NEXT, 65535);
		vhost_guest_describe(entry, 0, place(0), UINT32_MAX, VHOST_INDIRECT, 9);
	}
	return NULL;
}

/* Whatever is seen: what is handed out is memory of the guest. Run under ASan. */
static void descriptors_change_while_read(void **state)
{
	pthread_t thread;
	uintptr_t start;
	uintptr_t end;

	(void)state;
	scene.queue.indirect = true;
	flips_end = false;
	offer_simple(0);
	start = (uintptr_t)scene.memory.regions[0].map.bytes;
	end = start + VHOST_GUEST_HALF;
	assert_int_equal(pthread_create(&thread, NULL, flip, NULL), 0);
	for (unsigned i = 0; i < 20000; i++) {
		if (take() != VIRTQUEUE_TAKEN)
			continue;
		uint64_t size = 0;
		for (size_t j = 0; j < scene.chain.count; j++) {
			uintptr_t at = (uintptr_t)scene.parts[j].iov_base;

			assert_in_range(at, start, end - 1);
			assert_true(scene.parts[j].iov_len <= end - at);
			size += scene.parts[j].iov_len;
		}
		assert_int_equal(size, scene.chain.size);
		virtqueue_untake(&scene.queue, 1);
	}
	__atomic_store_n(&flips_end, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(one_chain),
		SCENE_TEST(across_regions),
		SCENE_TEST(longest_chain_over_all_regions),
		SCENE_TEST(loop_of_one),
		SCENE_TEST(loop_of_two),
		SCENE_TEST(loop_of_nothing),
		SCENE_TEST(next_beyond_the_table),
		SCENE_TEST(next_far_beyond),
		SCENE_TEST(head_beyond_the_table),
		SCENE_TEST(head_far_beyond),
		SCENE_TEST(no_memory),
		SCENE_TEST(runs_out_of_memory),
		SCENE_TEST(size_overflows),
		SCENE_TEST(address_overflows),
		SCENE_TEST(nothing_at_no_memory),
		SCENE_TEST(for_the_other_direction),
		SCENE_TEST(for_both_directions),
		SCENE_TEST(more_than_the_ring_holds),
		SCENE_TEST(index_runs_backwards),
		SCENE_TEST(indirect_empty),
		SCENE_TEST(indirect_of_half_an_entry),
		SCENE_TEST(indirect_at_no_memory),
		SCENE_TEST(indirect_overflows),
		SCENE_TEST(indirect_and_next),
		SCENE_TEST(not_negotiated),
		SCENE_TEST(indirect_in_indirect),
		SCENE_TEST(indirect_loop),
		SCENE_TEST(indirect_next_beyond),
		SCENE_TEST(indirect_chain),
		SCENE_TEST(chain_of_the_whole_queue),
		SCENE_TEST(over_long_chain),
		SCENE_TEST(over_long_chain_of_nothing),
		SCENE_TEST(used_in_order_over_the_wrap),
		SCENE_TEST(calls_without_event_index),
		SCENE_TEST(calls_with_event_index),
		SCENE_TEST(kicks),
		SCENE_TEST(begins_where_the_guest_saw_the_end),
		SCENE_TEST(rings_that_are_refused),
		SCENE_TEST(writes_are_logged),
		SCENE_TEST(descriptors_change_while_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
