/* When an acknowledgement waits for the answer, and for how long. */
#include "tcp_fixture.h"

static uint32_t next;

static struct fake_socket *open_one(void)
{
	struct fake_socket *fake = open_flow(500);

	next = fixture->sequence;
	return fake;
}

static void say(size_t size)
{
	static const uint8_t bytes[GUEST_MSS];

	guest_send(TCP_ACK | TCP_PSH, next, fixture->acknowledgement, 500, bytes, size);
	next += (uint32_t)size;
	run();
}

static void answer(struct fake_socket *fake, size_t size)
{
	static const uint8_t bytes[100];
	struct seen_segment *seen;

	host_gives(fake, bytes, size);
	seen = expect_segment(TCP_ACK);
	assert_int_equal(seen->size, size);
	assert_int_equal(seen->header.acknowledgement, next);
	fixture->acknowledgement += (uint32_t)size;
}

static void expect_ack(void)
{
	struct seen_segment *seen = expect_segment(TCP_ACK);

	assert_int_equal(seen->size, 0);
	assert_int_equal(seen->header.acknowledgement, next);
}

/* Nothing is known of the far end: at once. Once it has answered, the answer carries it. */
static void travels_with_the_answer(void **state)
{
	struct fake_socket *fake = open_one();

	(void)state;
	say(1);
	expect_ack();
	answer(fake, 1);
	for (int i = 0; i < 5; i++) {
		say(10);
		expect_nothing();
		answer(fake, 20);
		expect_nothing();
	}
	guest_send(TCP_ACK, next, fixture->acknowledgement, 500, NULL, 0);
	advance_ms(1000);
	expect_nothing();
}

static void waits_10_ms_once(void **state)
{
	struct fake_socket *fake = open_one();

	(void)state;
	say(1);
	expect_ack();
	answer(fake, 1);
	say(1);
	fixture->now_ns += 9 * NS_PER_MS;
	run();
	expect_nothing();
	fixture->now_ns += 2 * NS_PER_MS;
	run();
	expect_ack();
	/* It was no ping-pong after all. */
	say(1);
	expect_ack();
	say(1);
	expect_ack();
	answer(fake, 1);
	say(1);
	expect_nothing();
}

static void second_segment_is_due(void **state)
{
	struct fake_socket *fake = open_one();

	(void)state;
	say(1);
	expect_ack();
	answer(fake, 1);
	say(1);
	expect_nothing();
	say(1);
	expect_ack();
	say(GUEST_MSS); /* a full one, too */
	expect_ack();
}

/* Each in its own time, in their order, by one timer. */
static void several_wait(void **state)
{
	struct fake_socket *one = open_one();
	uint32_t first_next;

	(void)state;
	say(1);
	expect_ack();
	answer(one, 1);
	say(1);
	expect_nothing();
	first_next = next;
	fixture->now_ns += 6 * NS_PER_MS;
	fixture->guest.port++;
	struct fake_socket *two = open_one();
	say(1);
	expect_ack();
	answer(two, 1);
	say(1);
	expect_nothing();
	fixture->now_ns += 5 * NS_PER_MS;
	run();
	assert_int_equal(expect_segment(TCP_ACK)->header.acknowledgement, first_next);
	expect_nothing();
	fixture->now_ns += 6 * NS_PER_MS;
	run();
	expect_ack();
}

/* The end of the guest's stream, too, where the host's own end follows. */
static void end_travels_with_the_end(void **state)
{
	struct fake_socket *fake = open_one();
	struct seen_segment *seen;

	(void)state;
	say(1);
	expect_ack();
	answer(fake, 1);
	guest_send(TCP_ACK | TCP_FIN, next, fixture->acknowledgement, 500, NULL, 0);
	run();
	assert_true(fake->finished);
	expect_nothing();
	fake->down_ended = true;
	raise(fake, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	seen = expect_segment(TCP_ACK | TCP_FIN);
	assert_int_equal(seen->header.acknowledgement, next + 1);
	expect_nothing();
}

/* After the last answer's connection ended, nothing wakes the loop up for it. */
static void rests_after_the_end(void **state)
{
	struct fake_socket *fake = open_one();
	const struct timer *delay = &tcp_table_of(fixture->nat)->delay;

	(void)state;
	say(1);
	expect_ack();
	answer(fake, 1);
	say(1);
	expect_nothing();
	answer(fake, 1);
	assert_true(timer_is_set(delay)); /* it is left running */
	guest_send(TCP_ACK | TCP_FIN, next, fixture->acknowledgement, 500, NULL, 0);
	run();
	fake->down_ended = true;
	raise(fake, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	(void)expect_segment(TCP_ACK | TCP_FIN);
	guest_send(TCP_ACK, next + 1, fixture->acknowledgement + 1, 500, NULL, 0);
	run();
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
	assert_false(timer_is_set(delay));
}

/* Freed while it waits: nothing comes later. */
static void gone_while_it_waits(void **state)
{
	struct fake_socket *fake = open_one();

	(void)state;
	say(1);
	expect_ack();
	answer(fake, 1);
	say(1);
	expect_nothing();
	guest_send(TCP_RST, next, 0, 0, NULL, 0);
	run();
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
	advance_ms(100);
	expect_nothing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(travels_with_the_answer),  TEST_KEPT(waits_10_ms_once),
		TEST_KEPT(second_segment_is_due),    TEST_KEPT(several_wait),
		TEST_BOTH(end_travels_with_the_end), TEST_KEPT(gone_while_it_waits),
		TEST_BOTH(rests_after_the_end),
	};

	return cmocka_run_group_tests_name("tcp_delay", tests, NULL, NULL);
}
