#include "wire/virtio_net.h"

#define FLAG_NEEDS_CHECKSUM 1
#define FLAG_DATA_VALID	    2

#define GSO_NONE   0
#define GSO_TCP4   1
#define GSO_TCP6   4
#define GSO_UDP_L4 5
#define GSO_ECN	   0x80 /* a flag beside the TCP types */

static uint16_t reader_u16_le(struct reader *reader)
{
	uint8_t low = reader_u8(reader);

	return (uint16_t)(low | (unsigned)reader_u8(reader) << 8);
}

static void writer_u16_le(struct writer *writer, uint16_t value)
{
	writer_u8(writer, (uint8_t)(value & 0xff));
	writer_u8(writer, (uint8_t)(value >> 8));
}

static bool parse_gso(uint8_t type, enum frame_gso *ret_gso, bool *ret_ecn)
{
	*ret_ecn = (type & GSO_ECN) != 0;
	switch (type & ~GSO_ECN) {
	case GSO_NONE:
		*ret_gso = FRAME_GSO_NONE;
		return !*ret_ecn;
	case GSO_TCP4:
		*ret_gso = FRAME_GSO_TCP4;
		return true;
	case GSO_TCP6:
		*ret_gso = FRAME_GSO_TCP6;
		return true;
	case GSO_UDP_L4:
		*ret_gso = FRAME_GSO_UDP;
		return !*ret_ecn;
	default:
		return false;
	}
}

static uint8_t build_gso(const struct frame_offload *offload)
{
	uint8_t ecn = offload->gso_ecn ? GSO_ECN : 0;

	switch (offload->gso) {
	case FRAME_GSO_NONE:
		return GSO_NONE;
	case FRAME_GSO_TCP4:
		return GSO_TCP4 | ecn;
	case FRAME_GSO_TCP6:
		return GSO_TCP6 | ecn;
	case FRAME_GSO_UDP:
		return GSO_UDP_L4;
	}
	return GSO_NONE;
}

bool virtio_net_parse(struct reader *reader, struct frame_offload *ret_offload)
{
	uint8_t flags = reader_u8(reader);
	uint8_t gso_type = reader_u8(reader);
	struct frame_offload offload = {};

	reader_skip(reader, 2); /* hdr_len */
	offload.gso_size = reader_u16_le(reader);
	uint16_t start = reader_u16_le(reader);
	uint16_t offset = reader_u16_le(reader);
	reader_skip(reader, 2); /* num_buffers */
	if (!reader_ok(reader) || !parse_gso(gso_type, &offload.gso, &offload.gso_ecn))
		return false;
	if (offload.gso == FRAME_GSO_NONE)
		offload.gso_size = 0;
	else if (offload.gso_size == 0)
		return false;
	offload.checksum_partial = (flags & FLAG_NEEDS_CHECKSUM) != 0;
	if (offload.checksum_partial) {
		offload.checksum_start = start;
		offload.checksum_offset = offset;
	}
	*ret_offload = offload;
	return true;
}

void virtio_net_build(struct writer *writer, const struct frame *frame, uint16_t num_buffers)
{
	const struct frame_offload *offload = &frame->offload;
	uint8_t flags = 0;

	if (offload->checksum_partial)
		flags = FLAG_NEEDS_CHECKSUM;
	else if (offload->checksum_valid)
		flags = FLAG_DATA_VALID;
	writer_u8(writer, flags);
	writer_u8(writer, build_gso(offload));
	writer_u16_le(writer, offload->gso == FRAME_GSO_NONE ? 0 : (uint16_t)frame->header_size);
	writer_u16_le(writer, offload->gso_size);
	writer_u16_le(writer, offload->checksum_partial ? offload->checksum_start : 0);
	writer_u16_le(writer, offload->checksum_partial ? offload->checksum_offset : 0);
	writer_u16_le(writer, num_buffers);
}
