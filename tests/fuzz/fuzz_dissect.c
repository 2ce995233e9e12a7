/* A frame of any bytes with any offload marks: dissection, verification, segmentation,
 * fragmentation. The first 8 bytes are the marks. */

#include "fuzz.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader marks = reader_of(data, size);
	struct frame frame;
	struct frame again;
	enum drop_reason reason;
	uint8_t quote[ICMP_QUOTE_MAX];

	uint8_t flags = reader_u8(&marks);
	struct frame_offload offload = {
		.checksum_partial = (flags & 1) != 0,
		.checksum_valid = (flags & 2) != 0,
		.gso = (enum frame_gso)(reader_u8(&marks) % 4),
		.checksum_start = reader_u16(&marks),
		.checksum_offset = reader_u16(&marks),
		.gso_size = reader_u16(&marks),
	};
	if (!reader_ok(&marks) ||
	    !frame_from_bytes(&frame, data + marks.position, reader_left(&marks), 0, &reason))
		return 0;

	FUZZ_CHECK(frame.header_size <= FRAME_HEADER_MAX);
	FUZZ_CHECK(frame_size(&frame) <= reader_left(&marks));
	(void)frame_verify_checksum(&frame);
	if (packet_allows_error(&frame.packet))
		FUZZ_CHECK(packet_quote(&frame, quote) >= 20);
	frame.offload = offload;
	again = frame;
	(void)frame_segment(&frame, look, NULL);
	again.payload = &again.single;
	(void)frame_fragment(&again, offload.gso_size, look, NULL);
	return 0;
}
