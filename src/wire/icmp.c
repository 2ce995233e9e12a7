#include "wire/icmp.h"

#include "wire/checksum.h"

bool icmp_is_error(uint8_t type)
{
	switch (type) {
	case ICMP_TYPE_UNREACHABLE:
	case ICMP_TYPE_SOURCE_QUENCH:
	case ICMP_TYPE_REDIRECT:
	case ICMP_TYPE_TIME_EXCEEDED:
	case ICMP_TYPE_PARAMETER_PROBLEM:
		return true;
	default:
		return false;
	}
}

static bool is_echo(uint8_t type)
{
	return type == ICMP_TYPE_ECHO_REQUEST || type == ICMP_TYPE_ECHO_REPLY;
}

static bool is_fragmentation_needed(uint8_t type, uint8_t code)
{
	return type == ICMP_TYPE_UNREACHABLE && code == ICMP_CODE_FRAGMENTATION_NEEDED;
}

bool icmp_parse(struct reader *reader, struct icmp_header *ret_header)
{
	struct icmp_header header = {};

	header.type = reader_u8(reader);
	header.code = reader_u8(reader);
	header.checksum = reader_u16(reader);
	uint16_t first = reader_u16(reader);
	uint16_t second = reader_u16(reader);
	if (!reader_ok(reader))
		return false;

	if (is_echo(header.type)) {
		header.identifier = first;
		header.sequence = second;
	} else if (is_fragmentation_needed(header.type, header.code)) {
		header.mtu = second;
	}
	*ret_header = header;
	return true;
}

bool icmp_parse_quote(struct reader *reader, struct icmp_quote *ret_quote)
{
	struct icmp_quote quote;

	if (!ipv4_parse(reader, &quote.ip))
		return false;

	size_t payload_size = (size_t)quote.ip.total_size - quote.ip.header_size;
	if (payload_size > reader_left(reader))
		payload_size = reader_left(reader);
	if (payload_size < ICMP_QUOTE_PAYLOAD_MIN)
		return false;
	quote.payload = reader_take(reader, payload_size);
	quote.payload_size = payload_size;
	*ret_quote = quote;
	return true;
}

void icmp_build(struct writer *writer, const struct icmp_header *header)
{
	bool echo = is_echo(header->type);

	writer_u8(writer, header->type);
	writer_u8(writer, header->code);
	writer_u16(writer, header->checksum);
	writer_u16(writer, echo ? header->identifier : 0);
	if (is_fragmentation_needed(header->type, header->code))
		writer_u16(writer, header->mtu);
	else
		writer_u16(writer, echo ? header->sequence : 0);
}

void icmp_build_error(struct writer *writer, const struct icmp_header *header, const void *quote,
		      size_t quote_size)
{
	struct icmp_header unsummed = *header;
	size_t start = writer->position;

	if (quote_size > ICMP_QUOTE_MAX)
		quote_size = ICMP_QUOTE_MAX;
	unsummed.checksum = 0;
	icmp_build(writer, &unsummed);
	writer_bytes(writer, quote, quote_size);
	if (!writer_ok(writer))
		return;
	writer_patch_u16(writer, start + ICMP_CHECKSUM_OFFSET,
			 checksum_finish(checksum_add(0, writer->data + start,
						      ICMP_HEADER_SIZE + quote_size, false)));
}
