#include "wire_test.h"

#include "wire/ether.h"

static void test_round_trip(void **state)
{
	(void)state;
	const uint8_t wire[] = { 1, 2, 3, 4, 5, 6, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x86, 0xdd };
	struct reader reader = reader_of(wire, sizeof(wire));
	struct ether_header header;
	uint8_t built[sizeof(wire)];
	struct writer writer = writer_of(built, sizeof(built));

	assert_true(ether_parse(&reader, &header));
	assert_int_equal(header.type, ETHER_TYPE_IPV6);
	assert_int_equal(header.destination.octet[0], 1);
	assert_int_equal(header.source.octet[5], 0xf);
	ether_build(&writer, &header);
	assert_true(writer_ok(&writer));
	assert_memory_equal(built, wire, sizeof(wire));
}

static void test_every_short_size(void **state)
{
	(void)state;
	const uint8_t wire[ETHER_HEADER_SIZE] = { 1 };

	for (size_t size = 0; size < sizeof(wire); size++) {
		uint8_t *copy = exact_copy(wire, size);
		struct reader reader = reader_of(copy, size);
		struct ether_header header = { .type = 77 };
		assert_false(ether_parse(&reader, &header));
		assert_int_equal(header.type, 77);
		free(copy);
	}
}

static void test_no_room(void **state)
{
	(void)state;
	uint8_t small[ETHER_HEADER_SIZE - 1];
	struct writer writer = writer_of(small, sizeof(small));

	ether_build(&writer, &(struct ether_header){ .type = 1 });
	assert_false(writer_ok(&writer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_short_size),
		cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
