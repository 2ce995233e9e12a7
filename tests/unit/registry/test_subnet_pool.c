#include "registry/subnet_pool.h"

#include "registry_rig.h"

#define MOST 4

struct row {
	const char *title;
	const char *from[MOST];
	const char *without[MOST];
	uint8_t length;
	bool ignore_default;
	uint64_t count;
	const char *first; /* NULL when empty */
	const char *last;
};

static const struct row rows[] = {
	{ "one block", { "10.0.0.0/30" }, { NULL }, 30, false, 1, "10.0.0.0/30", "10.0.0.0/30" },
	{ "too small", { "10.0.0.0/30" }, { NULL }, 24, false, 0, NULL, NULL },
	{ "host bits", { "10.0.0.77/24" }, { NULL }, 26, false, 4, "10.0.0.0/26", "10.0.0.192/26" },
	{ "all of IPv4", { "0.0.0.0/0" }, { NULL }, 1, false, 2, "0.0.0.0/1", "128.0.0.0/1" },
	{ "the end of IPv4",
	  { "255.255.255.0/24" },
	  { "255.255.255.252/30" },
	  30,
	  false,
	  63,
	  "255.255.255.0/30",
	  "255.255.255.248/30" },
	{ "overlap counts once",
	  { "10.0.0.0/24", "10.0.0.0/16", "10.0.1.0/24" },
	  { NULL },
	  24,
	  false,
	  256,
	  "10.0.0.0/24",
	  "10.0.255.0/24" },
	{ "neighbours join to a larger block",
	  { "10.0.1.0/24", "10.0.0.0/24" },
	  { NULL },
	  23,
	  false,
	  1,
	  "10.0.0.0/23",
	  "10.0.0.0/23" },
	{ "a single address takes its whole block",
	  { "10.0.0.0/29" },
	  { "10.0.0.5/32" },
	  30,
	  false,
	  1,
	  "10.0.0.0/30",
	  "10.0.0.0/30" },
	{ "one cut over two spans",
	  { "10.0.0.0/24", "10.0.2.0/24" },
	  { "10.0.0.0/22" },
	  24,
	  false,
	  0,
	  NULL,
	  NULL },
	{ "cuts at both ends and in the middle",
	  { "10.0.0.0/24" },
	  { "10.0.0.0/26", "10.0.0.192/26", "10.0.0.128/28" },
	  28,
	  false,
	  7,
	  "10.0.0.64/28",
	  "10.0.0.176/28" },
	{ "a default route cuts all",
	  { "10.0.0.0/24" },
	  { "0.0.0.0/0" },
	  30,
	  false,
	  0,
	  NULL,
	  NULL },
	{ "unless told",
	  { "10.0.0.0/24" },
	  { "0.0.0.0/0" },
	  24,
	  true,
	  1,
	  "10.0.0.0/24",
	  "10.0.0.0/24" },
	{ "the other family is nobody's",
	  { "10.0.0.0/24", "fd00::/8" },
	  { "::/0" },
	  24,
	  false,
	  1,
	  "10.0.0.0/24",
	  "10.0.0.0/24" },
	{ "an empty pool", { NULL }, { "10.0.0.0/8" }, 30, false, 0, NULL, NULL },
};

static size_t prefixes_of(const char *const texts[MOST], struct ip_prefix prefixes[MOST])
{
	size_t count = 0;

	for (; count < MOST && texts[count]; count++)
		prefixes[count] = prefix_of(texts[count]);
	return count;
}

static void check_walk(const struct subnet_pool *pool)
{
	struct ip_prefix block;
	uint64_t at = 0;
	uint64_t number = 0;

	while (subnet_pool_next(pool, at, &block)) {
		struct ip_prefix same = subnet_pool_at(pool, number);

		assert_true(ip_addr_equal(&block.addr, &same.addr));
		assert_true(subnet_pool_contains(pool, &block));
		at = (uint64_t)ip_prefix_last_v4(&block) + 1;
		number++;
	}
	assert_int_equal(number, pool->count);
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct ip_prefix from[MOST];
		struct ip_prefix cuts[MOST];
		struct subnet_list list = { from, prefixes_of(row->from, from), false };
		struct subnet_list without = { cuts, prefixes_of(row->without, cuts),
					       row->ignore_default };
		struct subnet_pool pool;

		print_message("# %s\n", row->title);
		assert_int_equal(subnet_pool_init(&pool, row->length, list, &without, 1), 0);
		assert_int_equal(pool.count, row->count);
		if (row->first) {
			struct ip_prefix first = subnet_pool_at(&pool, 0);
			struct ip_prefix last = subnet_pool_at(&pool, pool.count - 1);

			assert_prefix(&first, row->first);
			assert_prefix(&last, row->last);
		}
		check_walk(&pool);
		subnet_pool_done(&pool);
	}
}

static void default_pool(void **state)
{
	struct subnet_list from = { registry_default_pool, registry_default_pool_count, false };
	struct subnet_list without = { registry_default_exclude, registry_default_exclude_count,
				       false };
	struct ip_prefix docker = prefix_of("172.17.0.0/30");
	struct ip_prefix free = prefix_of("10.1.2.4/30");
	struct ip_prefix odd = prefix_of("10.1.2.4/30");
	struct subnet_pool pool;

	(void)state;
	odd.addr = addr_of("10.1.2.5");
	assert_int_equal(subnet_pool_init(&pool, 30, from, &without, 1), 0);
	assert_true(pool.count > 1000000);
	assert_false(subnet_pool_contains(&pool, &docker));
	assert_true(subnet_pool_contains(&pool, &free));
	assert_false(subnet_pool_contains(&pool, &odd));
	for (size_t i = 0; i < registry_default_exclude_count; i++)
		assert_true(ip_prefix_is_rfc1918(&registry_default_exclude[i]));
	subnet_pool_done(&pool);
}

static void next_past_the_end(void **state)
{
	struct ip_prefix from[] = { prefix_of("255.255.255.0/24") };
	struct subnet_pool pool;
	struct ip_prefix block;

	(void)state;
	assert_int_equal(
		subnet_pool_init(&pool, 30, (struct subnet_list){ from, 1, false }, NULL, 0), 0);
	assert_true(subnet_pool_next(&pool, UINT32_MAX - 3, &block));
	assert_prefix(&block, "255.255.255.252/30");
	assert_false(subnet_pool_next(&pool, UINT32_MAX - 2, &block));
	assert_false(subnet_pool_next(&pool, UINT64_C(1) << 32, &block));
	subnet_pool_done(&pool);
}

/* The bounds against the plain definition of overlap. */
static void overlap_bounds(void **state)
{
	static const char *const prefixes[] = { "10.0.0.0/8",  "10.1.0.0/16",	    "10.1.2.0/24",
						"10.1.2.0/30", "10.1.2.252/30",	    "10.1.3.0/30",
						"11.0.0.0/8",  "10.2.0.0/16",	    "0.0.0.0/1",
						"255.0.0.0/8", "255.255.255.252/30" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++) {
		for (size_t j = 0; j < ARRAY_COUNT(prefixes); j++) {
			struct ip_prefix a = prefix_of(prefixes[i]);
			struct ip_prefix b = prefix_of(prefixes[j]);
			uint32_t first = ip_prefix_first_v4(&b);
			uint32_t low;
			uint32_t high;

			subnet_overlap_bounds(&a, b.length, &low, &high);
			assert_int_equal(low <= first && first <= high, ip_prefix_overlaps(&a, &b));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(default_pool),
		cmocka_unit_test(next_past_the_end),
		cmocka_unit_test(overlap_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
