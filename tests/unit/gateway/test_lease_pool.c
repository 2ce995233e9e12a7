#include "gateway/lease_pool.h"

#include <string.h>

#include "fixture.h"

#define S NS_PER_S

static struct lease_pool pool;
static struct random_seeded seeded;

static struct mac_addr mac_at(unsigned number)
{
	return (struct mac_addr){ { 2, 1, 0, 0, (uint8_t)(number >> 8), (uint8_t)number } };
}

static void start(uint8_t length, uint32_t reservations)
{
	struct gateway_config config = {
		.addr = fixture_addr(1),
		.subnet = { .addr = fixture_addr(0), .length = length },
		.reservation_count = reservations,
	};

	for (uint32_t i = 0; i < reservations; i++)
		config.reservations[i] = (struct gateway_reservation){
			.mac = fixture_mac((uint8_t)(2 + i)),
			.addr = fixture_addr((uint8_t)(2 + i)),
		};
	random_seeded_init(&seeded, 7);
	assert_int_equal(lease_pool_init(&pool, &config, &seeded.random), 0);
}

static int teardown(void **state)
{
	(void)state;
	lease_pool_done(&pool);
	return 0;
}

static struct lease *offer(struct mac_addr mac, uint32_t port, uint64_t now_ns)
{
	return lease_pool_offer(&pool, &mac, port, NULL, now_ns);
}

static struct lease *take(struct mac_addr mac, uint32_t port, uint64_t now_ns)
{
	struct lease *lease = offer(mac, port, now_ns);

	if (lease)
		lease_pool_bind(&pool, lease, port, now_ns);
	return lease;
}

static void a_30_has_one_guest(void **state)
{
	struct ip_addr guest = fixture_addr(2);
	struct lease *lease;

	(void)state;
	start(30, 0);
	lease = take(mac_at(1), 0, S);
	assert_non_null(lease);
	assert_true(ip_addr_equal(&lease->addr, &guest));
	assert_null(offer(mac_at(2), 0, 2 * S));
	/* Not even an expired offer hides the end of the lease. */
	assert_null(offer(mac_at(2), 1, (LEASE_S - 1) * S));
	assert_non_null(offer(mac_at(2), 1, (LEASE_S + 1) * S));
}

static void a_reserved_30_is_nobody_elses(void **state)
{
	struct lease *lease;

	(void)state;
	start(30, 1);
	assert_null(offer(mac_at(1), 0, S));
	assert_null(offer(mac_at(1), 0, 10 * LEASE_S * S));
	lease = offer(fixture_mac(2), 0, S);
	assert_non_null(lease);
	lease_pool_quarantine(&pool, lease, S);
	lease_pool_release(&pool, lease);
	assert_ptr_equal(offer(fixture_mac(2), 3, S), lease);
	assert_true(lease_is_owned(lease, S));
}

static void keeps_the_address_of_a_mac(void **state)
{
	struct lease *first;

	(void)state;
	start(24, 1);
	first = take(mac_at(1), 0, S);
	assert_non_null(first);
	take(mac_at(2), 1, S);
	lease_pool_port_gone(&pool, 0);
	assert_ptr_equal(offer(mac_at(1), 5, 2 * S), first);
	assert_int_equal(first->state, LEASE_BOUND);
	/* Expired long ago, but nobody needed the address. */
	assert_ptr_equal(offer(mac_at(1), 5, 3 * LEASE_S * S), first);
	assert_int_equal(first->state, LEASE_OFFERED);
	assert_false(lease_is_owned(first, 3 * LEASE_S * S));
}

static void grants_wishes_that_are_free(void **state)
{
	struct ip_addr wanted = fixture_addr(77);
	struct ip_addr reserved = fixture_addr(2);
	struct ip_addr gateway = fixture_addr(1);
	struct ip_addr broadcast = fixture_addr(255);
	struct mac_addr mac = mac_at(1);
	struct mac_addr other = mac_at(2);
	struct lease *lease;

	(void)state;
	start(24, 1);
	lease = lease_pool_offer(&pool, &mac, 0, &wanted, S);
	assert_true(ip_addr_equal(&lease->addr, &wanted));
	lease_pool_bind(&pool, lease, 0, S);
	lease = lease_pool_offer(&pool, &other, 1, &wanted, S);
	assert_false(ip_addr_equal(&lease->addr, &wanted));
	for (unsigned i = 0; i < 3; i++) {
		const struct ip_addr *wish = i == 0 ? &reserved : i == 1 ? &gateway : &broadcast;

		mac = mac_at(10 + i);
		lease = lease_pool_offer(&pool, &mac, 2, wish, S);
		assert_false(ip_addr_equal(&lease->addr, wish));
	}
}

/* Whoever keeps what a lease said is told by the number, and by its time. */
static void a_change_is_counted(void **state)
{
	const struct mac_addr reserved = fixture_mac(2);
	struct lease *lease;
	uint32_t changes;

	(void)state;
	start(24, 1);
	lease = lease_pool_find_mac(&pool, &reserved);
	assert_true(lease_owned_until(lease) == UINT64_MAX);
	changes = pool.changes;
	lease = take(mac_at(1), 0, S);
	assert_true(pool.changes != changes);
	assert_true(lease_owned_until(lease) == (LEASE_S + 1) * S);
	changes = pool.changes;
	lease_pool_port_gone(&pool, 0);
	offer(mac_at(1), 0, 2 * S);
	assert_int_equal(pool.changes, changes);
	lease_pool_release(&pool, lease);
	assert_true(pool.changes != changes);
	lease = take(mac_at(1), 0, S);
	changes = pool.changes;
	lease_pool_quarantine(&pool, lease, 2 * S);
	assert_true(pool.changes != changes);
}

/* Every address once, none of the special ones, then nothing. */
static void hands_out_the_whole_subnet(void **state)
{
	bool seen[256] = { false };
	unsigned count = 0;

	(void)state;
	start(24, 3);
	for (unsigned i = 0; i < 300; i++) {
		struct lease *lease = take(mac_at(i), i, S);
		uint8_t last;

		if (!lease)
			break;
		last = lease->addr.octet[3];
		assert_true(last >= 5 && last <= 254);
		assert_false(seen[last]);
		seen[last] = true;
		count++;
	}
	assert_int_equal(count, 250);
	/* Who is gone is not there to mind. */
	lease_pool_port_gone(&pool, 17);
	assert_non_null(take(mac_at(1000), 1000, 2 * S));
	assert_null(lease_pool_find_mac(&pool, &(struct mac_addr){ { 2, 1, 0, 0, 0, 17 } }));
	assert_null(take(mac_at(1001), 1001, 2 * S));
}

static void a_port_has_a_share(void **state)
{
	struct lease *first;
	struct mac_addr mac = mac_at(0);

	(void)state;
	start(24, 0);
	first = take(mac, 1, S);
	for (unsigned i = 1; i < 1000; i++)
		assert_non_null(take(mac_at(i), 1, (1 + i) * S));
	/* The port ate its own first leases, and only those. */
	assert_null(lease_pool_find_mac(&pool, &mac));
	assert_non_null(first);
	for (unsigned i = 0; i < 253 - LEASE_POOL_PORT_SHARE; i++)
		assert_non_null(take(mac_at(2000 + i), 2 + i, 2000 * S));
	assert_null(take(mac_at(3000), 3000, 2000 * S));
}

static unsigned quarantined(void)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < pool.count; i++)
		count += pool.leases[i].state == LEASE_QUARANTINED;
	return count;
}

static void declines_are_bounded(void **state)
{

	(void)state;
	start(24, 0);
	for (unsigned i = 0; i < 500; i++) {
		struct lease *lease = take(mac_at(1), 1, S + i);

		assert_non_null(lease);
		lease_pool_quarantine(&pool, lease, S + i);
		assert_ptr_not_equal(lease_pool_find_mac(&pool, &lease->mac), lease);
	}
	assert_int_equal(quarantined(), LEASE_POOL_DECLINE_SHARE);
	for (unsigned i = 0; i < 500; i++) {
		struct lease *lease = take(mac_at(i), 1, 2 * S);

		assert_non_null(lease);
		lease_pool_quarantine(&pool, lease, 2 * S);
	}
	assert_in_range(quarantined(), 1, LEASE_POOL_PORT_SHARE);
}

static void a_declined_address_rests(void **state)
{
	struct lease *declined;
	struct lease *next;

	(void)state;
	start(29, 0); /* .2 to .6 */
	declined = take(mac_at(1), 1, S);
	lease_pool_quarantine(&pool, declined, S);
	next = take(mac_at(1), 1, S);
	assert_ptr_not_equal(next, declined);
	for (unsigned i = 2; i < 5; i++)
		assert_ptr_not_equal(take(mac_at(i), i, S), declined);
	assert_null(take(mac_at(9), 9, S));
	assert_ptr_equal(take(mac_at(9), 9, (LEASE_QUARANTINE_S + 2) * S), declined);
}

static bool always(void *context, const struct ip_addr *addr, const struct mac_addr *mac)
{
	(void)mac;
	return ip_addr_equal(context, addr);
}

static void skips_what_is_in_use(void **state)
{
	struct ip_addr used = fixture_addr(2);
	struct mac_addr mac = mac_at(1);
	struct lease *lease;

	(void)state;
	start(24, 0);
	pool.in_use = always;
	pool.in_use_context = &used;
	lease = lease_pool_offer(&pool, &mac, 0, &used, S);
	assert_int_equal(lease->addr.octet[3], 3);
}

static void large_subnets_are_bounded(void **state)
{
	struct gateway_config config = {
		.subnet = { .length = 8 },
		.reservation_count = 1,
		.reservations = { { .mac = fixture_mac(2) } },
	};
	struct ip_addr stranger = ip_addr_from_v4(UINT32_C(0x0ac80006));
	struct lease *lease;

	(void)state;
	config.subnet.addr = ip_addr_from_v4(UINT32_C(0x0a000000));
	config.addr = ip_addr_from_v4(UINT32_C(0x0a000001));
	config.reservations[0].addr = ip_addr_from_v4(UINT32_C(0x0ac80005));
	random_seeded_init(&seeded, 7);
	assert_int_equal(lease_pool_init(&pool, &config, &seeded.random), 0);
	assert_int_equal(pool.window, LEASE_POOL_MAX);
	lease = lease_pool_find_addr(&pool, &config.reservations[0].addr);
	assert_non_null(lease);
	assert_ptr_equal(lease, lease_pool_find_mac(&pool, &config.reservations[0].mac));
	assert_null(lease_pool_find_addr(&pool, &stranger));
	for (unsigned i = 0; i < LEASE_POOL_MAX; i++)
		assert_non_null(take(mac_at(i), i, S));
	assert_null(take(mac_at(5000), 5000, S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_30_has_one_guest, teardown),
		cmocka_unit_test_teardown(a_reserved_30_is_nobody_elses, teardown),
		cmocka_unit_test_teardown(keeps_the_address_of_a_mac, teardown),
		cmocka_unit_test_teardown(grants_wishes_that_are_free, teardown),
		cmocka_unit_test_teardown(a_change_is_counted, teardown),
		cmocka_unit_test_teardown(hands_out_the_whole_subnet, teardown),
		cmocka_unit_test_teardown(a_port_has_a_share, teardown),
		cmocka_unit_test_teardown(declines_are_bounded, teardown),
		cmocka_unit_test_teardown(a_declined_address_rests, teardown),
		cmocka_unit_test_teardown(skips_what_is_in_use, teardown),
		cmocka_unit_test_teardown(large_subnets_are_bounded, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
