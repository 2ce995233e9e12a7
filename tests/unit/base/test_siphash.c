#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/siphash.h"

/* The key 00 01 .. 0f of the paper, as little-endian words. */
static const struct siphash_key paper_key = { { UINT64_C(0x0706050403020100),
						UINT64_C(0x0f0e0d0c0b0a0908) } };

/* Inputs 00 01 .. (length - 1). Length 15 is the worked example of the paper's appendix A; all are
 * the first rows of the authors' published SipHash-2-4-64 vectors. */
static void test_published_vectors(void **state)
{
	static const uint64_t expected[] = {
		UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd),
		UINT64_C(0x0d6c8009d9a94f5a), UINT64_C(0x85676696d7fb7e2d),
		UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
		UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137),
		UINT64_C(0x93f5f5799a932462), UINT64_C(0x9e0082df0ba9e4b0),
		UINT64_C(0x7a5dbbc594ddb9f3), UINT64_C(0xf4b32f46226bada7),
		UINT64_C(0x751e8fbc860ee5fb), UINT64_C(0x14ea5627c0843d90),
		UINT64_C(0xf723ca908e7af2ee), UINT64_C(0xa129ca6149be45e5),
	};
	uint8_t input[ARRAY_COUNT(expected)];

	(void)state;
	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
		assert_true(siphash(&paper_key, input, i) == expected[i]);
}

static void test_unaligned_input(void **state)
{
	uint8_t room[64 + 8];
	uint8_t input[64];

	(void)state;
	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)(i * 37);
	for (size_t shift = 0; shift < 8; shift++) {
		memcpy(room + shift, input, sizeof(input));
		assert_true(siphash(&paper_key, room + shift, sizeof(input)) ==
			    siphash(&paper_key, input, sizeof(input)));
	}
}

static void test_key_and_every_bit_count(void **state)
{
	struct siphash_key other = paper_key;
	uint8_t input[24] = { 0 };
	uint64_t plain = siphash(&paper_key, input, sizeof(input));

	(void)state;
	other.word[1] ^= 1;
	assert_true(siphash(&other, input, sizeof(input)) != plain);
	for (size_t bit = 0; bit < sizeof(input) * 8; bit++) {
		input[bit / 8] = (uint8_t)(1u << (bit % 8));
		assert_true(siphash(&paper_key, input, sizeof(input)) != plain);
		input[bit / 8] = 0;
	}
	assert_true(siphash(&paper_key, input, 23) != plain);
	assert_true(siphash(&paper_key, NULL, 0) == siphash(&paper_key, input, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vectors),
		cmocka_unit_test(test_unaligned_input),
		cmocka_unit_test(test_key_and_every_bit_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
