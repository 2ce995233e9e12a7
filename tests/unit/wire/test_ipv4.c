#include "wire_test.h"

#include "wire/checksum.h"
#include "wire/ipv4.h"

/* A header seen on a real wire (the example of RFC 1071 texts). */
static const uint8_t real_header[IPV4_HEADER_SIZE] = {
	0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
	0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7,
};

static bool parse(const uint8_t *bytes, size_t size, struct ipv4_header *header)
{
	uint8_t *copy = exact_copy(bytes, size);
	struct reader reader = reader_of(copy, size);
	bool good = ipv4_parse(&reader, header);

	if (good)
		assert_int_equal(reader.position, header->header_size);
	free(copy);
	return good;
}

static void test_real_header(void **state)
{
	(void)state;
	struct ipv4_header header;
	uint8_t built[IPV4_HEADER_SIZE];
	struct writer writer = writer_of(built, sizeof(built));
	struct ip_addr source = v4(192, 168, 0, 1);

	assert_true(parse(real_header, sizeof(real_header), &header));
	assert_true(header.checksum_ok);
	assert_int_equal(header.total_size, 0x73);
	assert_int_equal(header.protocol, 17);
	assert_int_equal(header.ttl, 64);
	assert_true(header.dont_fragment);
	assert_false(header.more_fragments);
	assert_true(ip_addr_equal(&header.source, &source));
	ipv4_build(&writer, &header);
	assert_memory_equal(built, real_header, sizeof(real_header));
}

static void test_fragment_fields(void **state)
{
	(void)state;
	const struct ipv4_header in = {
		.tos = 0xb9,
		.total_size = 65535,
		.id = 0xfffe,
		.more_fragments = true,
		.fragment_offset = 65528,
		.ttl = 255,
		.protocol = 255,
		.source = v4(255, 0, 0, 1),
		.destination = v4(1, 2, 3, 4),
	};
	uint8_t built[IPV4_HEADER_SIZE];
	struct writer writer = writer_of(built, sizeof(built));
	struct ipv4_header out;

	ipv4_build(&writer, &in);
	assert_true(parse(built, sizeof(built), &out));
	assert_true(out.checksum_ok);
	assert_true(out.more_fragments);
	assert_false(out.dont_fragment);
	assert_int_equal(out.fragment_offset, 65528);
	assert_int_equal(out.tos, 0xb9);
	assert_int_equal(out.id, 0xfffe);
	assert_int_equal(out.total_size, 65535);
	assert_true(ip_addr_equal(&out.destination, &in.destination));
}

static void test_options(void **state)
{
	(void)state;
	uint8_t bytes[IPV4_HEADER_MAX] = { 0 };
	struct ipv4_header header;

	memcpy(bytes, real_header, sizeof(real_header));
	bytes[0] = 0x4f;
	bytes[10] = 0;
	bytes[11] = 0;
	uint16_t checksum = checksum_finish(checksum_add(0, bytes, sizeof(bytes), false));
	bytes[10] = (uint8_t)(checksum >> 8);
	bytes[11] = (uint8_t)checksum;
	assert_true(parse(bytes, sizeof(bytes), &header));
	assert_int_equal(header.header_size, 60);
	assert_true(header.checksum_ok);
	assert_false(parse(bytes, sizeof(bytes) - 1, &header));
}

static void test_hostile(void **state)
{
	(void)state;
	struct ipv4_header header;

	for (size_t size = 0; size < sizeof(real_header); size++)
		assert_false(parse(real_header, size, &header));

	const struct {
		size_t offset;
		uint8_t value;
		bool parses;
	} rows[] = {
		{ 0, 0x35, false }, { 0, 0x65, false }, { 0, 0x44, false }, { 0, 0x40, false },
		{ 0, 0x46, false }, { 3, 19, false },	{ 3, 0, false },    { 3, 20, true },
		{ 8, 63, true },    { 12, 0, true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[IPV4_HEADER_SIZE];
		memcpy(bytes, real_header, sizeof(bytes));
		bytes[rows[i].offset] = rows[i].value;
		assert_int_equal(parse(bytes, sizeof(bytes), &header), rows[i].parses);
		if (rows[i].parses)
			assert_false(header.checksum_ok);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_header),
		cmocka_unit_test(test_fragment_fields),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_hostile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
