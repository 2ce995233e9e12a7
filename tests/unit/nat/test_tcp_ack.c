#include "tcp_fixture.h"

static uint8_t pattern[FIXTURE_STREAM];

static struct tcp_flow *flow_under_test(void)
{
	struct tcp_flow *flow =
		tcp_flow_find(tcp_table_of(fixture->nat), &fixture->guest, &fixture->remote);

	if (!flow)
		abort();
	return flow;
}

static void acknowledge(uint32_t sequence, size_t at, uint16_t window)
{
	guest_send(TCP_ACK, sequence, fixture->acknowledgement + (uint32_t)at, window, NULL, 0);
}

/* What the guest repeats carries a newer acknowledgement and window than all before it: an old
 * window must not be counted from the new acknowledgement. */
static void window_of_repeated_bytes(void **state)
{
	struct fake_socket *fake = open_flow(16); /* 2048 bytes */
	uint32_t next = GUEST_ISN + 1;

	(void)state;
	guest_send(TCP_ACK, next + 100, fixture->acknowledgement, 16, pattern, 100); /* a gap */
	run();
	expect_segment(TCP_ACK);
	host_gives(fake, pattern, 10000);
	assert_int_equal(expect_segment(TCP_ACK)->size, 1460);
	/* The edge is where it was: 2048. */
	guest_send(TCP_ACK, next, fixture->acknowledgement + 1460, 4, pattern, 100);
	run();
	assert_int_equal(flow_under_test()->send_window, 512);
	expect_segment(TCP_ACK);
	assert_int_equal(expect_segment(TCP_ACK)->size, 512);
}

/* A segment that was overtaken tells an old window. */
static void window_of_an_overtaken_segment(void **state)
{
	(void)state;
	open_flow(16);
	guest_send(TCP_ACK, GUEST_ISN + 11, fixture->acknowledgement, 100, pattern, 10);
	guest_send(TCP_ACK, GUEST_ISN + 1, fixture->acknowledgement, 1, pattern, 10);
	run();
	assert_int_equal(flow_under_test()->send_window, 100 * 128);
}

static void loss_halves_and_timeout_starts_over(void **state)
{
	struct fake_socket *fake = open_flow(500);
	struct tcp_flow *flow = flow_under_test();

	(void)state;
	assert_int_equal(flow->congestion_window, TCP_BACKLOG_CAPACITY);
	host_gives(fake, pattern, GUEST_MSS * 20);
	for (int i = 0; i < 4; i++)
		acknowledge(GUEST_ISN + 1, 0, 500);
	assert_true(flow->recovering);
	assert_int_equal(flow->slow_start_threshold, GUEST_MSS * 10);
	assert_int_equal(flow->congestion_window, GUEST_MSS * (10 + 3 + 1));
	acknowledge(GUEST_ISN + 1, GUEST_MSS * 20, 500);
	run();
	assert_false(flow->recovering);
	assert_int_equal(flow->congestion_window, GUEST_MSS * 10);
	fixture->acknowledgement += GUEST_MSS * 20;
	host_gives(fake, pattern, GUEST_MSS * 8);
	advance_ms(210);
	assert_int_equal(flow->congestion_window, GUEST_MSS);
	assert_int_equal(flow->slow_start_threshold, GUEST_MSS * 4);
	/* Slow start up to the threshold, then a segment per window. */
	for (size_t i = 1; i <= 3; i++)
		acknowledge(GUEST_ISN + 1, GUEST_MSS * i, 500);
	assert_int_equal(flow->congestion_window, GUEST_MSS * 4);
	acknowledge(GUEST_ISN + 1, GUEST_MSS * 4, 500);
	assert_int_equal(flow->congestion_window, GUEST_MSS * 4 + GUEST_MSS / 4);
}

/* Segments with bytes, and with another window, are no duplicates (RFC 5681 2). */
static void what_is_no_duplicate(void **state)
{
	struct fake_socket *fake = open_flow(500);
	struct tcp_flow *flow = flow_under_test();

	(void)state;
	host_gives(fake, pattern, GUEST_MSS * 20);
	for (uint16_t i = 0; i < 5; i++)
		acknowledge(GUEST_ISN + 1, 0, 501 + i);
	for (uint32_t i = 0; i < 5; i++)
		guest_send(TCP_ACK, GUEST_ISN + 1 + i * 10, fixture->acknowledgement, 505, pattern,
			   10);
	assert_int_equal(flow->duplicates, 0);
	assert_false(flow->recovering);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(window_of_repeated_bytes),
		TEST_KEPT(window_of_an_overtaken_segment),
		TEST_BOTH(loss_halves_and_timeout_starts_over),
		TEST_KEPT(what_is_no_duplicate),
	};

	fill_pattern(pattern, sizeof(pattern), 0);
	return cmocka_run_group_tests_name("tcp_ack", tests, NULL, NULL);
}
