#include "wire/ether.h"

bool ether_parse(struct reader *reader, struct ether_header *ret_header)
{
	struct ether_header header;

	/* reader_bytes() fills it; cppcheck takes the address for a value. */
	/* cppcheck-suppress uninitvar */
	reader_bytes(reader, header.destination.octet, sizeof(header.destination.octet));
	reader_bytes(reader, header.source.octet, sizeof(header.source.octet));
	header.type = reader_u16(reader);
	if (!reader_ok(reader))
		return false;
	*ret_header = header;
	return true;
}

void ether_build(struct writer *writer, const struct ether_header *header)
{
	writer_bytes(writer, header->destination.octet, sizeof(header->destination.octet));
	writer_bytes(writer, header->source.octet, sizeof(header->source.octet));
	writer_u16(writer, header->type);
}
