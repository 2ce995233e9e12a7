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
		TEST_KEPT(keepalive_answered),	    TEST_KEPT(keepalive_unanswered),
		TEST_KEPT(keepalive_refused),	    TEST_BOTH(timeout_is_measured),
		TEST_KEPT(connect_that_never_ends),
	};

	return cmocka_run_group_tests_name("tcp_timer", tests, NULL, NULL);
}
