/* The trie against a list that is searched from end to end. */
#include "filter/filter_trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define PREFIXES 2000

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 7;
}

/* Close together, so that they fork and contain each other. */
static struct ip_addr some_addr(uint32_t *seed, bool is_v4)
{
	uint32_t low = next_random(seed) & 0x3fff;
	uint8_t octet[16] = { 0x20, 0x01 };

	if (is_v4)
		return ip_addr_from_v4(0x0a000000 | low << 4);
	octet[7] = (uint8_t)(low >> 8);
	octet[8] = (uint8_t)low;
	return ip_addr_from_v6(octet);
}

static void compare(bool is_v4)
{
	static struct ip_prefix prefixes[PREFIXES];
	struct filter_trie trie = { 0 };
	uint32_t seed = is_v4 ? 4 : 6;
	uint32_t count = 0;

	for (uint32_t i = 0; i < PREFIXES; i++) {
		unsigned bits = is_v4 ? 32 : 128;
		struct ip_prefix prefix = { some_addr(&seed, is_v4),
					    (uint8_t)(next_random(&seed) % (bits + 1)) };
		uint32_t *value;
		prefix = ip_prefix_canonical(&prefix);
		assert_int_equal(filter_trie_insert(&trie, &prefix, &value), 0);
		if (*value != FILTER_TRIE_NONE) {
			assert_true(ip_addr_equal(&prefixes[*value].addr, &prefix.addr));
			assert_int_equal(prefixes[*value].length, prefix.length);
			continue;
		}
		*value = count;
		prefixes[count++] = prefix;
	}
	for (unsigned i = 0; i < 5000; i++) {
		struct ip_addr addr = some_addr(&seed, is_v4);
		const struct filter_trie_node *node;
		int longest = -1;
		uint32_t at = 0;
		uint32_t found = 0;
		uint32_t holding = 0;
		while ((node = filter_trie_next(&trie, &addr, &at))) {
			assert_true(node->length > longest);
			assert_true(ip_prefix_contains(&prefixes[node->value], &addr));
			longest = node->length;
			found++;
		}
		assert_null(filter_trie_next(&trie, &addr, &at));
		for (uint32_t k = 0; k < count; k++)
			holding += ip_prefix_contains(&prefixes[k], &addr);
		assert_int_equal(found, holding);
	}
	filter_trie_done(&trie);
}

static void test_v4(void **state)
{
	(void)state;
	compare(true);
}

static void test_v6(void **state)
{
	(void)state;
	compare(false);
}

static void test_empty(void **state)
{
	const struct ip_addr addr = ip_addr_from_v4(0x0a000001);
	struct filter_trie trie = { 0 };
	uint32_t at = 0;

	(void)state;
	assert_null(filter_trie_next(&trie, &addr, &at));
	filter_trie_done(&trie);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests_name("filter_trie", tests, NULL, NULL);
}
