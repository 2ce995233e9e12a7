#include "tcp_fixture.h"

static uint8_t pattern[FIXTURE_STREAM];

/* Flows take turns: none takes all the room of the port. */
static void flows_take_turns(void **state)
{
	struct fake_socket *fakes[3];
	uint16_t first_port = fixture->guest.port;
	size_t per_flow[3] = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		fixture->guest.port = (uint16_t)(first_port + i);
		fakes[i] = open_flow(4096);
	}
	forget_segments();
	for (int i = 0; i < 3; i++) {
		fakes[i]->down = malloc(FIXTURE_STREAM);
		memcpy(fakes[i]->down, pattern, FIXTURE_STREAM);
		fakes[i]->down_size = 400000;
		fakes[i]->socket->ready(fakes[i]->socket, EPOLLIN);
	}
	run();
	for (size_t i = 0; i < 6; i++) {
		struct seen_segment *seen = expect_segment(TCP_ACK);

		per_flow[seen->to.port - first_port]++;
	}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(per_flow[i], 2);
}

/* A window's worth of bulk is several batches, so that an answer which comes meanwhile is not behind all
 * of it. */
static void answer_overtakes_bulk(void **state)
{
	uint16_t bulk_port = fixture->guest.port;
	struct fake_socket *bulk = open_flow(65535);
	struct fake_socket *short_one;
	struct seen_segment *seen;
	size_t before = 0;
	size_t behind = 0;
	bool answered = false;

	(void)state;
	fixture->guest.port++;
	short_one = open_flow(65535);
	forget_segments();
	bulk->down = malloc(FIXTURE_STREAM);
	memcpy(bulk->down, pattern, FIXTURE_STREAM);
	bulk->down_size = 1500000;
	bulk->socket->ready(bulk->socket, EPOLLIN);
	assert_int_equal(loop_run_once(fixture->loop, 0), 0);
	host_gives(short_one, pattern, 1);
	while ((seen = next_segment())) {
		if (seen->to.port != bulk_port)
			answered = true;
		else if (answered)
			behind += seen->size;
		else
			before += seen->size;
	}
	assert_true(answered);
	assert_in_range(before, 1, 4 * 65535);
	assert_true(behind > before);
}

static void (*real_push)(struct frame_sink *sink, struct frame *frame);

/* The port fails while it takes a frame of ours. */
static void push_to_failing_port(struct frame_sink *sink, struct frame *frame)
{
	real_push(sink, frame);
	nat_port_gone(fixture->nat, FIXTURE_PORT);
}

static void port_fails_within_push(void **state)
{
	struct frame_sink_ops failing = sink_ops;
	struct fake_socket *first;
	struct fake_socket *second;

	(void)state;
	first = open_flow(500);
	fixture->guest.port++;
	second = open_flow(500);
	real_push = sink_ops.push;
	failing.push = push_to_failing_port;
	fixture->to_guest.ops = &failing;
	host_gives(first, pattern, 100000);
	assert_true(first->reset);
	assert_true(second->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
	fixture->to_guest.ops = &sink_ops;
}

static void many_flows_wait_for_a_port(void **state)
{
	struct fake_socket *fakes[50];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(fakes); i++) {
		fixture->guest.port++;
		fakes[i] = open_flow(500);
	}
	fixture->room = 0;
	for (size_t i = 0; i < ARRAY_COUNT(fakes); i++)
		host_gives(fakes[i], pattern, 100);
	expect_nothing();
	fixture->room = SIZE_MAX;
	tcp_port_ready(fixture->nat, FIXTURE_PORT);
	run();
	for (size_t i = 0; i < ARRAY_COUNT(fakes); i++)
		assert_int_equal(expect_segment(TCP_ACK)->size, 100);
	expect_nothing();
}

/* nat_free() in the fixture's teardown ends flows of every phase. */
static void free_in_every_phase(void **state)
{
	struct fake_socket *fake;

	(void)state;
	guest_syn(GUEST_ISN); /* CONNECTING */
	fixture->guest.port++;
	guest_syn(GUEST_ISN);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT); /* SYN_RECEIVED */
	expect_segment(TCP_SYN | TCP_ACK);
	fixture->waiting[fixture->waiting_count++] =
		(struct ip_endpoint){ ip_addr_from_v4(0xc6336407), 5000 };
	assert_int_equal(tcp_accept_to_guest(fixture->nat, &fixture->listener, &fixture->guest), 0);
	expect_segment(TCP_SYN); /* SYN_SENT */
	fixture->guest.port++;
	fake = open_flow(500); /* ORPHAN */
	fake->up_limit = 0;
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, pattern, 5000);
	run();
	expect_segment(TCP_ACK);
	tcp_end_port_gone(
		tcp_flow_find(tcp_table_of(fixture->nat), &fixture->guest, &fixture->remote));
	fixture->guest.port++;
	fake = open_flow(500); /* OPEN, in debt */
	fake->up_limit = 0;
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, pattern, 5000);
	host_gives(fake, pattern, 5000);
	forget_segments();
	fixture->guest.port++;
	open_flow(500); /* OPEN */
	assert_int_equal(tcp_flow_count(fixture->nat), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(flows_take_turns),	   TEST_BOTH(answer_overtakes_bulk),
		TEST_KEPT(port_fails_within_push), TEST_BOTH(many_flows_wait_for_a_port),
		TEST_BOTH(free_in_every_phase),
	};

	fill_pattern(pattern, sizeof(pattern), 0);
	return cmocka_run_group_tests_name("tcp_table", tests, NULL, NULL);
}
