#include "wire/tcp.h"

enum option_kind {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_WINDOW_SCALE = 3,
	OPTION_SACK_PERMITTED = 4,
	OPTION_SACK = 5,
	OPTION_TIMESTAMPS = 8,
};

/* On the wire, with kind and length. */
#define MSS_SIZE	    4
#define WINDOW_SCALE_SIZE   3
#define SACK_PERMITTED_SIZE 2
#define TIMESTAMPS_SIZE	    10
#define SACK_BLOCK_SIZE	    8

/* The next option but no-ops; false at the end of the list or at a malformed length. */
static bool next_option(struct reader *options, uint8_t *ret_kind, struct reader *ret_value)
{
	uint8_t kind = OPTION_NOP;

	while (kind == OPTION_NOP && reader_left(options) > 0)
		kind = reader_u8(options);
	if (kind == OPTION_NOP || kind == OPTION_END)
		return false;

	uint8_t size = reader_u8(options);
	if (size < 2)
		return false;
	*ret_kind = kind;
	*ret_value = reader_sub(options, size - 2U);
	return reader_ok(options);
}

static void read_sack(struct reader *value, struct tcp_header *header)
{
	if (header->sack_count > 0 || reader_left(value) % SACK_BLOCK_SIZE != 0)
		return;
	while (header->sack_count < TCP_SACK_MAX && reader_left(value) >= SACK_BLOCK_SIZE) {
		struct tcp_sack_block *block = &header->sack[header->sack_count++];
		block->start = reader_u32(value);
		block->end = reader_u32(value);
	}
}

static void read_option(uint8_t kind, struct reader *value, struct tcp_header *header)
{
	size_t size = reader_left(value) + 2;

	switch (kind) {
	case OPTION_MSS:
		if (size == MSS_SIZE && !header->has_mss) {
			header->has_mss = true;
			header->mss = reader_u16(value);
		}
		break;
	case OPTION_WINDOW_SCALE:
		if (size == WINDOW_SCALE_SIZE && !header->has_window_scale) {
			uint8_t scale = reader_u8(value);
			header->has_window_scale = true;
			header->window_scale =
				scale > TCP_WINDOW_SCALE_MAX ? TCP_WINDOW_SCALE_MAX : scale;
		}
		break;
	case OPTION_SACK_PERMITTED:
		if (size == SACK_PERMITTED_SIZE)
			header->sack_permitted = true;
		break;
	case OPTION_SACK:
		read_sack(value, header);
		break;
	case OPTION_TIMESTAMPS:
		if (size == TIMESTAMPS_SIZE && !header->has_timestamps) {
			header->has_timestamps = true;
			header->timestamp_value = reader_u32(value);
			header->timestamp_echo = reader_u32(value);
		}
		break;
	default:
		break;
	}
}

bool tcp_parse(struct reader *reader, struct tcp_header *ret_header)
{
	struct tcp_header header = {};

	header.source_port = reader_u16(reader);
	header.destination_port = reader_u16(reader);
	header.sequence = reader_u32(reader);
	header.acknowledgement = reader_u32(reader);
	header.header_size = (uint8_t)((reader_u8(reader) >> 4) * 4);
	header.flags = reader_u8(reader);
	header.window = reader_u16(reader);
	header.checksum = reader_u16(reader);
	header.urgent = reader_u16(reader);
	if (!reader_ok(reader) || header.header_size < TCP_HEADER_SIZE)
		return false;

	struct reader options = reader_sub(reader, header.header_size - (size_t)TCP_HEADER_SIZE);
	if (!reader_ok(reader))
		return false;
	uint8_t kind;
	struct reader value;
	while (next_option(&options, &kind, &value))
		read_option(kind, &value, &header);
	*ret_header = header;
	return true;
}

/* Each option is preceded by no-ops that align what follows its kind and length (RFC 7323
 * appendix A). */
static size_t fixed_options_size(const struct tcp_header *header)
{
	return (header->has_mss ? 4U : 0U) + (header->has_window_scale ? 4U : 0U) +
	       (header->sack_permitted ? 4U : 0U) + (header->has_timestamps ? 12U : 0U);
}

static size_t sack_blocks_that_fit(const struct tcp_header *header)
{
	size_t left = TCP_OPTIONS_MAX - fixed_options_size(header);
	size_t most = left < 4 ? 0 : (left - 4) / SACK_BLOCK_SIZE;

	return header->sack_count < most ? header->sack_count : most;
}

size_t tcp_header_size(const struct tcp_header *header)
{
	size_t blocks = sack_blocks_that_fit(header);

	return TCP_HEADER_SIZE + fixed_options_size(header) +
	       (blocks > 0 ? 4 + blocks * SACK_BLOCK_SIZE : 0);
}

static void write_kind(struct writer *writer, unsigned int nops, uint8_t kind, size_t size)
{
	for (unsigned int i = 0; i < nops; i++)
		writer_u8(writer, OPTION_NOP);
	writer_u8(writer, kind);
	writer_u8(writer, (uint8_t)size);
}

static void write_options(struct writer *writer, const struct tcp_header *header)
{
	if (header->has_mss) {
		write_kind(writer, 0, OPTION_MSS, MSS_SIZE);
		writer_u16(writer, header->mss);
	}
	if (header->sack_permitted)
		write_kind(writer, 2, OPTION_SACK_PERMITTED, SACK_PERMITTED_SIZE);
	if (header->has_timestamps) {
		write_kind(writer, 2, OPTION_TIMESTAMPS, TIMESTAMPS_SIZE);
		writer_u32(writer, header->timestamp_value);
		writer_u32(writer, header->timestamp_echo);
	}
	if (header->has_window_scale) {
		write_kind(writer, 1, OPTION_WINDOW_SCALE, WINDOW_SCALE_SIZE);
		writer_u8(writer, header->window_scale);
	}

	size_t blocks = sack_blocks_that_fit(header);
	if (blocks == 0)
		return;
	write_kind(writer, 2, OPTION_SACK, 2 + blocks * SACK_BLOCK_SIZE);
	for (size_t i = 0; i < blocks; i++) {
		writer_u32(writer, header->sack[i].start);
		writer_u32(writer, header->sack[i].end);
	}
}

void tcp_build(struct writer *writer, const struct tcp_header *header)
{
	writer_u16(writer, header->source_port);
	writer_u16(writer, header->destination_port);
	writer_u32(writer, header->sequence);
	writer_u32(writer, header->acknowledgement);
	writer_u8(writer, (uint8_t)(tcp_header_size(header) / 4 << 4));
	writer_u8(writer, header->flags);
	writer_u16(writer, header->window);
	writer_u16(writer, header->checksum);
	writer_u16(writer, header->urgent);
	write_options(writer, header);
}
