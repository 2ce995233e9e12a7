#include "gateway/reassembly.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "wire/ether.h"
#include "wire/frame.h"
#include "wire/ipv4.h"

#define DATA_OFFSET (ETHER_HEADER_SIZE + IPV4_HEADER_SIZE)
#define DATA_MAX    (IPV4_PACKET_MAX - IPV4_HEADER_SIZE)
#define UNIT	    8 /* fragment offsets count in these */
#define UNIT_COUNT  ((DATA_MAX + UNIT - 1) / UNIT)

struct slot {
	struct reassembly *owner;
	struct timer timeout; /* set = the slot is in use */
	/* The key (RFC 791 3.2), and the port, so that no port adds to another's packet. */
	uint32_t port;
	struct ip_addr source;
	struct ip_addr destination;
	uint32_t id;
	uint8_t protocol;

	bool worthless;
	bool has_first;
	uint64_t started_ns;
	uint32_t received; /* bytes of data so far */
	uint32_t total;	   /* bytes of data when the last fragment is here, else 0 */
	uint32_t end;	   /* of the farthest fragment so far */
	uint8_t unit_here[(UNIT_COUNT + 7) / 8];
	uint8_t bytes[DATA_OFFSET + DATA_MAX]; /* Ethernet and IP header, then the data */
};

struct reassembly {
	struct loop *loop;
	struct drop_counters *drops;
	struct slot slots[REASSEMBLY_SLOTS];
};

struct piece {
	uint32_t start;
	uint32_t size;
	bool last;
};

static bool is_used(const struct slot *slot)
{
	return timer_is_set(&slot->timeout);
}

static void slot_close(struct slot *slot)
{
	timer_clear(loop_timers(slot->owner->loop), &slot->timeout);
}

static void slot_expired(struct timer *timer, uint64_t now_ns)
{
	struct slot *slot = container_of(timer, struct slot, timeout);

	(void)now_ns;
	if (!slot->worthless)
		drop_count(slot->owner->drops, DROP_FRAGMENT_TIMEOUT);
}

static struct slot *slot_find(struct reassembly *reassembly, const struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
		struct slot *slot = &reassembly->slots[i];

		if (is_used(slot) && slot->id == packet->ip_id && slot->port == frame->port &&
		    slot->protocol == packet->ip_protocol &&
		    ip_addr_equal(&slot->source, &packet->ip_source) &&
		    ip_addr_equal(&slot->destination, &packet->ip_destination))
			return slot;
	}
	return NULL;
}

static struct slot *older(struct slot *a, struct slot *b)
{
	return !a || b->started_ns < a->started_ns ? b : a;
}

/* A free one; else, and where the port has its share, the port's own oldest; else the oldest. */
static struct slot *slot_choose(struct reassembly *reassembly, uint32_t port)
{
	struct slot *unused = NULL;
	struct slot *own = NULL;
	struct slot *oldest = NULL;
	uint32_t held = 0;

	for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
		struct slot *slot = &reassembly->slots[i];

		if (!is_used(slot)) {
			unused = slot;
			continue;
		}
		oldest = older(oldest, slot);
		if (slot->port == port) {
			own = older(own, slot);
			held++;
		}
	}
	if (unused && held < REASSEMBLY_PORT_SHARE)
		return unused;
	return own ? own : oldest;
}

static struct slot *slot_open(struct reassembly *reassembly, const struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	uint64_t now_ns = loop_now(reassembly->loop);
	struct slot *slot = slot_choose(reassembly, frame->port);

	if (is_used(slot)) {
		drop_count(reassembly->drops, DROP_FRAGMENT_LIMIT);
		slot_close(slot);
	}
	slot->port = frame->port;
	slot->source = packet->ip_source;
	slot->destination = packet->ip_destination;
	slot->id = packet->ip_id;
	slot->protocol = packet->ip_protocol;
	slot->worthless = false;
	slot->has_first = false;
	slot->started_ns = now_ns;
	slot->received = 0;
	slot->total = 0;
	slot->end = 0;
	memset(slot->unit_here, 0, sizeof(slot->unit_here));
	timer_set(loop_timers(reassembly->loop), &slot->timeout,
		  now_ns + REASSEMBLY_TIMEOUT_S * NS_PER_S);
	return slot;
}

/* What the first fragment must hold, so that no later one can write a header (RFC 1858 3). */
static uint32_t first_min(uint8_t protocol)
{
	switch (protocol) {
	case PACKET_IP_PROTOCOL_TCP:
		return 20;
	case PACKET_IP_PROTOCOL_UDP:
	case PACKET_IP_PROTOCOL_ICMP:
		return 8;
	default:
		return 1;
	}
}

/* A fragment's lengths by itself: data at all, whole units but for the last, no ping of death. */
static bool piece_of(const struct packet *packet, struct piece *ret_piece)
{
	uint32_t size = packet->ip_total_size;
	uint32_t start = packet->ip_fragment_offset;

	if (size <= IPV4_HEADER_SIZE)
		return false;
	size -= IPV4_HEADER_SIZE;
	if (start + size > DATA_MAX || (packet->ip_more_fragments && size % UNIT != 0))
		return false;
	if (start == 0 && size < first_min(packet->ip_protocol))
		return false;
	*ret_piece = (struct piece){ start, size, !packet->ip_more_fragments };
	return true;
}

/* `size` bytes of the fragment's data from `from` on. The first may stand in the copied header. */
static void copy_data(const struct frame *frame, size_t from, uint8_t *ret_bytes, size_t size)
{
	size_t offset = (size_t)frame->packet.l3_offset + IPV4_HEADER_SIZE + from;
	size_t in_header = 0;

	if (offset < frame->header_size) {
		in_header = frame->header_size - offset;
		if (in_header > size)
			in_header = size;
		memcpy(ret_bytes, frame->header + offset, in_header);
		offset += in_header;
	}
	if (size > in_header)
		frame_copy_payload(frame, offset - frame->header_size, ret_bytes + in_header,
				   size - in_header);
}

static bool is_same_data(const struct frame *frame, const uint8_t *bytes, size_t size)
{
	uint8_t part[512];

	for (size_t from = 0; from < size; from += sizeof(part)) {
		size_t part_size = size - from < sizeof(part) ? size - from : sizeof(part);

		copy_data(frame, from, part, part_size);
		if (memcmp(part, bytes + from, part_size) != 0)
			return false;
	}
	return true;
}

/* How many of the piece's units are here already. */
static uint32_t units_here(const struct slot *slot, uint32_t first, uint32_t count)
{
	uint32_t here = 0;

	for (uint32_t i = first; i < first + count; i++)
		here += (uint32_t)(slot->unit_here[i / 8] >> (i % 8)) & 1;
	return here;
}

static void mark_units(struct slot *slot, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++)
		slot->unit_here[i / 8] = (uint8_t)(slot->unit_here[i / 8] | 1U << (i % 8));
}

static bool contradicts_end(const struct slot *slot, const struct piece *piece)
{
	uint32_t end = piece->start + piece->size;

	if (piece->last)
		return end < slot->end || (slot->total != 0 && slot->total != end);
	return slot->total != 0 && end > slot->total;
}

/* Adds the piece. False: it contradicts what is here. A repetition of the same bytes is none. */
static bool slot_add(struct slot *slot, const struct frame *frame, const struct piece *piece)
{
	uint32_t first = piece->start / UNIT;
	uint32_t count = (piece->size + UNIT - 1) / UNIT;
	uint32_t here = units_here(slot, first, count);
	uint8_t *data = slot->bytes + DATA_OFFSET + piece->start;

	if (contradicts_end(slot, piece) || (here != 0 && here != count))
		return false;
	if (here == count)
		return is_same_data(frame, data, piece->size);
	copy_data(frame, 0, data, piece->size);
	mark_units(slot, first, count);
	slot->received += piece->size;
	if (piece->start + piece->size > slot->end)
		slot->end = piece->start + piece->size;
	if (piece->last)
		slot->total = slot->end;
	if (piece->start == 0) {
		memcpy(slot->bytes, frame->header, DATA_OFFSET);
		slot->has_first = true;
	}
	return true;
}

/* The first fragment's headers, as if the packet had come whole; then a fresh look at it. */
static bool slot_finish(struct slot *slot, struct frame *ret_whole)
{
	struct reader reader = reader_of(slot->bytes + ETHER_HEADER_SIZE, IPV4_HEADER_SIZE);
	struct writer writer = writer_of(slot->bytes + ETHER_HEADER_SIZE, IPV4_HEADER_SIZE);
	enum drop_reason reason = DROP_BAD_FRAGMENT;
	struct ipv4_header header;

	slot_close(slot);
	if (!ipv4_parse(&reader, &header)) {
		drop_count(slot->owner->drops, DROP_BAD_FRAGMENT);
		return false;
	}
	header.total_size = (uint16_t)(IPV4_HEADER_SIZE + slot->total);
	header.more_fragments = false;
	header.dont_fragment = false;
	header.fragment_offset = 0;
	ipv4_build(&writer, &header);
	if (!frame_from_bytes(ret_whole, slot->bytes, DATA_OFFSET + slot->total, slot->port,
			      &reason)) {
		drop_count(slot->owner->drops, reason);
		return false;
	}
	return true;
}

bool reassembly_add(struct reassembly *reassembly, const struct frame *frame,
		    struct frame *ret_whole)
{
	struct piece piece;
	struct slot *slot;

	if (frame->packet.l3_offset != ETHER_HEADER_SIZE || !piece_of(&frame->packet, &piece)) {
		drop_count(reassembly->drops, DROP_BAD_FRAGMENT);
		return false;
	}
	slot = slot_find(reassembly, frame);
	if (!slot)
		slot = slot_open(reassembly, frame);
	if (slot->worthless) {
		drop_count(reassembly->drops, DROP_BAD_FRAGMENT);
		return false;
	}
	if (!slot_add(slot, frame, &piece)) {
		slot->worthless = true;
		drop_count(reassembly->drops, DROP_BAD_FRAGMENT);
		return false;
	}
	if (slot->total == 0 || slot->received != slot->total || !slot->has_first)
		return false;
	return slot_finish(slot, ret_whole);
}

void reassembly_port_gone(struct reassembly *reassembly, uint32_t port)
{
	for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
		if (is_used(&reassembly->slots[i]) && reassembly->slots[i].port == port)
			slot_close(&reassembly->slots[i]);
	}
}

int reassembly_new(struct loop *loop, struct drop_counters *drops,
		   struct reassembly **ret_reassembly)
{
	struct reassembly *reassembly = calloc(1, sizeof(*reassembly));

	if (!reassembly)
		return -ENOMEM;
	reassembly->loop = loop;
	reassembly->drops = drops;
	for (size_t i = 0; i < REASSEMBLY_SLOTS; i++) {
		reassembly->slots[i].owner = reassembly;
		timer_init(&reassembly->slots[i].timeout, slot_expired);
	}
	*ret_reassembly = reassembly;
	return 0;
}

struct reassembly *reassembly_free(struct reassembly *reassembly)
{
	if (!reassembly)
		return NULL;
	for (size_t i = 0; i < REASSEMBLY_SLOTS; i++)
		slot_close(&reassembly->slots[i]);
	free(reassembly);
	return NULL;
}
