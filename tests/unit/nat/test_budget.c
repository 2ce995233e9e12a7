#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "nat/budget.h"

#define NO_PORT UINT32_MAX

static struct budget budget;

static int teardown(void **state)
{
	(void)state;
	budget_done(&budget);
	return 0;
}

/* Until it is refused. */
static uint32_t fill(uint32_t port)
{
	uint32_t count = 0;

	while (budget_take(&budget, port))
		count++;
	return count;
}

static void one_port_may_have_all(void **state)
{
	(void)state;
	assert_int_equal(budget_init(&budget, 1000, 1), 0);
	budget_keep_back(&budget);
	assert_int_equal(fill(0), 1000);
	budget_give(&budget, 0);
	assert_int_equal(fill(0), 1);
	assert_int_equal(budget.used, 1000);
}

static void share_follows_the_ports_in_use(void **state)
{
	(void)state;
	assert_int_equal(budget_init(&budget, 1000, 4), 0);
	assert_int_equal(fill(0), 1000);
	assert_int_equal(fill(1), 0);
	for (int i = 0; i < 700; i++)
		budget_give(&budget, 0);
	/* Two ports: half of it each, whatever the other left. */
	assert_int_equal(fill(1), 500);
	assert_int_equal(fill(0), 200);
	assert_int_equal(fill(2), 0);
	for (int i = 0; i < 500; i++)
		budget_give(&budget, 1);
	assert_int_equal(budget.ports_in_use, 1);
	assert_int_equal(fill(2), 500);
}

static void small_share_is_raised(void **state)
{
	(void)state;
	assert_int_equal(budget_init(&budget, 300, 8), 0);
	for (uint32_t port = 0; port < 4; port++) {
		for (int i = 0; i < 10; i++)
			assert_true(budget_take(&budget, port));
	}
	for (uint32_t port = 4; port < 8; port++)
		assert_true(budget_take(&budget, port));
	/* 300 / 8 ports would be 37. */
	assert_int_equal(fill(0), BUDGET_PORT_MIN - 10);
}

/* A port that comes late finds something, though the first one took what it could. */
static void something_is_kept_for_newcomers(void **state)
{
	(void)state;
	assert_int_equal(budget_init(&budget, 1024, 8), 0);
	budget_keep_back(&budget);
	assert_int_equal(fill(0), 1024 - 128);
	assert_int_equal(fill(NO_PORT), 0);
	assert_int_equal(fill(1), BUDGET_PORT_MIN);
	assert_int_equal(fill(2), BUDGET_PORT_MIN);
	assert_int_equal(fill(3), 0);
	assert_int_equal(budget.used, budget.capacity);
}

static void who_has_most_gives_way(void **state)
{
	(void)state;
	assert_int_equal(budget_init(&budget, 1000, 4), 0);
	assert_int_equal(budget_richest(&budget, 2), 2);
	assert_int_equal(fill(0), 1000);
	assert_int_equal(budget_richest(&budget, 0), 0);
	assert_int_equal(budget_richest(&budget, 2), 0);
	assert_int_equal(budget_richest(&budget, NO_PORT), NO_PORT);
	for (int i = 0; i < 600; i++)
		budget_give(&budget, 0);
	assert_int_equal(fill(1), 500);
	/* It has its share, however much another has. */
	assert_int_equal(budget_richest(&budget, 1), 1);
	assert_int_equal(budget_richest(&budget, 0), 1);
	for (int i = 0; i < 100; i++)
		budget_give(&budget, 1);
	/* The same: nobody has to give. */
	assert_int_equal(budget_richest(&budget, 0), 0);
	assert_int_equal(budget_richest(&budget, 1), 1);
}

static void small_table_keeps_nothing_back(void **state)
{
	(void)state;
	assert_int_equal(budget_init(&budget, 8 * BUDGET_PORT_MIN - 1, 8), 0);
	budget_keep_back(&budget);
	assert_int_equal(fill(0), 8 * BUDGET_PORT_MIN - 1);
}

static void no_port_counts_for_the_network(void **state)
{
	(void)state;
	assert_int_equal(budget_init(&budget, 100, 2), 0);
	for (int i = 0; i < 90; i++)
		assert_true(budget_take(&budget, NO_PORT));
	assert_int_equal(budget.ports_in_use, 0);
	assert_int_equal(fill(1), 10);
	for (int i = 0; i < 90; i++)
		budget_give(&budget, NO_PORT);
	assert_int_equal(budget.used, 10);
	assert_int_equal(budget.port_used[1], 10);
}

static void empty_budget_gives_nothing(void **state)
{
	(void)state;
	assert_int_equal(budget_init(&budget, 0, 1), 0);
	budget_keep_back(&budget);
	assert_int_equal(fill(0), 0);
	assert_int_equal(fill(NO_PORT), 0);
}

/* Against the plain sums. */
static void sums_hold_in_any_order(void **state)
{
	struct random_seeded random;
	uint32_t held[5] = { 0 }; /* the last: no port */
	uint32_t total = 0;

	(void)state;
	random_seeded_init(&random, 5);
	assert_int_equal(budget_init(&budget, 700, 4), 0);
	budget_keep_back(&budget);
	for (int i = 0; i < 100000; i++) {
		uint32_t which = random_below(&random.random, 5);
		uint32_t port = which < 4 ? which : NO_PORT;

		if (random_below(&random.random, 5) < 3) {
			if (budget_take(&budget, port)) {
				held[which]++;
				total++;
			}
		} else if (held[which] > 0) {
			budget_give(&budget, port);
			held[which]--;
			total--;
		}
		uint32_t in_use = 0;
		for (uint32_t p = 0; p < 4; p++) {
			assert_int_equal(budget.port_used[p], held[p]);
			in_use += held[p] > 0 ? 1 : 0;
		}
		assert_int_equal(budget.ports_in_use, in_use);
		assert_int_equal(budget.used, total);
		assert_true(total <= 700);
	}
}

#define TEST(function) cmocka_unit_test_teardown(function, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_port_may_have_all),	      TEST(share_follows_the_ports_in_use),
		TEST(small_share_is_raised),	      TEST(something_is_kept_for_newcomers),
		TEST(small_table_keeps_nothing_back), TEST(no_port_counts_for_the_network),
		TEST(empty_budget_gives_nothing),     TEST(sums_hold_in_any_order),
		TEST(who_has_most_gives_way),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
