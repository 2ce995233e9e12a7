#include "tcp_fixture.h"

static void keepalive_answered(void **state)
{
	struct fake_socket *fake = open_flow(500);
	struct seen_segment *seen;

	(void)state;
	advance_ms(7190 * 1000);
	expect_nothing();
	assert_false(fake->kept_alive);
	advance_ms(15 * 1000);
	assert_true(fake->kept_alive); /* the far end is asked as well, by the kernel */
	seen = expect_segment(TCP_ACK);
	assert_int_equal(seen->header.sequence, fixture->acknowledgement - 1);
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, NULL, 0);
	advance_ms(7190 * 1000);
	expect_nothing();
	assert_false(fake->reset);
}

static void keepalive_unanswered(void **state)
{
	struct fake_socket *fake = open_flow(500);
	unsigned probes = 0;
	struct seen_segment *seen;

	(void)state;
	advance_ms((7200 + 11 * 75) * 1000);
	while ((seen = next_segment()) && !(seen->header.flags & TCP_RST))
		probes++;
	assert_int_equal(probes, 9);
	assert_non_null(seen);
	assert_true(fake->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

/* A guest that is gone answers with RST, as a rebooted one does. */
static void keepalive_refused(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	advance_ms(7205 * 1000);
	guest_send(TCP_RST, expect_segment(TCP_ACK)->header.acknowledgement, 0, 0, NULL, 0);
	assert_true(fake->reset);
}

/* RFC 6298: the timeout follows what was measured. */
static void timeout_is_measured(void **state)
{
	struct fake_socket *fake = open_flow(500);
	struct tcp_flow *flow =
		tcp_flow_find(tcp_table_of(fixture->nat), &fixture->guest, &fixture->remote);

	(void)state;
	assert_non_null(flow);
	assert_int_equal(flow->timeout_ns, 200 * NS_PER_MS);
	for (uint32_t i = 1; i <= 20; i++) {
		host_gives(fake, "x", 1);
		advance_ms(150);
		guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement + i, 500, NULL, 0);
		run();
	}
	assert_true(flow->smoothed_ns > 100 * NS_PER_MS && flow->smoothed_ns < 160 * NS_PER_MS);
	assert_true(flow->timeout_ns > 200 * NS_PER_MS && flow->timeout_ns < NS_PER_S);
}

static void port_is_ready(void)
{
	fixture->room = SIZE_MAX;
	tcp_port_ready(fixture->nat, FIXTURE_PORT);
	run();
}

#define STEP_MS	 (9 * 60 * 1000)
#define LIMIT_MS (10 * 60 * 1000)

/* A VMM that takes nothing any more: both what is under way and what waits hold their flows for ten
 * minutes, no longer. */
static void stalled_port(void **state)
{
	(void)state;
	for (unsigned is_sent = 0; is_sent < 2; is_sent++) {
		struct fake_socket *fake = open_flow(500);

		fixture->room = is_sent ? SIZE_MAX : 0;
		host_gives(fake, "x", 1);
		forget_segments();
		fixture->room = 0;
		advance_ms(LIMIT_MS - 10000);
		expect_nothing();
		assert_false(fake->reset);
		advance_ms(60000);
		expect_segment(TCP_RST | TCP_ACK);
		expect_nothing();
		assert_true(fake->reset);
		assert_int_equal(drops(DROP_GUEST_STALLED), is_sent + 1);
		assert_int_equal(tcp_flow_count(fixture->nat), 0);
		port_is_ready();
		expect_nothing();
	}
}

/* One that comes back in time, as often as it likes, finds everything, and at once. */
static void stalled_port_moves_again(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		fixture->room = i == 2 ? 0 : SIZE_MAX;
		host_gives(fake, "x", 1);
		forget_segments();
		fixture->room = 0;
		advance_ms(STEP_MS);
		expect_nothing();
		port_is_ready();
		advance_ms(1000);
		assert_int_equal(expect_segment(TCP_ACK)->size, 1);
		forget_segments();
		guest_send(TCP_ACK, fixture->sequence, ++fixture->acknowledgement, 500, NULL, 0);
		run();
	}
	assert_int_equal(drops(DROP_GUEST_STALLED), 0);
}

/* What the guest says is progress, too. */
static void stalled_port_of_a_guest_that_speaks(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	host_gives(fake, "x", 1);
	forget_segments();
	fixture->room = 0;
	for (uint32_t i = 0; i < 3; i++) {
		advance_ms(STEP_MS);
		guest_send(TCP_ACK, fixture->sequence++, fixture->acknowledgement, 500, "y", 1);
		run();
	}
	assert_false(fake->reset);
	assert_int_equal(fake->up_size, 3);
	advance_ms(LIMIT_MS + 60000);
	assert_true(fake->reset);
}

/* The clock goes on while the host sleeps. */
static void stalled_port_while_the_host_sleeps(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	host_gives(fake, "x", 1);
	fixture->room = 0;
	advance_ms(60000);
	for (uint32_t i = 0; i < 3; i++) {
		fixture->now_ns += 3600 * NS_PER_S;
		run();
		advance_ms(60000);
	}
	assert_false(fake->reset);
	port_is_ready();
	advance_ms(1000);
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement + 1, 500, NULL, 0);
	run();
	assert_int_equal(drops(DROP_GUEST_STALLED), 0);
	assert_false(fake->reset);
}

/* A guest that stands still while its port has room yet has the same time. */
static void silent_guest(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	host_gives(fake, "x", 1);
	advance_ms(LIMIT_MS);
	assert_false(fake->reset);
	advance_ms(90000);
	assert_true(fake->reset);
	assert_int_equal(drops(DROP_GUEST_STALLED), 0);
}

static void connect_that_never_ends(void **state)
{
	(void)state;
	guest_syn(GUEST_ISN);
	advance_ms(134 * 1000);
	assert_false(last_socket()->reset);
	advance_ms(10 * 1000);
	assert_true(last_socket()->reset);
	expect_nothing(); /* silence, as the far end was */
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_KEPT(keepalive_answered),
		TEST_KEPT(keepalive_unanswered),
		TEST_KEPT(keepalive_refused),
		TEST_BOTH(timeout_is_measured),
		TEST_KEPT(connect_that_never_ends),
		TEST_BOTH(stalled_port),
		TEST_BOTH(stalled_port_moves_again),
		TEST_KEPT(stalled_port_of_a_guest_that_speaks),
		TEST_KEPT(stalled_port_while_the_host_sleeps),
		TEST_BOTH(silent_guest),
	};

	return cmocka_run_group_tests_name("tcp_timer", tests, NULL, NULL);
}
