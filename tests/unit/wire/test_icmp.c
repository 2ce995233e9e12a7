#include "wire_test.h"

#include "wire/checksum.h"
#include "wire/icmp.h"

static bool parse(const void *bytes, size_t size, struct icmp_header *header)
{
	uint8_t *copy = exact_copy(bytes, size);
	struct reader reader = reader_of(copy, size);
	bool good = icmp_parse(&reader, header);

	free(copy);
	return good;
}

static void test_round_trips(void **state)
{
	(void)state;
	const struct icmp_header rows[] = {
		{ .type = ICMP_TYPE_ECHO_REQUEST, .identifier = 0xffff, .sequence = 1 },
		{ .type = ICMP_TYPE_ECHO_REPLY, .identifier = 7, .sequence = 0xfffe },
		{ .type = ICMP_TYPE_UNREACHABLE,
		  .code = ICMP_CODE_FRAGMENTATION_NEEDED,
		  .mtu = 1280 },
		{ .type = ICMP_TYPE_UNREACHABLE, .code = ICMP_CODE_PORT_UNREACHABLE },
		{ .type = ICMP_TYPE_TIME_EXCEEDED, .checksum = 0x5678 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[ICMP_HEADER_SIZE];
		struct writer writer = writer_of(bytes, sizeof(bytes));
		struct icmp_header out;

		icmp_build(&writer, &rows[i]);
		assert_true(writer_ok(&writer));
		assert_true(parse(bytes, sizeof(bytes), &out));
		assert_int_equal(out.type, rows[i].type);
		assert_int_equal(out.code, rows[i].code);
		assert_int_equal(out.checksum, rows[i].checksum);
		assert_int_equal(out.identifier, rows[i].identifier);
		assert_int_equal(out.sequence, rows[i].sequence);
		assert_int_equal(out.mtu, rows[i].mtu);
		for (size_t size = 0; size < sizeof(bytes); size++)
			assert_false(parse(bytes, size, &out));
	}
}

static size_t make_packet(uint8_t *bytes, size_t payload_size)
{
	struct writer writer = writer_of(bytes, IPV4_HEADER_SIZE + payload_size);
	const struct ipv4_header header = {
		.total_size = (uint16_t)(IPV4_HEADER_SIZE + payload_size),
		.ttl = 1,
		.protocol = 17,
		.source = v4(10, 0, 0, 2),
		.destination = v4(1, 1, 1, 1),
	};

	ipv4_build(&writer, &header);
	for (size_t i = 0; i < payload_size; i++)
		writer_u8(&writer, (uint8_t)i);
	assert_true(writer_ok(&writer));
	return writer.position;
}

static void test_error_quotes(void **state)
{
	(void)state;
	const size_t payload_sizes[] = { 8, 9, 527, 528, 529, 1480 };

	for (size_t i = 0; i < sizeof(payload_sizes) / sizeof(payload_sizes[0]); i++) {
		uint8_t packet[1500];
		uint8_t message[1500];
		size_t size = make_packet(packet, payload_sizes[i]);
		struct writer writer = writer_of(message, sizeof(message));
		const struct icmp_header header = { .type = ICMP_TYPE_TIME_EXCEEDED };
		struct icmp_header out;
		struct icmp_quote quote;

		icmp_build_error(&writer, &header, packet, size);
		assert_true(writer_ok(&writer));
		assert_int_equal(writer.position - ICMP_HEADER_SIZE,
				 size < ICMP_QUOTE_MAX ? size : ICMP_QUOTE_MAX);
		assert_true(writer.position + IPV4_HEADER_SIZE <= 576);
		assert_int_equal(checksum_finish(checksum_add(0, message, writer.position, false)),
				 0);

		struct reader reader = reader_of(message, writer.position);
		assert_true(icmp_parse(&reader, &out));
		assert_true(icmp_parse_quote(&reader, &quote));
		assert_int_equal(quote.ip.protocol, 17);
		assert_true(quote.ip.checksum_ok);
		assert_int_equal(quote.payload_size,
				 writer.position - ICMP_HEADER_SIZE - IPV4_HEADER_SIZE);
		assert_memory_equal(quote.payload, packet + IPV4_HEADER_SIZE, quote.payload_size);
	}
}

static void test_hostile_quotes(void **state)
{
	(void)state;
	uint8_t packet[100];
	size_t size = make_packet(packet, 8);
	struct icmp_quote quote;

	for (size_t cut = 0; cut <= size; cut++) {
		uint8_t *copy = exact_copy(packet, cut);
		struct reader reader = reader_of(copy, cut);
		assert_int_equal(icmp_parse_quote(&reader, &quote), cut == size);
		free(copy);
	}
	/* What is behind the quoted packet's own end is no part of it. */
	(void)make_packet(packet, 8);
	memset(packet + size, 0xee, 4);
	struct reader reader = reader_of(packet, size + 4);
	assert_true(icmp_parse_quote(&reader, &quote));
	assert_int_equal(quote.payload_size, 8);
	packet[0] = 0x4f; /* options that are not there */
	reader = reader_of(packet, size);
	assert_false(icmp_parse_quote(&reader, &quote));
}

static void test_kinds(void **state)
{
	(void)state;
	unsigned int errors = 0;

	for (unsigned int type = 0; type < 256; type++)
		errors += icmp_is_error((uint8_t)type);
	assert_int_equal(errors, 5);
	assert_false(icmp_is_error(ICMP_TYPE_ECHO_REQUEST));
	assert_true(icmp_is_error(ICMP_TYPE_REDIRECT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_error_quotes),
		cmocka_unit_test(test_hostile_quotes),
		cmocka_unit_test(test_kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
