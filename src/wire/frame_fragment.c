#include "wire/frame_fragment.h"

#include <assert.h>
#include <string.h>

#include "wire/ether.h"
#include "wire/iov_cursor.h"
#include "wire/ipv4.h"

#define MTU_MIN 68 /* RFC 791 3.2: every module forwards that much unfragmented */

/* The headers of one fragment; dissected as every frame is. */
static void set_headers(struct frame *fragment, const struct packet *whole, size_t offset,
			bool more)
{
	struct ipv4_header header = {
		.tos = whole->ip_tos,
		.total_size = (uint16_t)(IPV4_HEADER_SIZE + fragment->payload_size),
		.id = (uint16_t)whole->ip_id,
		.dont_fragment = whole->ip_dont_fragment,
		.more_fragments = more,
		.fragment_offset = (uint16_t)offset,
		.ttl = whole->ip_ttl,
		.protocol = whole->ip_protocol,
		.source = whole->ip_source,
		.destination = whole->ip_destination,
	};
	struct writer writer = writer_of(fragment->header + whole->l3_offset, IPV4_HEADER_SIZE);
	enum drop_reason reason;

	ipv4_build(&writer, &header);
	bool sound = packet_dissect(fragment->header, fragment->header_size, frame_size(fragment),
				    &fragment->packet, &reason);
	assert(sound);
	(void)sound;
}

size_t frame_fragment(struct frame *frame, uint32_t mtu, frame_segment_emit *emit, void *context)
{
	const struct packet *whole = &frame->packet;
	struct iovec pieces[FRAME_PAYLOAD_MAX_PARTS];
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];

	if (whole->kind != PACKET_IPV4 || whole->ip_has_options || whole->ip_is_fragment ||
	    frame->offload.gso != FRAME_GSO_NONE || mtu < MTU_MIN ||
	    frame->payload_count >= FRAME_PAYLOAD_MAX_PARTS || !frame_complete_checksum(frame))
		return 0;
	if (whole->ip_total_size <= mtu) {
		emit(context, frame);
		return 1;
	}

	/* What is behind the IP header: the L4 header is data here, too. */
	pieces[0].iov_base = frame->header + whole->l4_offset;
	pieces[0].iov_len = frame->header_size - whole->l4_offset;
	for (size_t i = 0; i < frame->payload_count; i++)
		pieces[i + 1] = frame->payload[i];

	struct iov_cursor cursor = iov_cursor_of(pieces, frame->payload_count + 1);
	size_t data_size = (size_t)whole->ip_total_size - IPV4_HEADER_SIZE;
	size_t chunk = (size_t)(mtu - IPV4_HEADER_SIZE) / 8 * 8;
	struct frame fragment = *frame;
	size_t count = 0;

	fragment.header_size = whole->l4_offset;
	fragment.payload = parts;
	for (size_t offset = 0; offset < data_size; offset += chunk, count++) {
		size_t left = data_size - offset;

		fragment.payload_size = left < chunk ? left : chunk;
		fragment.payload_count =
			iov_cursor_cut(&cursor, fragment.payload_size, parts, ARRAY_COUNT(parts));
		set_headers(&fragment, whole, offset, left > chunk);
		emit(context, &fragment);
	}
	return count;
}
