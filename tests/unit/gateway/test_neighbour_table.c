#include "gateway/neighbour_table.h"

#include "fixture.h"

#define S NS_PER_S

static struct neighbour_table table;
static struct random_seeded seeded;

static void start(uint32_t capacity)
{
	random_seeded_init(&seeded, 3);
	assert_int_equal(neighbour_table_init(&table, capacity, &seeded.random), 0);
}

static int teardown(void **state)
{
	(void)state;
	neighbour_table_done(&table);
	return 0;
}

static struct ip_addr addr_at(uint32_t number)
{
	return ip_addr_from_v4(UINT32_C(0x0a000000) + number);
}

static bool learn(uint32_t addr, uint8_t mac, uint32_t port, uint64_t now_ns)
{
	struct ip_addr ip = addr_at(addr);
	struct mac_addr ethernet = fixture_mac(mac);

	return neighbour_table_learn(&table, &ip, &ethernet, port, now_ns);
}

static const struct neighbour_entry *find(uint32_t addr)
{
	struct ip_addr ip = addr_at(addr);

	return neighbour_table_find(&table, &ip);
}

static void learns_and_forgets(void **state)
{
	struct mac_addr mac = fixture_mac(5);

	(void)state;
	start(16);
	assert_null(find(1));
	assert_true(learn(1, 5, 0, S));
	assert_true(learn(2, 6, 1, S));
	assert_true(mac_addr_equal(&find(1)->mac, &mac));
	neighbour_table_port_gone(&table, 0);
	assert_null(find(1));
	assert_non_null(find(2));
	assert_true(learn(1, 7, 1, S));
}

/* The last speaker does not take the address over; its own port may change its MAC. */
static void the_first_port_keeps_the_address(void **state)
{
	struct mac_addr mac = fixture_mac(5);

	(void)state;
	start(16);
	assert_true(learn(1, 5, 0, S));
	assert_false(learn(1, 6, 1, S));
	assert_true(mac_addr_equal(&find(1)->mac, &mac));
	assert_true(learn(1, 5, 0, 50 * S));
	assert_false(learn(1, 6, 1, (50 + NEIGHBOUR_HOLD_S - 1) * S));
	assert_true(learn(1, 8, 0, (50 + NEIGHBOUR_HOLD_S - 1) * S));
	assert_true(learn(1, 6, 1, (50 + 2 * NEIGHBOUR_HOLD_S) * S));
	assert_int_equal(find(1)->port, 1);
}

static void a_port_has_a_share(void **state)
{
	(void)state;
	start(NEIGHBOUR_TABLE_MAX);
	assert_true(learn(1, 1, 1, S));
	for (uint32_t i = 0; i < 5000; i++)
		assert_true(learn(100 + i, 2, 2, 2 * S + i));
	assert_non_null(find(1));
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(find(100 + i) != NULL, i >= 5000 - NEIGHBOUR_TABLE_PORT_SHARE);
}

static void a_full_table_forgets_the_oldest(void **state)
{
	(void)state;
	start(4);
	for (uint32_t i = 0; i < 4; i++)
		assert_true(learn(i, 1, i, S + i));
	assert_true(learn(0, 1, 0, 2 * S)); /* heard again */
	assert_true(learn(9, 1, 9, 3 * S));
	assert_non_null(find(0));
	assert_null(find(1));
	assert_non_null(find(2));
	assert_non_null(find(9));
}

/* Against an array that forgets nothing wrongly: what is in the table is the last that was learnt. */
static void agrees_with_an_oracle(void **state)
{
	uint8_t mac_of[64] = { 0 };
	uint32_t port_of[64] = { 0 };

	(void)state;
	start(64);
	for (unsigned step = 0; step < 20000; step++) {
		uint32_t addr = random_below(&seeded.random, 64);
		uint8_t mac = (uint8_t)(1 + random_below(&seeded.random, 200));
		uint32_t port = random_below(&seeded.random, 4);
		uint64_t now_ns = S + step;

		if (random_below(&seeded.random, 100) == 0) {
			neighbour_table_port_gone(&table, port);
			for (uint32_t i = 0; i < 64; i++)
				mac_of[i] = port_of[i] == port ? 0 : mac_of[i];
			continue;
		}
		/* Nothing is silent for long enough here to be taken over. */
		bool may = !find(addr) || port_of[addr] == port;

		assert_int_equal(learn(addr, mac, port, now_ns), may);
		if (may) {
			mac_of[addr] = mac;
			port_of[addr] = port;
		}
		for (uint32_t i = 0; i < 64; i++) {
			if (!find(i))
				continue;
			assert_int_equal(find(i)->mac.octet[5], mac_of[i]);
			assert_int_equal(find(i)->port, port_of[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(learns_and_forgets, teardown),
		cmocka_unit_test_teardown(the_first_port_keeps_the_address, teardown),
		cmocka_unit_test_teardown(a_port_has_a_share, teardown),
		cmocka_unit_test_teardown(a_full_table_forgets_the_oldest, teardown),
		cmocka_unit_test_teardown(agrees_with_an_oracle, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
