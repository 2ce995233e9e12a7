#include "tcp_fixture.h"

/* Of 1024, an eighth is kept for ports that have next to nothing. */
#define SHARE	      (1024 - 128)
#define HOLE	      0xcb007107
#define SAME_PER_TURN 8
#define ALL_PER_TURN  32

static int setup_large(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .flow_capacity = 4096, .half_open_capacity = 1024 });
	return 0;
}

/* Flows are what runs out first. */
static int setup_few_flows(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .flow_capacity = 200, .half_open_capacity = 1024 });
	return 0;
}

static uint16_t next_port = 1000;

/* Sockets that these SYNs of a bridge port opened, all in one turn of the loop. */
static int flood(uint32_t port, uint32_t addr, uint32_t addr_step, int count)
{
	int before = fixture->socket_count;

	fixture->port = port;
	for (int i = 0; i < count; i++) {
		fixture->guest.port = next_port++;
		fixture->remote.addr = ip_addr_from_v4(addr + (uint32_t)i * addr_step);
		guest_syn_in_batch(GUEST_ISN);
	}
	return fixture->socket_count - before;
}

/* Up to its share a port opens as many at once as it likes. */
static void the_share_is_free(void **state)
{
	(void)state;
	assert_int_equal(flood(3, HOLE, 0, SHARE), SHARE);
	assert_int_equal(drops(DROP_HALF_OPEN_LIMIT), 0);
}

static void one_hole(void **state)
{
	(void)state;
	assert_int_equal(flood(3, HOLE, 0, SHARE), SHARE);
	assert_int_equal(flood(3, HOLE, 0, 64), SAME_PER_TURN);
	/* Those that gave way, and those that were not let in. */
	assert_int_equal(drops(DROP_HALF_OPEN_LIMIT), 64);
	/* In the same turn: who goes elsewhere, and who is somebody else. */
	assert_int_equal(flood(3, HOLE + 1, 0, 1), 1);
	assert_int_equal(flood(5, HOLE, 0, BUDGET_PORT_MIN), BUDGET_PORT_MIN);
	run();
	assert_int_equal(flood(3, HOLE, 0, 64), SAME_PER_TURN);
	expect_nothing();
}

static void many_holes(void **state)
{
	(void)state;
	assert_int_equal(flood(3, HOLE, 1, SHARE), SHARE);
	assert_int_equal(flood(3, HOLE + SHARE, 1, 64), ALL_PER_TURN);
	assert_int_equal(flood(5, HOLE, 1, BUDGET_PORT_MIN), BUDGET_PORT_MIN);
	run();
	assert_int_equal(flood(3, HOLE + SHARE, 1, 64), ALL_PER_TURN);
}

/* A SYN that is repeated for a flow which is still there costs nothing and is not counted. */
static void repeated(void **state)
{
	(void)state;
	assert_int_equal(flood(3, HOLE, 0, SHARE), SHARE);
	next_port = (uint16_t)(next_port - 64);
	assert_int_equal(flood(3, HOLE, 0, 64), 0);
	assert_int_equal(drops(DROP_HALF_OPEN_LIMIT), 0);
}

static void where_flows_run_out_first(void **state)
{
	(void)state;
	assert_int_equal(flood(3, HOLE, 0, 200), 200);
	assert_int_equal(flood(3, HOLE, 0, 64), SAME_PER_TURN);
	assert_int_equal(flood(3, HOLE + 1, 0, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "the_share_is_free", the_share_is_free, setup_large, teardown, NULL },
		{ "one_hole", one_hole, setup_large, teardown, NULL },
		{ "many_holes", many_holes, setup_large, teardown, NULL },
		{ "repeated", repeated, setup_large, teardown, NULL },
		{ "where_flows_run_out_first", where_flows_run_out_first, setup_few_flows, teardown,
		  NULL },
	};

	return cmocka_run_group_tests_name("tcp_flood", tests, NULL, NULL);
}
