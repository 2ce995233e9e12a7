#include "wire_test.h"

#include "wire/checksum.h"

/* RFC 1071 as it is written: 16 bits at a time. */
static uint16_t oracle(uint32_t start, const uint8_t *bytes, size_t size)
{
	uint64_t sum = start;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? (uint64_t)bytes[i] << 8 : bytes[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void test_rfc1071_example(void **state)
{
	(void)state;
	const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	uint64_t sum = checksum_add(0, bytes, sizeof(bytes), false);

	assert_int_equal(checksum_fold(sum), 0xddf2);
	assert_int_equal(checksum_finish(sum), 0x220d);
}

static void test_nothing(void **state)
{
	(void)state;
	assert_int_equal(checksum_finish(checksum_add(0, "", 0, false)), 0xffff);
	assert_int_equal(checksum_finish(checksum_add(0, NULL, 0, true)), 0xffff);
	assert_int_equal(checksum_finish(checksum_add_iov(0, NULL, 0, true)), 0xffff);
}

/* Every size up to 200 at every alignment. */
static void test_sizes_and_alignments(void **state)
{
	(void)state;
	uint32_t seed = 1;
	uint8_t bytes[208];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)next_random(&seed);
	for (size_t start = 0; start < 8; start++) {
		for (size_t size = 0; size <= 200; size++) {
			uint8_t *copy = malloc(start + size + 1);
			assert_non_null(copy);
			memcpy(copy + start, bytes, size);
			assert_int_equal(checksum_fold(checksum_add(0, copy + start, size, false)),
					 oracle(0, bytes, size));
			free(copy);
		}
	}
}

static void test_worst_values(void **state)
{
	(void)state;
	size_t size = 65535;
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	memset(bytes, 0xff, size);
	uint64_t sum = 0;
	for (int i = 0; i < 1000; i++)
		sum = checksum_add(sum, bytes, size - 1, false);
	assert_int_equal(checksum_fold(sum), 0xffff);
	sum = checksum_add(sum, bytes, size, false);
	assert_int_equal(checksum_fold(sum), 0xff00);
	free(bytes);
}

/* The sum does not depend on how the bytes are cut, odd pieces included. */
static void test_pieces(void **state)
{
	(void)state;
	uint32_t seed = 7;
	uint8_t bytes[3000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)next_random(&seed);
	for (int round = 0; round < 200; round++) {
		struct iovec iov[8];
		size_t used = 0;

		for (size_t i = 0; i < 8; i++) {
			size_t left = sizeof(bytes) - used;
			size_t size = i == 7 ? left : next_random(&seed) % (left / 2 + 1);
			iov[i] = (struct iovec){ .iov_base = bytes + used, .iov_len = size };
			used += size;
		}
		assert_int_equal(checksum_fold(checksum_add_iov(0, iov, 8, false)),
				 oracle(0, bytes, sizeof(bytes)));
	}
}

static void test_odd_start(void **state)
{
	(void)state;
	const uint8_t bytes[] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66 };
	uint64_t sum = checksum_add(0, bytes, 1, false);

	sum = checksum_add(sum, bytes + 1, 3, true);
	sum = checksum_add(sum, bytes + 4, 2, false);
	assert_int_equal(checksum_fold(sum), oracle(0, bytes, sizeof(bytes)));
}

static void test_pseudo(void **state)
{
	(void)state;
	struct ip_addr from = v4(192, 168, 1, 2);
	struct ip_addr to = v4(10, 0, 0, 1);
	const uint8_t header4[] = { 192, 168, 1, 2, 10, 0, 0, 1, 0, 17, 0xff, 0xfe };
	assert_int_equal(checksum_fold(checksum_pseudo(&from, &to, 17, 0xfffe)),
			 oracle(0, header4, sizeof(header4)));

	uint8_t header6[40] = { [0] = 0xfd, [15] = 1, [16] = 0xfe, [17] = 0x80, [31] = 2 };
	from = ip_addr_from_v6(header6);
	to = ip_addr_from_v6(header6 + 16);
	header6[33] = 1; /* size 0x00012345 */
	header6[34] = 0x23;
	header6[35] = 0x45;
	header6[39] = 58;
	assert_int_equal(checksum_fold(checksum_pseudo(&from, &to, 58, 0x12345)),
			 oracle(0, header6, sizeof(header6)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc1071_example),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_sizes_and_alignments),
		cmocka_unit_test(test_worst_values),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_odd_start),
		cmocka_unit_test(test_pseudo),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
