#include "tcp_fixture.h"

#include <time.h>

/* Of 1024, an eighth is kept for ports that have next to nothing. */
#define HALF_OPEN_MOST (1024 - 128)

static int setup_small(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .flow_capacity = 100, .half_open_capacity = 70 });
	return 0;
}

static int setup_tiny(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .flow_capacity = 64, .half_open_capacity = 1024 });
	return 0;
}

static int setup_large(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .flow_capacity = 4096, .half_open_capacity = 1024 });
	return 0;
}

/* SYNs of that port into black holes, each in a turn of its own: of many at once see
 * test_tcp_flood.c. */
static void flood(uint32_t port, int count)
{
	fixture->port = port;
	for (int i = 0; i < count; i++) {
		fixture->guest.port = (uint16_t)(1000 + fixture->socket_count);
		guest_syn(GUEST_ISN);
	}
}

/* Black holes give way to newer ones, the oldest first, and never to silence for a new flow. */
static void half_open_eviction(void **state)
{
	(void)state;
	flood(FIXTURE_PORT, 4000);
	assert_int_equal(fixture->socket_count, 4000);
	assert_int_equal(drops(DROP_HALF_OPEN_LIMIT), 4000 - HALF_OPEN_MOST);
	assert_true(fixture->sockets[4000 - HALF_OPEN_MOST - 1].reset);
	assert_false(fixture->sockets[4000 - HALF_OPEN_MOST].reset);
	assert_int_equal(tcp_flow_count(fixture->nat), HALF_OPEN_MOST);
	expect_nothing();
	fixture->guest.port = 60000;
	open_flow(500);
	assert_int_equal(tcp_flow_count(fixture->nat), HALF_OPEN_MOST);
}

/* Those sockets of half-open flows that did not give way. */
static int waiting(int first, int count)
{
	int left = 0;

	for (int i = first; i < first + count; i++)
		left += fixture->sockets[i].reset ? 0 : 1;
	return left;
}

/* A port that comes to a table which another has filled opens what it wants, all at once, and goes
 * on doing so while the other goes on. */
static void half_open_newcomer(void **state)
{
	const struct budget *budget = &tcp_table_of(fixture->nat)->half_open_budget;

	(void)state;
	flood(3, 2000);
	assert_int_equal(budget->used, HALF_OPEN_MOST);
	uint64_t evicted = drops(DROP_HALF_OPEN_LIMIT);
	flood(5, BUDGET_PORT_MIN);
	assert_int_equal(drops(DROP_HALF_OPEN_LIMIT), evicted);
	flood(3, 1000);
	assert_int_equal(waiting(2000, BUDGET_PORT_MIN), BUDGET_PORT_MIN);
	assert_true(budget->port_used[3] <= 512);
	for (int i = 2000; i < 2000 + BUDGET_PORT_MIN; i++) {
		fixture->sockets[i].connect_result = 0;
		raise(&fixture->sockets[i], EPOLLOUT);
		expect_segment(TCP_SYN | TCP_ACK);
	}
	assert_int_equal(budget->port_used[5], 0);
}

/* Beyond what is kept for newcomers, who has the most gives way, until all have the same. */
static void half_open_richest_gives_way(void **state)
{
	const struct budget *budget = &tcp_table_of(fixture->nat)->half_open_budget;

	(void)state;
	flood(3, 1000);
	flood(5, 300);
	assert_int_equal(waiting(1000, 300), 300);
	assert_int_equal(budget->port_used[3], HALF_OPEN_MOST - 300);
	flood(5, 1000);
	assert_int_equal(budget->port_used[3], HALF_OPEN_MOST / 2);
	assert_int_equal(budget->port_used[5], HALF_OPEN_MOST / 2);
	/* The third takes from both, and they take nothing back. */
	flood(6, 200);
	assert_int_equal(waiting(2300, 200), 200);
	flood(3, 500);
	flood(5, 500);
	assert_int_equal(waiting(2300, 200), 200);
}

/* A table too small to keep anything back. */
static void half_open_in_a_small_table(void **state)
{
	int sockets[10];

	(void)state;
	flood(3, 200);
	for (int i = 0; i < 10; i++) {
		sockets[i] = fixture->socket_count;
		flood(5, 1);
		flood(3, 50);
	}
	for (int i = 0; i < 10; i++)
		assert_int_equal(waiting(sockets[i], 1), 1);
}

/* Where the flow table is smaller than the half-open limit, they still give way. */
static void half_open_give_way_to_flows(void **state)
{
	(void)state;
	fixture->nat->config.flow_capacity = 100;
	for (int i = 0; i < 60; i++) {
		fixture->guest.port = (uint16_t)(1000 + i);
		open_flow(500);
	}
	for (int i = 0; i < 200; i++) {
		fixture->guest.port = (uint16_t)(2000 + i);
		guest_syn(GUEST_ISN);
	}
	assert_int_equal(tcp_flow_count(fixture->nat), 100);
	assert_int_equal(drops(DROP_FLOW_LIMIT), 0);
	for (int i = 0; i < 40; i++) {
		fixture->guest.port = (uint16_t)(3000 + i);
		open_flow(500);
	}
	fixture->guest.port = 4000;
	guest_syn(GUEST_ISN);
	assert_int_equal(drops(DROP_FLOW_LIMIT), 1);
	expect_nothing();
	assert_int_equal(tcp_flow_count(fixture->nat), 100);
}

/* Where even the flows are fewer than one port's half-open ones, another's first finds room. */
static void half_open_give_way_to_another_port(void **state)
{
	(void)state;
	flood(3, 200);
	assert_int_equal(fixture->nat->budget.used, 64);
	fixture->port = 5;
	for (int i = 0; i < 32; i++) {
		fixture->guest.port = (uint16_t)(40000 + i);
		open_flow(500);
	}
	assert_int_equal(fixture->nat->budget.port_used[5], 32);
	assert_int_equal(drops(DROP_FLOW_LIMIT), 0);
}

/* TIME_WAIT holds no budget, and gives way. */
static void time_wait_gives_way(void **state)
{
	struct tcp_table *table = tcp_table_of(fixture->nat);

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct fake_socket *fake;

		fixture->guest.port = (uint16_t)(1000 + i);
		fake = open_flow(500);
		fake->down_ended = true;
		raise(fake, EPOLLIN);
		expect_segment(TCP_ACK | TCP_FIN);
		guest_send(TCP_ACK | TCP_FIN, fixture->sequence, fixture->acknowledgement + 1, 500,
			   NULL, 0);
		expect_segment(TCP_ACK);
		forget_segments();
	}
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
	assert_int_equal(fixture->nat->budget.used, 0);
	assert_int_equal(table->time_wait_count, table->capacity);
	assert_int_equal(table->capacity, 200);
}

/* The port is where the guest was heard last, and so is the charge. */
static void charge_follows_the_port(void **state)
{
	struct budget *budget = &fixture->nat->budget;
	struct tcp_flow *flow;

	(void)state;
	open_flow(500);
	assert_int_equal(budget->port_used[FIXTURE_PORT], 1);
	flow = tcp_flow_find(tcp_table_of(fixture->nat), &fixture->guest, &fixture->remote);
	assert_non_null(flow);
	tcp_flow_set_port(flow, 5);
	assert_int_equal(budget->port_used[FIXTURE_PORT], 0);
	assert_int_equal(budget->port_used[5], 1);
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, NULL, 0);
	assert_int_equal(flow->port, FIXTURE_PORT);
	assert_int_equal(budget->port_used[FIXTURE_PORT], 1);
	assert_int_equal(budget->used, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "half_open_eviction", half_open_eviction, setup_large, teardown, NULL },
		{ "half_open_newcomer", half_open_newcomer, setup_large, teardown, NULL },
		{ "half_open_richest_gives_way", half_open_richest_gives_way, setup_large, teardown,
		  NULL },
		{ "half_open_in_a_small_table", half_open_in_a_small_table, setup_small, teardown,
		  NULL },
		{ "half_open_give_way_to_flows", half_open_give_way_to_flows, setup_small, teardown,
		  NULL },
		{ "half_open_give_way_to_another_port", half_open_give_way_to_another_port,
		  setup_tiny, teardown, NULL },
		{ "time_wait_gives_way", time_wait_gives_way, setup_small, teardown, NULL },
		TEST_KEPT(charge_follows_the_port),
	};

	return cmocka_run_group_tests_name("tcp_flow", tests, NULL, NULL);
}
