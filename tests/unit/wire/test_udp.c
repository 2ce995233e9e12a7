#include "wire_test.h"

#include "wire/udp.h"

static void test_round_trip(void **state)
{
	(void)state;
	const struct udp_header in = { 65535, 53, 65535, 0xabcd };
	uint8_t bytes[UDP_HEADER_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct udp_header out;

	udp_build(&writer, &in);
	struct reader reader = reader_of(bytes, sizeof(bytes));
	assert_true(udp_parse(&reader, &out));
	assert_int_equal(out.source_port, 65535);
	assert_int_equal(out.destination_port, 53);
	assert_int_equal(out.size, 65535);
	assert_int_equal(out.checksum, 0xabcd);
	assert_int_equal(reader_left(&reader), 0);
}

/* CVE-2021-3594: a datagram shorter than its header, or that says so. */
static void test_short(void **state)
{
	(void)state;
	const uint8_t bytes[UDP_HEADER_SIZE] = { 0, 1, 0, 2, 0, 8, 0, 0 };
	struct udp_header header;

	for (size_t size = 0; size < sizeof(bytes); size++) {
		uint8_t *copy = exact_copy(bytes, size);
		struct reader reader = reader_of(copy, size);
		assert_false(udp_parse(&reader, &header));
		free(copy);
	}
	for (uint8_t said = 0; said <= 8; said++) {
		uint8_t copy[UDP_HEADER_SIZE];
		memcpy(copy, bytes, sizeof(copy));
		copy[5] = said;
		struct reader reader = reader_of(copy, sizeof(copy));
		assert_int_equal(udp_parse(&reader, &header), said == 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
