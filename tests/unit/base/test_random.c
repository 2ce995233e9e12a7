#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/random.h"

/* xoshiro256** from the state { 1, 2, 3, 4 }: the sequence its authors' code gives. */
static void test_xoshiro(void **state)
{
	static const uint64_t expected[] = { 11520, 0, 1509978240, UINT64_C(1215971899390074240) };
	struct random_seeded seeded;

	(void)state;
	random_seeded_init(&seeded, 0);
	for (size_t i = 0; i < 4; i++)
		seeded.state[i] = i + 1;
	for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
		assert_true(random_u64(&seeded.random) == expected[i]);
}

static void test_seeds(void **state)
{
	struct random_seeded a;
	struct random_seeded b;
	struct random_seeded c;

	(void)state;
	random_seeded_init(&a, 1);
	random_seeded_init(&b, 1);
	random_seeded_init(&c, 2);
	for (int i = 0; i < 100; i++) {
		uint64_t value = random_u64(&a.random);

		assert_true(value == random_u64(&b.random));
		assert_true(value != random_u64(&c.random));
	}
}

static void test_fill_every_size(void **state)
{
	uint8_t buffer[40];
	struct random_seeded seeded;
	struct random *randoms[] = { &random_system, &seeded.random };

	(void)state;
	random_seeded_init(&seeded, 3);
	for (size_t which = 0; which < ARRAY_COUNT(randoms); which++) {
		for (size_t size = 0; size < sizeof(buffer); size++) {
			bool changed[sizeof(buffer)] = { false };

			for (int round = 0; round < 20; round++) {
				memset(buffer, 0, sizeof(buffer));
				randoms[which]->fill(randoms[which], buffer, size);
				for (size_t i = 0; i < sizeof(buffer); i++)
					changed[i] |= buffer[i] != 0;
			}
			for (size_t i = 0; i < sizeof(buffer); i++)
				assert_int_equal(changed[i], i < size);
		}
	}
}

static void test_below(void **state)
{
	static const uint32_t bounds[] = {
		1, 2, 3, 7, 256, 1000, UINT32_C(0x80000001), UINT32_MAX
	};
	struct random_seeded seeded;
	uint32_t hits[7] = { 0 };

	(void)state;
	random_seeded_init(&seeded, 4);
	for (size_t i = 0; i < ARRAY_COUNT(bounds); i++)
		for (int round = 0; round < 1000; round++)
			assert_true(random_below(&seeded.random, bounds[i]) < bounds[i]);
	for (int round = 0; round < 70000; round++)
		hits[random_below(&seeded.random, 7)]++;
	for (size_t i = 0; i < ARRAY_COUNT(hits); i++)
		assert_in_range(hits[i], 9500, 10500);
}

/* First the values that would be unfair, then a fair one. */
struct scripted {
	struct random random;
	const uint32_t *next;
};

static void scripted_fill(struct random *random, void *buffer, size_t size)
{
	struct scripted *scripted = container_of(random, struct scripted, random);

	assert_int_equal(size, sizeof(uint32_t));
	memcpy(buffer, scripted->next++, size);
}

static void test_below_is_uniform(void **state)
{
	/* 2^32 mod 0x60000000 = 0x40000000: below it a value is thrown away. */
	static const uint32_t script[] = { 0, 5, UINT32_C(0x3fffffff), UINT32_C(0x40000000) };
	struct scripted scripted = { { scripted_fill }, script };

	(void)state;
	assert_int_equal(random_below(&scripted.random, UINT32_C(0x60000000)),
			 UINT32_C(0x40000000));
	assert_ptr_equal(scripted.next, script + ARRAY_COUNT(script));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xoshiro),		 cmocka_unit_test(test_seeds),
		cmocka_unit_test(test_fill_every_size),	 cmocka_unit_test(test_below),
		cmocka_unit_test(test_below_is_uniform),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
