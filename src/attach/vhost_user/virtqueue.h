#pragma once
/*
 * The device's side of one split virtqueue (virtio 1.2, 2.7), in memory that the guest may change at
 * any time. Each field is read once, into memory of our own, and the copy is judged: an index beyond
 * the ring, an address that is no memory, a chain that loops or is longer than the queue make the
 * queue BROKEN, and the owner ends the port.
 *
 * Buffers are used in the order they were made available (virtqueue_put), so that nothing of ours is
 * in flight once everything taken is put or given back: where the queue stopped is one number.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "attach/vhost_user/dirty_log.h"
#include "attach/vhost_user/guest_memory.h"
#include "base/compiler.h"

#define VIRTQUEUE_SIZE_MOST 32768 /* entries; virtio 1.2, 2.7 */
/* QEMU's queues have at most 1024 entries, and a chain is no longer than the queue. Descriptors that
 * are read of one chain, also those without a byte: one more may name the table of the rest. */
#define VIRTQUEUE_DESCRIPTORS_MOST (1024 + 1)
/* Pieces of one chain: each of the regions may cut one in two. */
#define VIRTQUEUE_CHAIN_MOST (1024 + VHOST_REGIONS_MOST)

enum virtqueue_result {
	VIRTQUEUE_EMPTY,
	VIRTQUEUE_TAKEN,
	VIRTQUEUE_BROKEN,
};

enum virtqueue_direction {
	VIRTQUEUE_FROM_GUEST, /* we read its buffers */
	VIRTQUEUE_TO_GUEST,   /* we write into them */
};

struct virtqueue_chain {
	uint16_t head;
	size_t count;	      /* parts */
	uint32_t descriptors; /* that were read; what the chain costs */
	uint64_t size;
};

struct virtqueue {
	enum virtqueue_direction direction;
	const struct guest_memory *memory;
	struct dirty_log *log; /* NULL: writes are not logged */

	uint16_t size; /* entries; 0 = not told yet */
	bool event_index;
	bool indirect;
	bool log_used;
	uint64_t log_address; /* of the used ring */
	/* NULL while the rings are not mapped. */
	uint8_t *descriptors;
	uint8_t *available;
	uint8_t *used;

	uint16_t next_available;
	uint16_t next_used;
	uint16_t published; /* the used index that the guest sees */
	uint16_t signalled; /* the used index when the guest was last asked about a call */
	bool was_signalled;
	bool is_call_due; /* the guest sees more than it was asked about */
	bool silent;	  /* without EVENT_IDX: the guest was told not to kick */
};

/*
 * Finds the rings by their user addresses; false, and nothing changed: misaligned, or not within
 * one region each. The size must be set.
 */
bool virtqueue_map(struct virtqueue *queue, const struct guest_memory *memory,
		   const struct vhost_vring_address *address) MUST_USE;
void virtqueue_unmap(struct virtqueue *queue);
static inline bool virtqueue_is_mapped(const struct virtqueue *queue)
{
	return queue->descriptors != NULL;
}

/*
 * Begins at the used index that the guest sees: we never keep a buffer over a stop, and what a back
 * end before us took and did not use is still to be done.
 */
void virtqueue_start(struct virtqueue *queue);

/* The next chain and its pieces. */
enum virtqueue_result virtqueue_take(struct virtqueue *queue,
				     struct iovec ret_parts[VIRTQUEUE_CHAIN_MOST],
				     struct virtqueue_chain *ret_chain) MUST_USE;
/* Gives the last `count` chains back, untouched. */
void virtqueue_untake(struct virtqueue *queue, uint16_t count);
/* How many more chains could be taken now. Nonsense of a broken ring stays for virtqueue_take(). */
uint16_t virtqueue_waiting(const struct virtqueue *queue);

/* Uses the oldest chain that was taken, `written` bytes of it. The guest sees it once published. */
void virtqueue_put(struct virtqueue *queue, uint16_t head, uint32_t written);
/* Logs `size` bytes at a pointer into the guest's memory as written. */
void virtqueue_log_write(struct virtqueue *queue, const void *pointer, size_t size);
/* Was anything used that the guest does not see yet? */
static inline bool virtqueue_has_unshown(const struct virtqueue *queue)
{
	return queue->published != queue->next_used;
}
/* The guest sees what was used; asking whether it wants to be called about it may come later. */
void virtqueue_show(struct virtqueue *queue);
/* True when the guest wants to be called about what was shown since the last time. */
bool virtqueue_wants_call(struct virtqueue *queue) MUST_USE;
/* Both. */
bool virtqueue_publish(struct virtqueue *queue) MUST_USE;

/* No kick is wanted: we look by ourselves. */
void virtqueue_silence(struct virtqueue *queue);
/* A kick is wanted when the next chain is there. True when one came meanwhile: look again. */
bool virtqueue_listen(struct virtqueue *queue) MUST_USE;
