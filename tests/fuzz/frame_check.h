#pragma once
/* What must be true of every frame that one stage hands to the next. */

#include "fuzz.h"
#include "wire/frame.h"

static volatile uint64_t frame_check_sum; /* makes the reads happen */

static inline void frame_check_payload(const struct frame *frame)
{
	size_t size = 0;
	uint64_t sum = 0;

	FUZZ_CHECK(frame->payload_count <= FRAME_PAYLOAD_MAX_PARTS);
	for (size_t i = 0; i < frame->payload_count; i++) {
		const uint8_t *bytes = frame->payload[i].iov_base;

		size += frame->payload[i].iov_len;
		for (size_t at = 0; at < frame->payload[i].iov_len; at++)
			sum += bytes[at];
	}
	FUZZ_CHECK(size == frame->payload_size);
	frame_check_sum += sum;
}

/* `most`: bytes of the longest frame. */
static inline void frame_check(const struct frame *frame, size_t most)
{
	const struct packet *packet = &frame->packet;

	FUZZ_CHECK(frame->header_size >= FRAME_ETHERNET_SIZE);
	FUZZ_CHECK(frame->header_size <= FRAME_HEADER_MAX);
	FUZZ_CHECK(frame_size(frame) <= most);
	frame_check_payload(frame);
	if (packet->kind != PACKET_IPV4 && packet->kind != PACKET_IPV6)
		return;
	FUZZ_CHECK(packet->l3_offset == FRAME_ETHERNET_SIZE);
	FUZZ_CHECK(packet->l4_offset > packet->l3_offset);
	FUZZ_CHECK(packet->payload_offset >= packet->l4_offset);
	FUZZ_CHECK(packet->payload_offset <= frame->header_size);
	/* Padding was cut off. */
	FUZZ_CHECK((size_t)packet->l3_offset + packet->ip_total_size == frame_size(frame));
	FUZZ_CHECK(!packet->has_l4 || packet->payload_offset == frame->header_size);
	FUZZ_CHECK(!packet->has_l4 || !packet->ip_is_fragment);
}
