#include "wire_test.h"

#include "wire/reader.h"
#include "wire/writer.h"

static void test_round_trip(void **state)
{
	(void)state;
	uint8_t bytes[16];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	writer_u8(&writer, 0xab);
	writer_u16(&writer, 0x1234);
	writer_u32(&writer, 0xdeadbeef);
	writer_bytes(&writer, "xyz", 3);
	writer_zeroes(&writer, 2);
	writer_patch_u16(&writer, 1, 0x4321);
	assert_true(writer_ok(&writer));
	assert_int_equal(writer.position, 12);
	assert_int_equal(writer_left(&writer), 4);

	struct reader reader = reader_of(bytes, writer.position);
	char text[3];
	assert_int_equal(reader_u8(&reader), 0xab);
	assert_int_equal(reader_u16(&reader), 0x4321);
	assert_int_equal(reader_u32(&reader), 0xdeadbeef);
	reader_bytes(&reader, text, sizeof(text));
	assert_memory_equal(text, "xyz", 3);
	assert_int_equal(reader_left(&reader), 2);
	reader_skip(&reader, 2);
	assert_true(reader_ok(&reader));
}

static void test_reader_failure_is_sticky(void **state)
{
	(void)state;
	uint8_t *bytes = exact_copy("\x01\x02\x03", 3);
	struct reader reader = reader_of(bytes, 3);
	uint8_t copy[4] = { 9, 9, 9, 9 };

	assert_int_equal(reader_u32(&reader), 0);
	assert_false(reader_ok(&reader));
	assert_int_equal(reader_u8(&reader), 0);
	assert_int_equal(reader_left(&reader), 0);
	assert_null(reader_take(&reader, 0));
	reader_bytes(&reader, copy, sizeof(copy));
	assert_memory_equal(copy, "\0\0\0\0", 4);
	free(bytes);
}

static void test_reader_sub(void **state)
{
	(void)state;
	uint8_t *bytes = exact_copy("\x01\x02\x03", 3);
	struct reader reader = reader_of(bytes, 3);
	struct reader sub = reader_sub(&reader, 2);

	assert_int_equal(reader_u16(&sub), 0x0102);
	assert_int_equal(reader_u8(&sub), 0);
	assert_false(reader_ok(&sub));
	assert_true(reader_ok(&reader));
	sub = reader_sub(&reader, 2);
	assert_false(reader_ok(&sub));
	assert_false(reader_ok(&reader));
	sub = reader_sub(&reader, SIZE_MAX);
	assert_false(reader_ok(&sub));
	free(bytes);
}

static void test_writer_failure_is_sticky(void **state)
{
	(void)state;
	uint8_t bytes[3] = { 1, 2, 3 };
	struct writer writer = writer_of(bytes, sizeof(bytes));

	writer_patch_u16(&writer, 0, 0xffff); /* nothing is written there yet */
	assert_false(writer_ok(&writer));
	writer = writer_of(bytes, sizeof(bytes));
	writer_u16(&writer, 0x0a0b);
	writer_u16(&writer, 0x0c0d);
	assert_false(writer_ok(&writer));
	writer_u8(&writer, 0xff);
	assert_int_equal(writer.position, 2);
	assert_int_equal(bytes[2], 3);
	assert_int_equal(writer_left(&writer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_reader_failure_is_sticky),
		cmocka_unit_test(test_reader_sub),
		cmocka_unit_test(test_writer_failure_is_sticky),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
