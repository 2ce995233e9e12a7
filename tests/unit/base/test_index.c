#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/index.h"
#include "base/random.h"

/* The table that the index serves: entry i has key[i] while used[i]. */
#define ENTRY_COUNT 64

struct table {
	uint32_t key[ENTRY_COUNT];
	bool used[ENTRY_COUNT];
};

static bool table_match(const void *context, uint32_t entry, const void *key)
{
	const struct table *table = context;
	const uint32_t *wanted = key;

	assert_true(entry < ENTRY_COUNT);
	assert_true(table->used[entry]);
	return table->key[entry] == *wanted;
}

static uint32_t table_search(const struct table *table, uint32_t key)
{
	for (uint32_t i = 0; i < ENTRY_COUNT; i++) {
		if (table->used[i] && table->key[i] == key)
			return i;
	}
	return INDEX_NONE;
}

/* hash_bits < 32 forces collisions and long runs, also across the end of the slots. */
static uint32_t hash_of(const struct index *index, uint32_t key, unsigned int hash_bits)
{
	uint32_t hash = index_hash(index, &key, sizeof(key));

	return hash_bits == 32 ? hash : hash | UINT32_MAX << hash_bits;
}

static void run_against_oracle(uint64_t seed, unsigned int hash_bits)
{
	struct random_seeded seeded;
	struct table table = { 0 };
	struct index index;

	random_seeded_init(&seeded, seed);
	assert_int_equal(index_init(&index, ENTRY_COUNT, &seeded.random), 0);
	for (int step = 0; step < 20000; step++) {
		uint32_t key = random_below(&seeded.random, 2 * ENTRY_COUNT);
		uint32_t hash = hash_of(&index, key, hash_bits);
		uint32_t entry = index_find(&index, hash, table_match, &table, &key);

		assert_int_equal(entry, table_search(&table, key));
		if (entry != INDEX_NONE) {
			index_remove(&index, hash, entry);
			table.used[entry] = false;
			continue;
		}
		for (entry = 0; entry < ENTRY_COUNT && table.used[entry]; entry++)
			;
		if (entry == ENTRY_COUNT) {
			assert_false(index_insert(&index, hash, 0));
			continue;
		}
		table.used[entry] = true;
		table.key[entry] = key;
		assert_true(index_insert(&index, hash, entry));
	}
	for (uint32_t key = 0; key < 2 * ENTRY_COUNT; key++)
		assert_int_equal(index_find(&index, hash_of(&index, key, hash_bits), table_match,
					    &table, &key),
				 table_search(&table, key));
	index_done(&index);
}

static void test_random_operations(void **state)
{
	static const unsigned int hash_bits[] = { 32, 6, 3, 1, 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(hash_bits); i++)
		for (uint64_t seed = 1; seed <= 4; seed++)
			run_against_oracle(seed, hash_bits[i]);
}

static bool match_any(const void *context, uint32_t entry, const void *key)
{
	(void)context;
	(void)entry;
	(void)key;
	return true;
}

static void test_capacity(void **state)
{
	static const uint32_t capacities[] = { 0, 1, 2, 3, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(capacities); i++) {
		struct index index;

		assert_int_equal(index_init(&index, capacities[i], &random_system), 0);
		assert_int_equal(index_find(&index, 7, match_any, NULL, NULL), INDEX_NONE);
		for (uint32_t entry = 0; entry < capacities[i]; entry++)
			assert_true(index_insert(&index, entry * 7, entry));
		assert_false(index_insert(&index, 1, capacities[i]));
		assert_int_equal(index.used, capacities[i]);
		index_done(&index);
		index_done(&index);
	}
}

/* Entries of a few keys, one beside the other, in the order they came. */
#define SAME_KEYS 5

struct same {
	uint32_t key[4096];
	uint32_t order[4096]; /* entries that are in, the oldest first */
	uint32_t count;
	bool odd_only;
};

static bool same_match(const void *context, uint32_t entry, const void *key)
{
	const struct same *same = context;

	return same->key[entry] == *(const uint32_t *)key && (!same->odd_only || entry % 2 == 1);
}

static uint32_t same_search(const struct same *same, uint32_t key)
{
	for (uint32_t i = 0; i < same->count; i++) {
		if (same_match(same, same->order[i], &key))
			return same->order[i];
	}
	return INDEX_NONE;
}

static void same_forget(struct same *same, uint32_t at)
{
	for (uint32_t i = at + 1; i < same->count; i++)
		same->order[i - 1] = same->order[i];
	same->count--;
}

static void test_order_of_one_key(void **state)
{
	static const unsigned int hash_bits[] = { 32, 2, 0 };
	static struct same same;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(hash_bits); i++) {
		struct random_seeded seeded;
		struct index index;
		uint32_t next = 0;

		same = (struct same){ .count = 0 };
		random_seeded_init(&seeded, 1 + i);
		assert_int_equal(index_init(&index, ARRAY_COUNT(same.key), &seeded.random), 0);
		while (next < ARRAY_COUNT(same.key)) {
			uint32_t key = random_below(&seeded.random, SAME_KEYS);

			if (same.count > 0 && random_below(&seeded.random, 5) < 2) {
				uint32_t at = random_below(&seeded.random, same.count);
				uint32_t entry = same.order[at];

				index_remove(&index, hash_of(&index, same.key[entry], hash_bits[i]),
					     entry);
				same_forget(&same, at);
			} else {
				same.key[next] = key;
				same.order[same.count++] = next;
				assert_true(index_insert(&index, hash_of(&index, key, hash_bits[i]),
							 next++));
			}
			same.odd_only = random_below(&seeded.random, 2) == 1;
			assert_int_equal(index_find(&index, hash_of(&index, key, hash_bits[i]),
						    same_match, &same, &key),
					 same_search(&same, key));
			assert_int_equal(index.used, same.count);
		}
		index_done(&index);
	}
}

static void test_too_large(void **state)
{
	struct index index;

	(void)state;
	assert_int_equal(index_init(&index, UINT32_MAX, &random_system), -ENOMEM);
	index_done(&index);
}

static void test_keys_differ(void **state)
{
	struct index a;
	struct index b;
	uint64_t key = 42;

	(void)state;
	assert_int_equal(index_init(&a, 4, &random_system), 0);
	assert_int_equal(index_init(&b, 4, &random_system), 0);
	assert_memory_not_equal(&a.key, &b.key, sizeof(a.key));
	assert_int_equal(index_hash(&a, &key, sizeof(key)), index_hash(&a, &key, sizeof(key)));
	index_done(&a);
	index_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations), cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_order_of_one_key),  cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_keys_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
