#include "wire/udp.h"

bool udp_parse(struct reader *reader, struct udp_header *ret_header)
{
	struct udp_header header;

	header.source_port = reader_u16(reader);
	header.destination_port = reader_u16(reader);
	header.size = reader_u16(reader);
	header.checksum = reader_u16(reader);
	if (!reader_ok(reader) || header.size < UDP_HEADER_SIZE)
		return false;
	*ret_header = header;
	return true;
}

void udp_build(struct writer *writer, const struct udp_header *header)
{
	writer_u16(writer, header->source_port);
	writer_u16(writer, header->destination_port);
	writer_u16(writer, header->size);
	writer_u16(writer, header->checksum);
}
