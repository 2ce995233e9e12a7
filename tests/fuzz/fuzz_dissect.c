/* A frame of any bytes with any offload marks: dissection, verification, segmentation,
 * fragmentation. The first 8 bytes are the marks; a bit of
 * them has the IPv4 checksum repaired. */

#include "fuzz.h"

#include "wire/checksum.h"
#include "wire/frame.h"
#include "wire/frame_fragment.h"
#include "wire/frame_segment.h"
#include "wire/packet_build.h"

static void look(void *context, const struct frame *frame)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	size_t size = frame_copy(frame, bytes, sizeof(bytes));
	struct packet packet;
	enum drop_reason reason;

	(void)context;
	FUZZ_CHECK(size == frame_size(frame));
	/* What we emit, we would take. */
	FUZZ_CHECK(packet_dissect(bytes, size < FRAME_HEADER_MAX ? size : FRAME_HEADER_MAX, size,
				  &packet, &reason));
	FUZZ_CHECK(packet.kind == frame->packet.kind && packet.has_l4 == frame->packet.has_l4);
	FUZZ_CHECK(!frame->offload.checksum_partial);
}

/* Else no changed IPv4 header would come further than its checksum. */
static void repair_ip_checksum(uint8_t *bytes, size_t size)
{
	const size_t l3 = 14;
	size_t header_size = size > l3 ? (size_t)(bytes[l3] & 15) * 4 : 0;

	if (header_size < 20 || size - l3 < header_size)
		return;
	struct writer field = writer_of(bytes + l3 + 10, 2);
	writer_u16(&field, 0);
	field.position = 0;
	writer_u16(&field, checksum_finish(checksum_add(0, bytes + l3, header_size, false)));
}

static void run(const uint8_t *bytes, size_t size, const struct frame_offload *offload)
{
	struct frame frame;
	struct frame again;
	enum drop_reason reason;
	uint8_t quote[ICMP_QUOTE_MAX];

	if (!frame_from_bytes(&frame, bytes, size, 0, &reason))
		return;
	FUZZ_CHECK(frame.header_size <= FRAME_HEADER_MAX);
	FUZZ_CHECK(frame_size(&frame) <= size);
	if (frame_verify_checksum(&frame))
		FUZZ_CHECK(frame.offload.checksum_valid || !frame.packet.has_l4);
	if (packet_allows_error(&frame.packet))
		FUZZ_CHECK(packet_quote(&frame, quote) >= 20);
	frame.offload = *offload;
	again = frame;
	again.payload = &again.single;
	(void)frame_segment(&frame, look, NULL);
	(void)frame_fragment(&again, offload->gso_size, look, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	uint8_t flags = reader_u8(&reader);
	const struct frame_offload offload = {
		.checksum_partial = (flags & 1) != 0,
		.checksum_valid = (flags & 2) != 0,
		.gso = (enum frame_gso)(reader_u8(&reader) % 4),
		.checksum_start = reader_u16(&reader),
		.checksum_offset = reader_u16(&reader),
		.gso_size = reader_u16(&reader),
	};
	size_t left = reader_left(&reader);
	uint8_t *bytes = malloc(left > 0 ? left : 1);

	if (bytes && reader_ok(&reader)) {
		reader_bytes(&reader, bytes, left);
		if (flags & 4)
			repair_ip_checksum(bytes, left);
		run(bytes, left, &offload);
	}
	free(bytes);
	return 0;
}
