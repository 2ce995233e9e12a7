#include "wire/ipv4.h"

#include <assert.h>

#include "wire/checksum.h"

#define FLAG_DONT_FRAGMENT  0x4000
#define FLAG_MORE_FRAGMENTS 0x2000
#define OFFSET_MASK	    0x1fff
#define CHECKSUM_OFFSET	    10

bool ipv4_parse(struct reader *reader, struct ipv4_header *ret_header)
{
	struct ipv4_header header;
	struct reader start = *reader;
	uint8_t version_and_words = reader_u8(reader);

	header.tos = reader_u8(reader);
	header.total_size = reader_u16(reader);
	header.id = reader_u16(reader);
	uint16_t fragment = reader_u16(reader);
	header.ttl = reader_u8(reader);
	header.protocol = reader_u8(reader);
	reader_skip(reader, 2); /* the checksum */
	header.source = ip_addr_from_v4(reader_u32(reader));
	header.destination = ip_addr_from_v4(reader_u32(reader));

	header.header_size = (uint8_t)((version_and_words & 0x0f) * 4);
	if (version_and_words >> 4 != 4 || header.header_size < IPV4_HEADER_SIZE)
		return false;
	reader_skip(reader, header.header_size - (size_t)IPV4_HEADER_SIZE);
	if (!reader_ok(reader) || header.total_size < header.header_size)
		return false;

	/* The reserved bit carries nothing for us. */
	header.dont_fragment = (fragment & FLAG_DONT_FRAGMENT) != 0;
	header.more_fragments = (fragment & FLAG_MORE_FRAGMENTS) != 0;
	header.fragment_offset = (uint16_t)((fragment & OFFSET_MASK) * 8);
	const uint8_t *bytes = reader_take(&start, header.header_size);
	header.checksum_ok =
		bytes && checksum_finish(checksum_add(0, bytes, header.header_size, false)) == 0;
	*ret_header = header;
	return true;
}

void ipv4_build(struct writer *writer, const struct ipv4_header *header)
{
	assert(ip_addr_is_v4(&header->source) && ip_addr_is_v4(&header->destination));
	assert(header->fragment_offset % 8 == 0);

	size_t start = writer->position;
	uint16_t fragment = (uint16_t)((header->dont_fragment ? FLAG_DONT_FRAGMENT : 0) |
				       (header->more_fragments ? FLAG_MORE_FRAGMENTS : 0) |
				       header->fragment_offset / 8);

	writer_u8(writer, 0x45);
	writer_u8(writer, header->tos);
	writer_u16(writer, header->total_size);
	writer_u16(writer, header->id);
	writer_u16(writer, fragment);
	writer_u8(writer, header->ttl);
	writer_u8(writer, header->protocol);
	writer_u16(writer, 0);
	writer_u32(writer, ip_addr_to_v4(&header->source));
	writer_u32(writer, ip_addr_to_v4(&header->destination));
	if (!writer_ok(writer))
		return;
	writer_patch_u16(
		writer, start + CHECKSUM_OFFSET,
		checksum_finish(checksum_add(0, writer->data + start, IPV4_HEADER_SIZE, false)));
}
