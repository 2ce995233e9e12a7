#include "tcp_fixture.h"

#include <time.h>

static int setup_small(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .flow_capacity = 100, .half_open_capacity = 70 });
	return 0;
}

static int setup_large(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .flow_capacity = 4096, .half_open_capacity = 1024 });
	return 0;
}

/* Black holes give way to newer ones, the oldest first, and never to silence for a new flow. */
static void half_open_eviction(void **state)
{
	(void)state;
	for (int i = 0; i < 4000; i++) {
		fixture->guest.port = (uint16_t)(1000 + i);
		guest_syn(GUEST_ISN);
	}
	assert_int_equal(fixture->socket_count, 4000);
	assert_int_equal(drops(DROP_HALF_OPEN_LIMIT), 4000 - 1024);
	assert_true(fixture->sockets[4000 - 1025].reset);
	assert_false(fixture->sockets[4000 - 1024].reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 1024);
	expect_nothing();
	fixture->guest.port = 60000;
	open_flow(500);
	assert_int_equal(tcp_flow_count(fixture->nat), 1024);
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
		{ "half_open_give_way_to_flows", half_open_give_way_to_flows, setup_small, teardown,
		  NULL },
		{ "time_wait_gives_way", time_wait_gives_way, setup_small, teardown, NULL },
		TEST_KEPT(charge_follows_the_port),
	};

	return cmocka_run_group_tests_name("tcp_flow", tests, NULL, NULL);
}
