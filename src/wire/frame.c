#include "wire/frame.h"

#include <assert.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/iov_cursor.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/writer.h"

/* How much of the frame belongs into frame->header, and where the packet ends. */
static void measure(const struct packet *packet, size_t size, size_t *ret_header_size,
		    size_t *ret_end)
{
	switch (packet->kind) {
	case PACKET_IPV4:
	case PACKET_IPV6:
		*ret_header_size = packet->payload_offset;
		*ret_end = (size_t)packet->l3_offset + packet->ip_total_size;
		return;
	case PACKET_ARP:
	case PACKET_OTHER:
		break;
	}
	*ret_header_size = size < FRAME_HEADER_MAX ? size : FRAME_HEADER_MAX;
	*ret_end = size;
}

/* Dissects the `copied` bytes of frame->header, and finds out where the payload is. */
static bool dissect(struct frame *frame, size_t copied, size_t size, uint32_t port,
		    enum drop_reason *ret_reason)
{
	size_t end;

	if (!packet_dissect(frame->header, copied, size, &frame->packet, ret_reason))
		return false;
	measure(&frame->packet, size, &frame->header_size, &end);
	frame->payload_size = end - frame->header_size;
	frame->offload = (struct frame_offload){};
	frame->port = port;
	frame->in_place = false;
	return true;
}

bool frame_from_bytes(struct frame *frame, const void *bytes, size_t size, uint32_t port,
		      enum drop_reason *ret_reason)
{
	size_t copied = size < FRAME_HEADER_MAX ? size : FRAME_HEADER_MAX;

	if (size > FRAME_MAX_SIZE) {
		*ret_reason = DROP_LONG_FRAME;
		return false;
	}
	if (copied > 0)
		memcpy(frame->header, bytes, copied);
	if (!dissect(frame, copied, size, port, ret_reason))
		return false;
	/* The payload is read only; an iovec has no const. */
	frame->single.iov_base = (void *)((uintptr_t)bytes + frame->header_size);
	frame->single.iov_len = frame->payload_size;
	frame->payload = &frame->single;
	frame->payload_count = frame->payload_size > 0 ? 1 : 0;
	return true;
}

bool frame_from_parts(struct frame *frame, const struct iovec *parts, size_t count, size_t size,
		      uint32_t port, struct iovec ret_payload[FRAME_PAYLOAD_MAX_PARTS],
		      enum drop_reason *ret_reason)
{
	struct iov_cursor cursor = iov_cursor_of(parts, count);
	struct iovec pieces[FRAME_PAYLOAD_MAX_PARTS];
	size_t copied = size < FRAME_HEADER_MAX ? size : FRAME_HEADER_MAX;

	assert(count <= FRAME_PAYLOAD_MAX_PARTS);
	if (size > FRAME_MAX_SIZE) {
		*ret_reason = DROP_LONG_FRAME;
		return false;
	}
	size_t piece_count = iov_cursor_cut(&cursor, copied, pieces, ARRAY_COUNT(pieces));
	struct writer writer = writer_of(frame->header, sizeof(frame->header));
	for (size_t i = 0; i < piece_count; i++)
		writer_bytes(&writer, pieces[i].iov_base, pieces[i].iov_len);
	if (!dissect(frame, copied, size, port, ret_reason))
		return false;
	cursor = iov_cursor_of(parts, count);
	(void)iov_cursor_cut(&cursor, frame->header_size, pieces, ARRAY_COUNT(pieces));
	frame->payload = ret_payload;
	frame->payload_count =
		iov_cursor_cut(&cursor, frame->payload_size, ret_payload, FRAME_PAYLOAD_MAX_PARTS);
	return true;
}

/* The marks must name the L4 header that we found ourselves. */
static bool partial_is_sound(const struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	size_t field = packet->ip_protocol == PACKET_IP_PROTOCOL_TCP ? TCP_CHECKSUM_OFFSET
								     : UDP_CHECKSUM_OFFSET;

	return packet->has_l4 &&
	       (packet->ip_protocol == PACKET_IP_PROTOCOL_TCP ||
		packet->ip_protocol == PACKET_IP_PROTOCOL_UDP) &&
	       frame->offload.checksum_start == packet->l4_offset &&
	       frame->offload.checksum_offset == field;
}

static bool gso_is_sound(const struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	const struct frame_offload *offload = &frame->offload;

	if (offload->gso_size == 0 || !packet->has_l4 ||
	    frame->header_size != packet->payload_offset)
		return false;
	/* A sum over the whole cannot be checked on its pieces, so one of the two must hold
	 * (virtio 1.2, 5.1.6.2 requires the first). */
	if (!offload->checksum_valid && !offload->checksum_partial)
		return false;
	switch (offload->gso) {
	case FRAME_GSO_NONE:
		return false;
	case FRAME_GSO_TCP4:
		return packet->kind == PACKET_IPV4 && packet->ip_protocol == PACKET_IP_PROTOCOL_TCP;
	case FRAME_GSO_TCP6:
		return packet->kind == PACKET_IPV6 && packet->ip_protocol == PACKET_IP_PROTOCOL_TCP;
	case FRAME_GSO_UDP:
		return packet->ip_protocol == PACKET_IP_PROTOCOL_UDP;
	}
	return false;
}

bool frame_check_offload(const struct frame *frame)
{
	if (frame->offload.checksum_partial && !partial_is_sound(frame))
		return false;
	return frame->offload.gso == FRAME_GSO_NONE || gso_is_sound(frame);
}

bool frame_verify_checksum(struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	if (!packet->has_l4 || frame->offload.checksum_valid || frame->offload.checksum_partial)
		return true;
	assert(frame->header_size >= packet->payload_offset);

	const uint8_t *l4 = frame->header + packet->l4_offset;
	size_t l4_header_size = frame->header_size - packet->l4_offset;
	size_t l4_size = l4_header_size + frame->payload_size;
	uint64_t sum = 0;

	if (packet->ip_protocol == PACKET_IP_PROTOCOL_UDP && l4[UDP_CHECKSUM_OFFSET] == 0 &&
	    l4[UDP_CHECKSUM_OFFSET + 1] == 0) {
		/* None; IPv6 requires one (RFC 8200 8.1). */
		frame->offload.checksum_valid = packet->kind == PACKET_IPV4;
		return frame->offload.checksum_valid;
	}
	if (packet->ip_protocol != PACKET_IP_PROTOCOL_ICMP)
		sum = checksum_pseudo(&packet->ip_source, &packet->ip_destination,
				      packet->ip_protocol, (uint32_t)l4_size);
	sum = checksum_add(sum, l4, l4_header_size, false);
	sum = checksum_add_iov(sum, frame->payload, frame->payload_count, l4_header_size % 2 != 0);
	frame->offload.checksum_valid = checksum_finish(sum) == 0;
	return frame->offload.checksum_valid;
}

void frame_copy_payload(const struct frame *frame, size_t offset, void *ret_bytes, size_t size)
{
	uint8_t *to = ret_bytes;

	assert(offset <= frame->payload_size && size <= frame->payload_size - offset);
	for (size_t i = 0; i < frame->payload_count && size > 0; i++) {
		size_t part_size = frame->payload[i].iov_len;

		if (offset >= part_size) {
			offset -= part_size;
			continue;
		}
		struct reader window = reader_of(frame->payload[i].iov_base, part_size);
		reader_skip(&window, offset);
		offset = 0;
		size_t now = reader_left(&window) < size ? reader_left(&window) : size;
		reader_bytes(&window, to, now);
		to += now;
		size -= now;
	}
	assert(size == 0);
}

size_t frame_copy(const struct frame *frame, void *buffer, size_t size)
{
	uint8_t *to = buffer;

	if (frame_size(frame) > size)
		return 0;
	memcpy(to, frame->header, frame->header_size);
	frame_copy_payload(frame, 0, to + frame->header_size, frame->payload_size);
	return frame_size(frame);
}

bool frame_is_acknowledgement(const struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	return packet->has_l4 && packet->ip_protocol == PACKET_IP_PROTOCOL_TCP &&
	       frame->payload_size == 0 &&
	       (frame->header[packet->l4_offset + TCP_FLAGS_OFFSET] & ~TCP_PSH) == TCP_ACK;
}
