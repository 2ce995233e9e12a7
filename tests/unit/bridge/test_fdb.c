#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "bridge/fdb.h"

static struct fdb fdb;
static struct random_seeded random_source;
static uint64_t now_ns;

static void start(uint32_t ports, uint32_t per_port)
{
	now_ns = 1000 * NS_PER_S;
	random_seeded_init(&random_source, 3);
	assert_int_equal(fdb_init(&fdb, ports, per_port, &random_source.random), 0);
}

static int teardown(void **state)
{
	(void)state;
	fdb_done(&fdb);
	return 0;
}

static struct mac_addr mac_of(uint32_t number)
{
	return (struct mac_addr){ { 2, 0, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
				    (uint8_t)(number >> 8), (uint8_t)number } };
}

static enum fdb_verdict learn(uint32_t number, uint32_t port)
{
	struct mac_addr mac = mac_of(number);

	return fdb_learn(&fdb, &mac, port, now_ns);
}

static bool find(uint32_t number, uint32_t *ret_port)
{
	struct mac_addr mac = mac_of(number);

	return fdb_find(&fdb, &mac, ret_port);
}

static void mac_stays_with_its_port(void **state)
{
	uint32_t port;

	(void)state;
	start(4, 4);
	assert_false(find(1, &port));
	assert_int_equal(learn(1, 2), FDB_LEARNT);
	assert_int_equal(learn(1, 2), FDB_KNOWN);
	assert_int_equal(learn(1, 3), FDB_MOVED);
	assert_true(find(1, &port));
	assert_int_equal(port, 2);
	fdb_forget_port(&fdb, 2);
	assert_false(find(1, &port));
	assert_int_equal(learn(1, 3), FDB_LEARNT);
}

/* A port has its share; that another is idle gives it no more. */
static void share_of_a_port(void **state)
{
	uint32_t port;

	(void)state;
	start(3, 16);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(learn(i, 0), FDB_LEARNT);
	assert_int_equal(learn(100, 0), FDB_FULL);
	assert_int_equal(learn(5, 0), FDB_KNOWN);
	for (uint32_t i = 0; i < 16; i++) {
		assert_int_equal(learn(1000 + i, 1), FDB_LEARNT);
		assert_int_equal(learn(2000 + i, 2), FDB_LEARNT);
	}
	assert_false(find(100, &port));
	fdb_forget_port(&fdb, 0);
	assert_int_equal(learn(100, 0), FDB_LEARNT);
	assert_true(find(1015, &port));
	assert_int_equal(port, 1);
}

/* Only a full share makes anybody go, only the port's own, and only what was silent for so long. */
static void silent_ones_give_way(void **state)
{
	uint32_t port;

	(void)state;
	start(2, 4);
	assert_int_equal(learn(100, 1), FDB_LEARNT);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(learn(i, 0), FDB_LEARNT);
		now_ns += NS_PER_S;
	}
	assert_int_equal(learn(0, 0), FDB_KNOWN);
	now_ns += (FDB_AGE_S - 4) * NS_PER_S;
	assert_int_equal(learn(10, 0), FDB_FULL);
	now_ns += NS_PER_S;
	/* 1 was heard the longest ago, then 2; 0 spoke again. */
	assert_int_equal(learn(10, 0), FDB_LEARNT);
	assert_false(find(1, &port));
	assert_true(find(2, &port));
	assert_int_equal(learn(11, 0), FDB_FULL);
	now_ns += NS_PER_S;
	assert_int_equal(learn(11, 0), FDB_LEARNT);
	assert_false(find(2, &port));
	/* Whatever its age, what another port has stays there. */
	now_ns += 100 * FDB_AGE_S * NS_PER_S;
	assert_int_equal(learn(100, 0), FDB_MOVED);
	for (uint32_t i = 20; i < 24; i++)
		assert_int_equal(learn(i, 0), FDB_LEARNT);
	assert_int_equal(learn(24, 0), FDB_FULL);
	assert_true(find(100, &port));
	assert_int_equal(port, 1);
}

/* A MAC for each frame: those that the guest really has are not pushed out. */
static void made_up_macs(void **state)
{
	uint32_t port;

	(void)state;
	start(2, 16);
	for (uint32_t i = 0; i < 100000; i++) {
		assert_int_equal(learn(1, 0), i == 0 ? FDB_LEARNT : FDB_KNOWN);
		(void)learn(1000 + i, 0);
		assert_true(find(1, &port));
		now_ns += 10 * NS_PER_MS;
	}
}

static void forgetting_a_port_that_showed_nothing(void **state)
{
	uint32_t port;

	(void)state;
	start(2, 4);
	fdb_forget_port(&fdb, 0);
	assert_int_equal(learn(1, 0), FDB_LEARNT);
	fdb_forget_port(&fdb, 1);
	fdb_forget_port(&fdb, 1);
	assert_true(find(1, &port));
}

static void too_large(void **state)
{
	struct fdb other;

	(void)state;
	start(1, 1);
	assert_true(fdb_init(&other, UINT32_MAX, 16, &random_source.random) < 0);
}

#define PORTS 8
#define MACS  200

/* What the table should say, the slow way. */
struct oracle {
	uint32_t port_of[MACS]; /* PORTS = nobody's */
	uint64_t heard_ns[MACS];
	uint32_t used[PORTS];
};

/* The port's MAC that was silent the longest, if that is long enough; MACS: none. */
static uint32_t oracle_oldest(const struct oracle *oracle, uint32_t port)
{
	uint32_t oldest = MACS;

	for (uint32_t mac = 0; mac < MACS; mac++) {
		if (oracle->port_of[mac] == port &&
		    (oldest == MACS || oracle->heard_ns[mac] < oracle->heard_ns[oldest]))
			oldest = mac;
	}
	return now_ns - oracle->heard_ns[oldest] < FDB_AGE_S * NS_PER_S ? MACS : oldest;
}

static enum fdb_verdict oracle_learn(struct oracle *oracle, uint32_t mac, uint32_t port)
{
	if (oracle->port_of[mac] == port) {
		oracle->heard_ns[mac] = now_ns;
		return FDB_KNOWN;
	}
	if (oracle->port_of[mac] != PORTS)
		return FDB_MOVED;
	if (oracle->used[port] == 16) {
		uint32_t oldest = oracle_oldest(oracle, port);

		if (oldest == MACS)
			return FDB_FULL;
		oracle->port_of[oldest] = PORTS;
		oracle->used[port]--;
	}
	oracle->port_of[mac] = port;
	oracle->heard_ns[mac] = now_ns;
	oracle->used[port]++;
	return FDB_LEARNT;
}

static void oracle_forget(struct oracle *oracle, uint32_t port)
{
	for (uint32_t mac = 0; mac < MACS; mac++) {
		if (oracle->port_of[mac] == port)
			oracle->port_of[mac] = PORTS;
	}
	oracle->used[port] = 0;
}

static void random_operations(void **state)
{
	struct oracle oracle = { .used = { 0 } };
	unsigned verdicts[4] = { 0 };

	(void)state;
	start(PORTS, 16);
	for (uint32_t mac = 0; mac < MACS; mac++)
		oracle.port_of[mac] = PORTS;
	for (int i = 0; i < 200000; i++) {
		uint32_t mac = random_below(&random_source.random, MACS);
		uint32_t port = random_below(&random_source.random, PORTS);
		uint32_t found = PORTS;

		if (random_below(&random_source.random, 2000) == 0) {
			fdb_forget_port(&fdb, port);
			oracle_forget(&oracle, port);
		} else {
			enum fdb_verdict verdict = learn(mac, port);

			assert_int_equal(verdict, oracle_learn(&oracle, mac, port));
			verdicts[verdict]++;
		}
		now_ns += 1 + random_below(&random_source.random, NS_PER_S);
		mac = random_below(&random_source.random, MACS);
		assert_int_equal(find(mac, &found), oracle.port_of[mac] != PORTS);
		assert_int_equal(found, oracle.port_of[mac]);
	}
	for (size_t i = 0; i < 4; i++)
		assert_true(verdicts[i] > 100);
}

#define TEST(function) cmocka_unit_test_teardown(function, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mac_stays_with_its_port),
		TEST(share_of_a_port),
		TEST(silent_ones_give_way),
		TEST(made_up_macs),
		TEST(forgetting_a_port_that_showed_nothing),
		TEST(too_large),
		TEST(random_operations),
	};

	return cmocka_run_group_tests_name("fdb", tests, NULL, NULL);
}
