#include "wire_test.h"

#include "wire/tcp.h"

/* A header with these option bytes; the data offset counts them, rounded up. */
static size_t with_options(uint8_t *bytes, const uint8_t *options, size_t size)
{
	size_t padded = (size + 3) / 4 * 4;

	memset(bytes, 0, TCP_HEADER_MAX);
	bytes[12] = (uint8_t)((TCP_HEADER_SIZE + padded) / 4 << 4);
	if (size > 0)
		memcpy(bytes + TCP_HEADER_SIZE, options, size);
	return TCP_HEADER_SIZE + padded;
}

static bool parse(const uint8_t *bytes, size_t size, struct tcp_header *header)
{
	uint8_t *copy = exact_copy(bytes, size);
	struct reader reader = reader_of(copy, size);
	bool good = tcp_parse(&reader, header);

	if (good)
		assert_int_equal(reader.position, header->header_size);
	free(copy);
	return good;
}

static void assert_round_trip(const struct tcp_header *in)
{
	uint8_t bytes[TCP_HEADER_MAX];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct tcp_header out;

	tcp_build(&writer, in);
	assert_true(writer_ok(&writer));
	assert_int_equal(writer.position, tcp_header_size(in));
	assert_int_equal(writer.position % 4, 0);
	assert_true(parse(bytes, writer.position, &out));
	assert_int_equal(out.header_size, writer.position);
	assert_int_equal(out.source_port, in->source_port);
	assert_int_equal(out.destination_port, in->destination_port);
	assert_int_equal(out.sequence, in->sequence);
	assert_int_equal(out.acknowledgement, in->acknowledgement);
	assert_int_equal(out.flags, in->flags);
	assert_int_equal(out.window, in->window);
	assert_int_equal(out.checksum, in->checksum);
	assert_int_equal(out.urgent, in->urgent);
	assert_int_equal(out.has_mss, in->has_mss);
	assert_int_equal(out.mss, in->mss);
	assert_int_equal(out.has_window_scale, in->has_window_scale);
	assert_int_equal(out.window_scale, in->window_scale);
	assert_int_equal(out.sack_permitted, in->sack_permitted);
	assert_int_equal(out.has_timestamps, in->has_timestamps);
	assert_int_equal(out.timestamp_value, in->timestamp_value);
	assert_int_equal(out.timestamp_echo, in->timestamp_echo);
	assert_int_equal(out.sack_count, in->sack_count);
	for (size_t i = 0; i < in->sack_count; i++) {
		assert_int_equal(out.sack[i].start, in->sack[i].start);
		assert_int_equal(out.sack[i].end, in->sack[i].end);
	}
}

static void test_round_trips(void **state)
{
	(void)state;
	const struct tcp_header plain = {
		.source_port = 65535,
		.destination_port = 1,
		.sequence = UINT32_MAX,
		.acknowledgement = 0x80000000,
		.flags = 0xff,
		.window = 65535,
		.checksum = 0x1234,
		.urgent = 0xffff,
	};
	struct tcp_header syn = plain;
	struct tcp_header sack = plain;

	assert_round_trip(&plain);
	syn.has_mss = true;
	syn.mss = 1460;
	assert_round_trip(&syn);
	syn.has_window_scale = true;
	syn.window_scale = 14;
	assert_round_trip(&syn);
	syn.sack_permitted = true;
	assert_round_trip(&syn);
	syn.has_timestamps = true;
	syn.timestamp_value = 0xffffffff;
	syn.timestamp_echo = 1;
	assert_round_trip(&syn);

	for (uint8_t count = 1; count <= TCP_SACK_MAX; count++) {
		sack.sack_count = count;
		sack.sack[count - 1] = (struct tcp_sack_block){ 0xfffffff0U + count, count };
		assert_round_trip(&sack);
	}
	sack.sack_count = 3;
	sack.has_timestamps = true;
	assert_round_trip(&sack);
	assert_int_equal(tcp_header_size(&sack), 60);
	/* The fourth has no room beside timestamps. */
	sack.sack_count = 4;
	assert_int_equal(tcp_header_size(&sack), 60);
}

static void test_every_short_size(void **state)
{
	(void)state;
	const uint8_t mss[] = { 2, 4, 5, 0xb4 };
	uint8_t bytes[TCP_HEADER_MAX];
	size_t whole = with_options(bytes, mss, sizeof(mss));
	struct tcp_header header = { .mss = 7 };

	for (size_t size = 0; size < whole; size++)
		assert_false(parse(bytes, size, &header));
	assert_int_equal(header.mss, 7);
	assert_true(parse(bytes, whole, &header));
	assert_int_equal(header.mss, 1460);
	for (uint8_t words = 0; words < 5; words++) {
		bytes[12] = (uint8_t)(words << 4);
		assert_false(parse(bytes, whole, &header));
	}
}

struct option_row {
	const char *what;
	uint8_t bytes[TCP_OPTIONS_MAX];
	size_t size;
	struct tcp_header want;
};

static const struct option_row option_rows[] = {
	{ "none", { 0 }, 0, {} },
	{ "end hides the rest", { 0, 2, 4, 5, 0xb4 }, 5, {} },
	{ "no-ops to the brim", { 1, 1, 1, 1 }, 4, {} },
	{ "length 0 would not advance", { 2, 0, 5, 0xb4, 4, 2 }, 6, {} },
	{ "length 1 would go back", { 2, 1, 5, 0xb4, 4, 2 }, 6, {} },
	{ "length beyond the end", { 4, 2, 2, 5, 5, 0xb4, 3, 200 }, 8, { .sack_permitted = true } },
	{ "kind without a length", { 1, 1, 1, 2 }, 4, {} },
	{ "kept before the bad one", { 2, 4, 1, 0, 99, 0 }, 6, { .has_mss = true, .mss = 256 } },
	{ "unknown kinds are skipped",
	  { 254, 6, 1, 2, 3, 4, 4, 2 },
	  8,
	  { .sack_permitted = true } },
	{ "wrong MSS length", { 2, 3, 5, 1, 4, 2 }, 6, { .sack_permitted = true } },
	{ "wrong scale length", { 3, 4, 9, 9 }, 4, {} },
	{ "scale 255 is 14",
	  { 3, 3, 255 },
	  3,
	  { .has_window_scale = true, .window_scale = TCP_WINDOW_SCALE_MAX } },
	{ "MSS 0 is passed on", { 2, 4, 0, 0 }, 4, { .has_mss = true } },
	{ "the first of two", { 2, 4, 0, 9, 2, 4, 1, 1 }, 8, { .has_mss = true, .mss = 9 } },
	{ "an empty SACK", { 5, 2, 4, 2 }, 4, { .sack_permitted = true } },
	{ "half a SACK block", { 5, 6, 1, 2, 3, 4, 4, 2 }, 8, { .sack_permitted = true } },
	{ "timestamps cut short", { 8, 9, 1, 2, 3, 4, 5, 6, 7, 1, 1, 1 }, 12, {} },
};

static void test_options(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(option_rows) / sizeof(option_rows[0]); i++) {
		const struct option_row *row = &option_rows[i];
		uint8_t bytes[TCP_HEADER_MAX];
		size_t size = with_options(bytes, row->bytes, row->size);
		struct tcp_header header;

		print_message("# %s\n", row->what);
		assert_true(parse(bytes, size, &header));
		assert_int_equal(header.has_mss, row->want.has_mss);
		assert_int_equal(header.mss, row->want.mss);
		assert_int_equal(header.has_window_scale, row->want.has_window_scale);
		assert_int_equal(header.window_scale, row->want.window_scale);
		assert_int_equal(header.sack_permitted, row->want.sack_permitted);
		assert_int_equal(header.has_timestamps, row->want.has_timestamps);
		assert_int_equal(header.sack_count, row->want.sack_count);
	}
}

static void test_sequence_numbers(void **state)
{
	(void)state;
	assert_true(tcp_seq_before(1, 2));
	assert_false(tcp_seq_before(2, 2));
	assert_true(tcp_seq_before(0xffffffff, 0));
	assert_true(tcp_seq_before(0xfffffff0, 0x10));
	assert_false(tcp_seq_before(0x10, 0xfffffff0));
	assert_true(tcp_seq_after(0, 0xffffffff));
	assert_true(tcp_seq_before_equal(5, 5));
	assert_true(tcp_seq_after_equal(5, 5));
	assert_true(tcp_seq_before(0, 0x7fffffff));
	assert_false(tcp_seq_before(0, 0x80000001));

	assert_true(tcp_seq_in(0xffffffff, 0xfffffff0, 5));
	assert_true(tcp_seq_in(4, 0xfffffff0, 5));
	assert_false(tcp_seq_in(5, 0xfffffff0, 5));
	assert_false(tcp_seq_in(0xffffffef, 0xfffffff0, 5));
	assert_false(tcp_seq_in(7, 7, 7));
	assert_int_equal(tcp_seq_max(0xffffffff, 3), 3);
	assert_int_equal(tcp_seq_min(0xffffffff, 3), 0xffffffff);
	assert_int_equal(tcp_seq_size(TCP_SYN | TCP_FIN, 10), 12);
	assert_int_equal(tcp_seq_size(TCP_ACK, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_every_short_size),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_sequence_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
