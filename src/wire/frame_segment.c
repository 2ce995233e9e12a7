#include "wire/frame_segment.h"

#include <assert.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/iov_cursor.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/writer.h"

#define IPV4_SIZE_OFFSET     2
#define IPV4_ID_OFFSET	     4
#define IPV4_CHECKSUM_OFFSET 10
#define IPV6_SIZE_OFFSET     4
#define IPV6_HEADER_SIZE     40
#define TCP_SEQUENCE_OFFSET  4
#define TCP_FLAGS_OFFSET     13
#define UDP_SIZE_OFFSET	     4

static void patch_u16(struct frame *frame, size_t offset, uint16_t value)
{
	struct writer writer = writer_of(frame->header + offset, 2);

	writer_u16(&writer, value);
}

static size_t checksum_field(const struct packet *packet)
{
	return packet->ip_protocol == PACKET_IP_PROTOCOL_TCP ? TCP_CHECKSUM_OFFSET
							     : UDP_CHECKSUM_OFFSET;
}

/* TCP or UDP, in full: the sum that a guest left in the field is not believed. */
static void set_l4_checksum(struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	size_t field = packet->l4_offset + checksum_field(packet);
	size_t header_size = frame->header_size - packet->l4_offset;

	patch_u16(frame, field, 0);
	uint64_t sum =
		checksum_pseudo(&packet->ip_source, &packet->ip_destination, packet->ip_protocol,
				(uint32_t)(header_size + frame->payload_size));
	sum = checksum_add(sum, frame->header + packet->l4_offset, header_size, false);
	sum = checksum_add_iov(sum, frame->payload, frame->payload_count, header_size % 2 != 0);
	uint16_t checksum = checksum_finish(sum);
	/* 0 would mean "none" (RFC 768). */
	if (checksum == 0 && packet->ip_protocol == PACKET_IP_PROTOCOL_UDP)
		checksum = UINT16_MAX;
	patch_u16(frame, field, checksum);
	frame->offload = (struct frame_offload){ .checksum_valid = true };
}

bool frame_complete_checksum(struct frame *frame)
{
	if (!frame->offload.checksum_partial)
		return true;
	if (!frame_check_offload(frame))
		return false;
	set_l4_checksum(frame);
	return true;
}

static void set_ip(struct frame *frame, uint16_t id)
{
	struct packet *packet = &frame->packet;
	size_t l3 = packet->l3_offset;

	packet->ip_total_size = (uint16_t)(frame_size(frame) - l3);
	if (packet->kind == PACKET_IPV6) {
		patch_u16(frame, l3 + IPV6_SIZE_OFFSET,
			  (uint16_t)(packet->ip_total_size - IPV6_HEADER_SIZE));
		return;
	}
	packet->ip_id = id;
	patch_u16(frame, l3 + IPV4_SIZE_OFFSET, packet->ip_total_size);
	patch_u16(frame, l3 + IPV4_ID_OFFSET, id);
	patch_u16(frame, l3 + IPV4_CHECKSUM_OFFSET, 0);
	patch_u16(frame, l3 + IPV4_CHECKSUM_OFFSET,
		  checksum_finish(
			  checksum_add(0, frame->header + l3, packet->l4_offset - l3, false)));
}

/* FIN and PSH belong to the last byte, CWR answers one mark only (RFC 3168 6.1.2). */
static void set_tcp(struct frame *segment, uint32_t sequence, uint8_t flags, bool first, bool last)
{
	size_t l4 = segment->packet.l4_offset;
	struct writer writer = writer_of(segment->header + l4 + TCP_SEQUENCE_OFFSET, 4);

	if (!first)
		flags &= (uint8_t)~TCP_CWR;
	if (!last)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	writer_u32(&writer, sequence);
	segment->header[l4 + TCP_FLAGS_OFFSET] = flags;
}

/* The cursor stands at the segment's first byte. `parts` is what the segment's payload points to. */
static void cut_one(const struct frame *frame, size_t index, struct iov_cursor *cursor,
		    struct iovec parts[FRAME_PAYLOAD_MAX_PARTS], struct frame *segment)
{
	const struct packet *packet = &frame->packet;
	size_t offset = index * frame->offload.gso_size;
	size_t left = frame->payload_size - offset;
	size_t size = left < frame->offload.gso_size ? left : frame->offload.gso_size;

	segment->payload = parts;
	segment->payload_count = iov_cursor_cut(cursor, size, parts, FRAME_PAYLOAD_MAX_PARTS);
	segment->payload_size = size;
	if (packet->ip_protocol == PACKET_IP_PROTOCOL_TCP) {
		struct reader field =
			reader_of(frame->header + packet->l4_offset + TCP_SEQUENCE_OFFSET, 4);
		uint8_t flags = frame->header[packet->l4_offset + TCP_FLAGS_OFFSET];

		set_tcp(segment, reader_u32(&field) + (uint32_t)offset, flags, offset == 0,
			size == left);
	} else {
		patch_u16(segment, (size_t)packet->l4_offset + UDP_SIZE_OFFSET,
			  (uint16_t)(UDP_HEADER_SIZE + size));
	}
	set_ip(segment, (uint16_t)(packet->ip_id + index));
	set_l4_checksum(segment);
}

static size_t cut_up(const struct frame *frame, frame_segment_emit *emit, void *context)
{
	struct iov_cursor cursor = iov_cursor_of(frame->payload, frame->payload_count);
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	struct frame segment = *frame;
	size_t count = frame_segment_count(frame);

	for (size_t i = 0; i < count; i++) {
		cut_one(frame, i, &cursor, parts, &segment);
		emit(context, &segment);
	}
	return count;
}

void frame_segment_one(const struct frame *frame, size_t index,
		       struct iovec parts[FRAME_PAYLOAD_MAX_PARTS], struct frame *ret_segment)
{
	struct iov_cursor cursor = iov_cursor_of(frame->payload, frame->payload_count);

	assert(index < frame_segment_count(frame));
	iov_cursor_skip(&cursor, index * frame->offload.gso_size);
	*ret_segment = *frame;
	cut_one(frame, index, &cursor, parts, ret_segment);
}

size_t frame_segment(struct frame *frame, frame_segment_emit *emit, void *context)
{
	assert(frame->payload_count <= FRAME_PAYLOAD_MAX_PARTS);
	if (frame->offload.gso != FRAME_GSO_NONE) {
		if (!frame_check_offload(frame))
			return 0;
		if (frame->payload_size > frame->offload.gso_size)
			return cut_up(frame, emit, context);
		frame->offload.gso = FRAME_GSO_NONE;
		frame->offload.gso_size = 0;
	}
	if (!frame_complete_checksum(frame))
		return 0;
	emit(context, frame);
	return 1;
}
