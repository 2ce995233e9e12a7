#include "attach/vhost_user/virtqueue.h"

#include <assert.h>
#include <endian.h>

#include "wire/reader.h"

/* Layout of the rings (virtio 1.2, 2.7.5, 2.7.6, 2.7.8): all fields little-endian. */
#define DESCRIPTOR_SIZE	     16
#define DESCRIPTOR_ALIGNMENT 16
#define AVAILABLE_ALIGNMENT  2
#define USED_ALIGNMENT	     4
#define RING_FLAGS	     0
#define RING_INDEX	     2
#define RING_ENTRIES	     4
#define AVAILABLE_ENTRY_SIZE 2
#define USED_ENTRY_SIZE	     8

#define DESCRIPTOR_NEXT	    1u
#define DESCRIPTOR_WRITE    2u
#define DESCRIPTOR_INDIRECT 4u

#define AVAILABLE_NO_INTERRUPT 1u
#define USED_NO_NOTIFY	       1u

struct descriptor {
	uint64_t address;
	uint32_t size;
	uint16_t flags;
	uint16_t next;
};

/* Where descriptors are read from: the queue's own table, or an indirect one. */
struct table {
	const struct virtqueue *queue;
	bool indirect;
	uint64_t address; /* of an indirect table */
	uint32_t count;
};

static uint64_t available_ring_size(uint16_t size)
{
	/* With used_event behind the entries. */
	return RING_ENTRIES + (uint64_t)size * AVAILABLE_ENTRY_SIZE + 2;
}

static uint64_t used_ring_size(uint16_t size)
{
	/* With avail_event behind the entries. */
	return RING_ENTRIES + (uint64_t)size * USED_ENTRY_SIZE + 2;
}

static uint16_t load_u16(const uint8_t *shared)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)shared, __ATOMIC_RELAXED));
}

/* What was written before stays before it, for the guest too. */
static void store_u16(struct virtqueue *queue, uint8_t *shared, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)shared, htole16(value), __ATOMIC_RELEASE);
	if (queue->log && queue->log_used)
		dirty_log_mark(queue->log, queue->log_address + (uint64_t)(shared - queue->used),
			       sizeof(value));
}

static uint16_t load_available_index(const struct virtqueue *queue)
{
	const uint8_t *index = queue->available + RING_INDEX;

	return le16toh(__atomic_load_n((const uint16_t *)(const void *)index, __ATOMIC_ACQUIRE));
}

static uint16_t slot_of(const struct virtqueue *queue, uint16_t index)
{
	return index & (uint16_t)(queue->size - 1);
}

bool virtqueue_map(struct virtqueue *queue, const struct guest_memory *memory,
		   const struct vhost_vring_address *address)
{
	uint8_t *descriptors = guest_memory_find_user(memory, address->descriptors,
						      (uint64_t)queue->size * DESCRIPTOR_SIZE,
						      DESCRIPTOR_ALIGNMENT);
	uint8_t *available = guest_memory_find_user(
		memory, address->available, available_ring_size(queue->size), AVAILABLE_ALIGNMENT);
	uint8_t *used = guest_memory_find_user(memory, address->used, used_ring_size(queue->size),
					       USED_ALIGNMENT);
	uint64_t end;

	assert(queue->size > 0);
	if (!descriptors || !available || !used)
		return false;
	if ((address->flags & VHOST_VRING_LOG) &&
	    __builtin_add_overflow(address->log, used_ring_size(queue->size), &end))
		return false;
	queue->memory = memory;
	queue->descriptors = descriptors;
	queue->available = available;
	queue->used = used;
	queue->log_used = (address->flags & VHOST_VRING_LOG) != 0;
	queue->log_address = address->log;
	return true;
}

void virtqueue_unmap(struct virtqueue *queue)
{
	queue->descriptors = NULL;
	queue->available = NULL;
	queue->used = NULL;
}

void virtqueue_start(struct virtqueue *queue)
{
	queue->next_used = load_u16(queue->used + RING_INDEX);
	queue->next_available = queue->next_used;
	queue->published = queue->next_used;
	queue->was_signalled = false;
	queue->is_call_due = false;
	queue->silent = false;
}

/* --- taking ------------------------------------------------------------------------------- */

static bool load_descriptor(const struct table *table, uint16_t index,
			    struct descriptor *ret_descriptor)
{
	const struct virtqueue *queue = table->queue;
	uint8_t bytes[DESCRIPTOR_SIZE];

	if (index >= table->count)
		return false;
	size_t offset = (size_t)index * DESCRIPTOR_SIZE;
	if (!table->indirect)
		guest_memory_load(bytes, queue->descriptors + offset, sizeof(bytes));
	else if (!guest_memory_read(queue->memory, table->address + offset, bytes, sizeof(bytes)))
		return false;

	struct reader reader = reader_of(bytes, sizeof(bytes));
	reader_bytes(&reader, &ret_descriptor->address, 8);
	reader_bytes(&reader, &ret_descriptor->size, 4);
	reader_bytes(&reader, &ret_descriptor->flags, 2);
	reader_bytes(&reader, &ret_descriptor->next, 2);
	ret_descriptor->address = le64toh(ret_descriptor->address);
	ret_descriptor->size = le32toh(ret_descriptor->size);
	ret_descriptor->flags = le16toh(ret_descriptor->flags);
	ret_descriptor->next = le16toh(ret_descriptor->next);
	return true;
}

/* The table that an indirect descriptor names. It stands alone: no NEXT beside INDIRECT (2.7.5.3.1),
 * which holds for Linux; and its entries are not indirect again. */
static bool enter_table(struct table *table, const struct descriptor *descriptor)
{
	uint64_t end;

	if (!table->queue->indirect || table->indirect || (descriptor->flags & DESCRIPTOR_NEXT) ||
	    descriptor->size == 0 || descriptor->size % DESCRIPTOR_SIZE != 0 ||
	    __builtin_add_overflow(descriptor->address, descriptor->size, &end))
		return false;
	table->indirect = true;
	table->address = descriptor->address;
	table->count = descriptor->size / DESCRIPTOR_SIZE;
	return true;
}

static bool walk(struct virtqueue *queue, uint16_t head, struct iovec parts[VIRTQUEUE_CHAIN_MOST],
		 struct virtqueue_chain *ret_chain)
{
	struct table table = { .queue = queue, .count = queue->size };
	struct virtqueue_chain chain = { .head = head };
	bool to_guest = queue->direction == VIRTQUEUE_TO_GUEST;
	struct descriptor descriptor = { .next = head, .flags = DESCRIPTOR_NEXT };

	/* A chain is no longer than the queue (2.7.5.3.1), so one that is loops. */
	while (descriptor.flags & DESCRIPTOR_NEXT) {
		if (chain.descriptors > queue->size ||
		    chain.descriptors == VIRTQUEUE_DESCRIPTORS_MOST ||
		    !load_descriptor(&table, descriptor.next, &descriptor))
			return false;
		chain.descriptors++;
		if (descriptor.flags & DESCRIPTOR_INDIRECT) {
			if (!enter_table(&table, &descriptor))
				return false;
			descriptor = (struct descriptor){ .flags = DESCRIPTOR_NEXT };
			continue;
		}
		if (((descriptor.flags & DESCRIPTOR_WRITE) != 0) != to_guest ||
		    !guest_memory_translate(queue->memory, descriptor.address, descriptor.size,
					    parts, VIRTQUEUE_CHAIN_MOST, &chain.count))
			return false;
		chain.size += descriptor.size;
	}
	*ret_chain = chain;
	return true;
}

uint16_t virtqueue_waiting(const struct virtqueue *queue)
{
	return (uint16_t)(load_available_index(queue) - queue->next_available);
}

enum virtqueue_result virtqueue_take(struct virtqueue *queue,
				     struct iovec ret_parts[VIRTQUEUE_CHAIN_MOST],
				     struct virtqueue_chain *ret_chain)
{
	uint16_t waiting = virtqueue_waiting(queue);

	if (waiting == 0)
		return VIRTQUEUE_EMPTY;
	if (waiting > queue->size)
		return VIRTQUEUE_BROKEN;
	uint16_t slot = slot_of(queue, queue->next_available);
	uint16_t head =
		load_u16(queue->available + RING_ENTRIES + (size_t)slot * AVAILABLE_ENTRY_SIZE);
	if (!walk(queue, head, ret_parts, ret_chain))
		return VIRTQUEUE_BROKEN;
	queue->next_available++;
	return VIRTQUEUE_TAKEN;
}

void virtqueue_untake(struct virtqueue *queue, uint16_t count)
{
	queue->next_available = (uint16_t)(queue->next_available - count);
}

/* --- using -------------------------------------------------------------------------------- */

void virtqueue_log_write(struct virtqueue *queue, const void *pointer, size_t size)
{
	if (queue->log && size > 0)
		dirty_log_mark(queue->log, guest_memory_address_of(queue->memory, pointer), size);
}

void virtqueue_put(struct virtqueue *queue, uint16_t head, uint32_t written)
{
	size_t offset = RING_ENTRIES + (size_t)slot_of(queue, queue->next_used) * USED_ENTRY_SIZE;
	const uint32_t entry[2] = { htole32(head), htole32(written) };

	memcpy(queue->used + offset, entry, sizeof(entry));
	if (queue->log && queue->log_used)
		dirty_log_mark(queue->log, queue->log_address + offset, sizeof(entry));
	queue->next_used++;
}

/* Has `event` been passed on the way from `before` to `now`? (virtio 1.2, 2.7.7.2, 2.7.10) */
static bool event_passed(uint16_t event, uint16_t now, uint16_t before)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

void virtqueue_show(struct virtqueue *queue)
{
	if (queue->published == queue->next_used)
		return;
	store_u16(queue, queue->used + RING_INDEX, queue->next_used);
	queue->published = queue->next_used;
	queue->is_call_due = true;
}

bool virtqueue_wants_call(struct virtqueue *queue)
{
	if (!queue->is_call_due)
		return false;
	queue->is_call_due = false;
	/* The guest writes its wish first and looks at our index then; we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!queue->event_index)
		return !(load_u16(queue->available + RING_FLAGS) & AVAILABLE_NO_INTERRUPT);
	uint16_t event = load_u16(queue->available + RING_ENTRIES +
				  (size_t)queue->size * AVAILABLE_ENTRY_SIZE);
	bool wanted =
		!queue->was_signalled || event_passed(event, queue->published, queue->signalled);
	queue->signalled = queue->published;
	queue->was_signalled = true;
	return wanted;
}

bool virtqueue_publish(struct virtqueue *queue)
{
	virtqueue_show(queue);
	return virtqueue_wants_call(queue);
}

void virtqueue_silence(struct virtqueue *queue)
{
	/* With EVENT_IDX the event that was passed does not come again for 65536 chains. */
	if (!queue->event_index && !queue->silent)
		store_u16(queue, queue->used + RING_FLAGS, USED_NO_NOTIFY);
	queue->silent = true;
}

bool virtqueue_listen(struct virtqueue *queue)
{
	if (queue->event_index)
		store_u16(queue, queue->used + RING_ENTRIES + (size_t)queue->size * USED_ENTRY_SIZE,
			  queue->next_available);
	else
		store_u16(queue, queue->used + RING_FLAGS, 0);
	queue->silent = false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtqueue_waiting(queue) != 0;
}
