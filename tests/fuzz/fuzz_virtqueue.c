/*
 * A guest that makes its virtqueue of any bytes. The input: marks, the size of the queue, and what is
 * written into the guest's memory, in pieces of a place (2 bytes, in steps of 4), a size (1 byte) and
 * bytes; a piece of size 0 lets the device take and use what is there.
 *
 *     1  the device writes, else it reads   4  indirect descriptors
 *     2  EVENT_IDX                           8  writes are logged
 *
 * Whatever is taken lies inside the guest's memory, and the walk ends.
 */

#include "attach/vhost_user/virtqueue.h"
#include "fuzz.h"
#include "vhost_guest.h"
#include "wire/reader.h"

#define MEMORY_SIZE ((size_t)256 << 10) /* what 2 bytes in steps of 4 reach */
#define HALF	    (MEMORY_SIZE / 2)
#define HIGH	    ((uint64_t)1 << 32)
#define AVAILABLE   0x4000
#define USED	    0x8000

struct world {
	uint8_t *bytes; /* the guest's view */
	int memory_fd;
	int log_fd;
	struct guest_memory memory;
	struct dirty_log log;
	struct virtqueue queue;
	struct iovec parts[VIRTQUEUE_CHAIN_MOST];
};

/* Made once: a mapping costs more than a run. */
static void world_make(struct world *world)
{
	struct vhost_region regions[2];

	world->memory_fd = vhost_guest_memfd(MEMORY_SIZE, true);
	world->log_fd = vhost_guest_memfd(4096, true);
	world->bytes =
		mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, world->memory_fd, 0);
	FUZZ_CHECK(world->bytes != MAP_FAILED);
	for (size_t i = 0; i < 2; i++)
		regions[i] = (struct vhost_region){ i * HIGH, HALF, 0x100000 + i * HALF, i * HALF };
	const int fds[2] = { world->memory_fd, world->memory_fd };
	FUZZ_CHECK(guest_memory_map(regions, fds, 2, false, &world->memory, NULL) == 0);
	/* Too small for the upper half: what it does not cover is left out. */
	FUZZ_CHECK(dirty_log_open(&world->log, world->log_fd, 0, 4096, false, NULL) == 0);
}

static bool is_inside(const struct world *world, const struct iovec *part)
{
	for (size_t i = 0; i < 2; i++) {
		const struct shared_map *map = &world->memory.regions[i].map;
		uintptr_t offset = (uintptr_t)part->iov_base - (uintptr_t)map->bytes;

		if (offset < map->size)
			return part->iov_len > 0 && part->iov_len <= map->size - offset;
	}
	return false;
}

/* False when the queue is broken. */
static bool take_all(struct world *world, unsigned *budget)
{
	struct virtqueue_chain chain;

	while ((*budget)-- > 0) {
		enum virtqueue_result result = virtqueue_take(&world->queue, world->parts, &chain);
		uint64_t size = 0;

		if (result == VIRTQUEUE_BROKEN)
			return false;
		if (result == VIRTQUEUE_EMPTY)
			break;
		FUZZ_CHECK(chain.head < world->queue.size && chain.count <= VIRTQUEUE_CHAIN_MOST);
		FUZZ_CHECK(chain.descriptors >= 1 &&
			   chain.descriptors <= VIRTQUEUE_DESCRIPTORS_MOST);
		for (size_t i = 0; i < chain.count; i++) {
			FUZZ_CHECK(is_inside(world, &world->parts[i]));
			size += world->parts[i].iov_len;
			if (world->queue.direction == VIRTQUEUE_TO_GUEST)
				virtqueue_log_write(&world->queue, world->parts[i].iov_base,
						    world->parts[i].iov_len);
		}
		FUZZ_CHECK(size == chain.size);
		if (chain.size % 3 == 0) {
			virtqueue_untake(&world->queue, 1);
			FUZZ_CHECK(virtqueue_waiting(&world->queue) > 0);
			world->queue.next_available++;
		}
		virtqueue_put(&world->queue, chain.head, (uint32_t)size);
	}
	(void)!virtqueue_publish(&world->queue);
	virtqueue_silence(&world->queue);
	(void)!virtqueue_listen(&world->queue);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	struct reader reader = reader_of(data, size);
	const struct vhost_vring_address rings = {
		.descriptors = 0x100000,
		.available = 0x100000 + AVAILABLE,
		.used = 0x100000 + USED,
		.flags = VHOST_VRING_LOG,
		.log = USED,
	};
	unsigned budget = 5000;

	if (!world.bytes)
		world_make(&world);
	uint8_t marks = reader_u8(&reader);
	memset(world.bytes, 0, MEMORY_SIZE);
	world.queue = (struct virtqueue){
		.direction = marks & 1 ? VIRTQUEUE_TO_GUEST : VIRTQUEUE_FROM_GUEST,
		.event_index = (marks & 2) != 0,
		.indirect = (marks & 4) != 0,
		.log = marks & 8 ? &world.log : NULL,
		.size = (uint16_t)(1u << reader_u8(&reader) % 11),
	};
	if (!virtqueue_map(&world.queue, &world.memory, &rings))
		return 0;
	virtqueue_start(&world.queue);
	while (reader_left(&reader) > 3) {
		size_t place = (size_t)reader_u16(&reader) * 4;
		uint8_t count = reader_u8(&reader);
		const uint8_t *bytes = reader_take(&reader, count);

		if (count == 0 && !take_all(&world, &budget))
			return 0;
		if (bytes && count <= MEMORY_SIZE - place)
			memcpy(world.bytes + place, bytes, count);
	}
	(void)!take_all(&world, &budget);
	return 0;
}
