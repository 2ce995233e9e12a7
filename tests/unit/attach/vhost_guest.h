#pragma once
/*
 * The memory and the rings of a guest that a test plays: one memfd in two regions, the second one
 * above 4 GB, and the driver's side of two virtqueues. It can misbehave in every way.
 *
 *     0x00000  rings of queue 0    0x20000  rings of queue 1    0x40000  buffers
 */

#include <endian.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/vhost_user/vhost_message.h"

#define VHOST_GUEST_SIZE	((size_t)4 << 20)
#define VHOST_GUEST_HALF	(VHOST_GUEST_SIZE / 2)
#define VHOST_GUEST_HIGH	((uint64_t)1 << 32) /* where the second half begins */
#define VHOST_GUEST_QUEUE_SIZE	1024
#define VHOST_GUEST_BUFFERS	((size_t)0x40000)
#define VHOST_GUEST_RINGS_SPACE ((size_t)0x20000)

#define VHOST_NEXT     1
#define VHOST_WRITE    2
#define VHOST_INDIRECT 4

struct vhost_guest_queue {
	uint8_t *descriptors;
	uint8_t *available;
	uint8_t *used;
	uint16_t size;
	uint16_t next_available;
	uint16_t seen_used;
};

struct vhost_guest {
	int memory_fd;
	uint8_t *bytes;
	struct vhost_guest_queue queues[2]; /* 0 receives, 1 transmits */
};

static inline void vhost_guest_check(bool condition)
{
	if (!condition)
		abort();
}

static inline int vhost_guest_memfd(size_t size, bool sealed)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	vhost_guest_check(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	if (sealed)
		vhost_guest_check(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

/* Sealed, and of huge pages, which nobody reserved: as a rule the machine has none. */
static inline int vhost_guest_hugetlb_memfd(size_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	vhost_guest_check(fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
			  fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

static inline void vhost_guest_init(struct vhost_guest *guest, uint16_t queue_size, bool sealed)
{
	*guest = (struct vhost_guest){ .memory_fd = vhost_guest_memfd(VHOST_GUEST_SIZE, sealed) };
	guest->bytes = (uint8_t *)mmap(NULL, VHOST_GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				       guest->memory_fd, 0);
	vhost_guest_check(guest->bytes != MAP_FAILED);
	for (size_t i = 0; i < 2; i++) {
		uint8_t *at = guest->bytes + i * VHOST_GUEST_RINGS_SPACE;

		guest->queues[i] = (struct vhost_guest_queue){
			.descriptors = at,
			.available = at + 0x8000,
			.used = at + 0x10000,
			.size = queue_size,
		};
	}
}

static inline void vhost_guest_done(struct vhost_guest *guest)
{
	(void)munmap(guest->bytes, VHOST_GUEST_SIZE);
	(void)close(guest->memory_fd);
}

/* The two regions, as a front end tells them: user addresses are pointers of ours. */
static inline void vhost_guest_regions(const struct vhost_guest *guest,
				       struct vhost_region ret_regions[2])
{
	for (size_t i = 0; i < 2; i++)
		ret_regions[i] = (struct vhost_region){
			.guest_address = i == 0 ? 0 : VHOST_GUEST_HIGH,
			.size = VHOST_GUEST_HALF,
			.user_address = (uintptr_t)guest->bytes + i * VHOST_GUEST_HALF,
			.file_offset = i * VHOST_GUEST_HALF,
		};
}

/* Guest address of an offset into the memory. */
static inline uint64_t vhost_guest_address(size_t offset)
{
	return offset < VHOST_GUEST_HALF ? offset : VHOST_GUEST_HIGH + (offset - VHOST_GUEST_HALF);
}

static inline struct vhost_vring_address vhost_guest_rings(const struct vhost_guest *guest,
							   uint32_t index)
{
	const struct vhost_guest_queue *queue = &guest->queues[index];

	return (struct vhost_vring_address){
		.index = index,
		.descriptors = (uintptr_t)queue->descriptors,
		.available = (uintptr_t)queue->available,
		.used = (uintptr_t)queue->used,
		.log = (uint64_t)(queue->used - guest->bytes),
	};
}

static inline void vhost_guest_store(uint8_t *at, uint64_t value, size_t size)
{
	uint64_t little = htole64(value);

	memcpy(at, &little, size);
}

static inline uint64_t vhost_guest_load(const uint8_t *at, size_t size)
{
	uint64_t little = 0;

	memcpy(&little, at, size);
	return le64toh(little);
}

/* A descriptor into a table: the queue's own, or an indirect one in the guest's memory. */
static inline void vhost_guest_describe(uint8_t *table, uint16_t index, uint64_t address,
					uint32_t size, uint16_t flags, uint16_t next)
{
	uint8_t *at = table + (size_t)index * 16;

	vhost_guest_store(at, address, 8);
	vhost_guest_store(at + 8, size, 4);
	vhost_guest_store(at + 12, flags, 2);
	vhost_guest_store(at + 14, next, 2);
}

static inline void vhost_guest_set_available(struct vhost_guest_queue *queue, uint16_t index)
{
	__atomic_store_n((uint16_t *)(void *)(queue->available + 2), htole16(index),
			 __ATOMIC_RELEASE);
}

static inline void vhost_guest_offer(struct vhost_guest_queue *queue, uint16_t head)
{
	size_t slot = queue->next_available & (queue->size - 1);

	vhost_guest_store(queue->available + 4 + slot * 2, head, 2);
	vhost_guest_set_available(queue, ++queue->next_available);
}

static inline uint16_t vhost_guest_used_index(const struct vhost_guest_queue *queue)
{
	return (uint16_t)vhost_guest_load(queue->used + 2, 2);
}

/* The next used chain; false when there is none. */
static inline bool vhost_guest_reap(struct vhost_guest_queue *queue, uint32_t *ret_head,
				    uint32_t *ret_size)
{
	size_t slot = queue->seen_used & (queue->size - 1);

	if (queue->seen_used == vhost_guest_used_index(queue))
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*ret_head = (uint32_t)vhost_guest_load(queue->used + 4 + slot * 8, 4);
	*ret_size = (uint32_t)vhost_guest_load(queue->used + 8 + slot * 8, 4);
	queue->seen_used++;
	return true;
}

/* The driver's wishes: behind the available ring, and what the device wishes, behind the used. */
static inline void vhost_guest_set_used_event(struct vhost_guest_queue *queue, uint16_t event)
{
	vhost_guest_store(queue->available + 4 + (size_t)queue->size * 2, event, 2);
}

static inline uint16_t vhost_guest_available_event(const struct vhost_guest_queue *queue)
{
	return (uint16_t)vhost_guest_load(queue->used + 4 + (size_t)queue->size * 8, 2);
}
