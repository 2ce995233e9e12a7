/* Each phase against each kind of segment, and what must not be believed. */
#include "tcp_fixture.h"

static void answer(uint8_t flags, uint32_t sequence, uint32_t acknowledgement)
{
	guest_send(flags, sequence, acknowledgement, 500, NULL, 0);
	run();
}

static void no_flow(void **state)
{
	(void)state;
	answer(TCP_ACK, 5, 77);
	assert_int_equal(expect_segment(TCP_RST)->header.sequence, 77);
	guest_send(TCP_FIN, 5, 0, 0, "abc", 3);
	assert_int_equal(expect_segment(TCP_RST | TCP_ACK)->header.acknowledgement, 9);
	answer(TCP_SYN | TCP_ACK, 5, 78);
	assert_int_equal(expect_segment(TCP_RST)->header.sequence, 78);
	answer(TCP_RST, 5, 0); /* never RST to RST */
	answer(TCP_RST | TCP_ACK, 5, 1);
	expect_nothing();
	assert_int_equal(drops(DROP_NO_FLOW), 5);
	fixture->remote.addr = ip_addr_from_v4(0xe0000001);
	answer(TCP_ACK, 5, 77);
	expect_nothing();
}

static void malformed(void **state)
{
	struct tcp_header header = { .sequence = 5, .flags = TCP_SYN, .window = 100 };

	(void)state;
	guest_push(&header, "x", 1, true);
	assert_int_equal(drops(DROP_BAD_L4_CHECKSUM), 1);
	header.flags = TCP_SYN | TCP_FIN;
	guest_push(&header, NULL, 0, false);
	header.flags = TCP_SYN | TCP_RST;
	guest_push(&header, NULL, 0, false);
	assert_int_equal(drops(DROP_BAD_SEGMENT), 2);
	header.flags = TCP_SYN;
	fixture->guest.port = 0;
	guest_push(&header, NULL, 0, false);
	fixture->guest.port = 1;
	fixture->remote.port = 0;
	guest_push(&header, NULL, 0, false);
	assert_int_equal(drops(DROP_BAD_L4_HEADER), 2);
	run();
	expect_nothing();
	assert_int_equal(fixture->socket_count, 0);
}

static void connecting(void **state)
{
	(void)state;
	guest_syn(GUEST_ISN);
	answer(TCP_ACK, GUEST_ISN + 1, 5);
	answer(TCP_FIN | TCP_ACK, GUEST_ISN + 1, 5);
	answer(TCP_SYN | TCP_ACK, GUEST_ISN, 5);
	answer(TCP_RST, GUEST_ISN + 500, 0);
	expect_nothing();
	assert_int_equal(drops(DROP_BAD_SEGMENT), 4);
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
	answer(TCP_RST, GUEST_ISN + 1, 0);
	assert_true(last_socket()->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

static void syn_received(void **state)
{
	struct seen_segment *seen;
	uint32_t ours;

	(void)state;
	guest_syn(GUEST_ISN);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT);
	ours = expect_segment(TCP_SYN | TCP_ACK)->header.sequence;
	answer(TCP_ACK, GUEST_ISN + 1, ours + 2); /* of what was never sent */
	assert_int_equal(expect_segment(TCP_RST)->header.sequence, ours + 2);
	answer(TCP_ACK, GUEST_ISN + 1, ours);
	assert_int_equal(expect_segment(TCP_RST)->header.sequence, ours);
	guest_syn(GUEST_ISN + 5); /* another connection? ask */
	seen = expect_segment(TCP_ACK);
	assert_int_equal(seen->header.acknowledgement, GUEST_ISN + 1);
	answer(TCP_RST, GUEST_ISN + 2, 0); /* in the window, not exact */
	expect_segment(TCP_ACK);
	answer(TCP_ACK, GUEST_ISN + 400000, ours + 1); /* beyond the window */
	expect_segment(TCP_ACK);
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
	answer(TCP_RST, GUEST_ISN + 1, 0);
	assert_true(last_socket()->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

/* The guest never answers the SYN-ACK. */
static void syn_received_times_out(void **state)
{
	struct seen_segment *seen;
	unsigned count = 0;

	(void)state;
	guest_syn(GUEST_ISN);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT);
	advance_ms(120000);
	while ((seen = next_segment()) && !(seen->header.flags & TCP_RST))
		count++;
	assert_int_equal(count, 6);
	assert_non_null(seen);
	assert_true(last_socket()->reset);
}

/* FIN and data may come with the handshake's ACK. */
static void syn_received_to_closed_up(void **state)
{
	uint32_t ours;

	(void)state;
	guest_syn(GUEST_ISN);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT);
	ours = expect_segment(TCP_SYN | TCP_ACK)->header.sequence;
	guest_send(TCP_ACK | TCP_FIN, GUEST_ISN + 1, ours + 1, 500, "bye", 3);
	run();
	expect_segment(TCP_ACK);
	assert_true(last_socket()->finished);
	assert_int_equal(last_socket()->up_size, 3);
}

static void open_is_robust(void **state)
{
	struct fake_socket *fake = open_flow(500);
	uint32_t next = GUEST_ISN + 1;
	uint32_t ours = fixture->acknowledgement;

	(void)state;
	guest_syn(GUEST_ISN); /* RFC 5961 4: challenged, never believed */
	expect_segment(TCP_ACK);
	guest_syn(next + 10);
	expect_segment(TCP_ACK);
	answer(TCP_RST, next - 1, 0);
	expect_nothing();
	answer(TCP_RST, next + 1, 0);
	expect_segment(TCP_ACK);
	answer(TCP_RST, next + 400000, 0);
	expect_nothing();
	answer(TCP_ACK, next, ours + 1); /* of what was never sent */
	expect_segment(TCP_ACK);
	answer(TCP_ACK, next, ours - 100000);
	expect_segment(TCP_ACK);
	guest_send(0, next, ours, 500, "x", 1); /* without ACK */
	run();
	expect_nothing();
	guest_send(TCP_ACK, next + 400000, ours, 500, "x", 1); /* beyond the window */
	run();
	expect_segment(TCP_ACK);
	answer(TCP_ACK, next - 1, ours); /* a keepalive of the guest's */
	assert_int_equal(expect_segment(TCP_ACK)->header.acknowledgement, next);
	assert_int_equal(fake->up_size, 0);
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
	assert_false(fake->reset);
	answer(TCP_RST, next, 0);
	assert_true(fake->reset);
	expect_nothing();
}

/* A guest that rebooted: its SYN is challenged, its RST ends the flow, its next SYN is new. */
static void guest_reboots(void **state)
{
	struct fake_socket *fake = open_flow(500);
	uint32_t challenge;

	(void)state;
	guest_syn(5);
	challenge = expect_segment(TCP_ACK)->header.acknowledgement;
	answer(TCP_RST, challenge, 0);
	assert_true(fake->reset);
	guest_syn(5);
	assert_int_equal(fixture->socket_count, 2);
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
}

/* An ACK that is asked for by thousands of segments a second is not sent so often. */
static void challenges_are_limited(void **state)
{
	(void)state;
	open_flow(500);
	forget_segments();
	for (int i = 0; i < 1500; i++)
		guest_send(TCP_RST, GUEST_ISN + 5, 0, 0, NULL, 0);
	assert_int_equal(fixture->seen_count, 1000);
	forget_segments();
	/* A neighbour's keepalive probe is answered all the same. */
	fixture->port = FIXTURE_PORT + 1;
	fixture->guest.port++;
	open_flow(500);
	guest_send(TCP_ACK, fixture->sequence - 1, fixture->acknowledgement, 500, NULL, 0);
	expect_segment(TCP_ACK);
	fixture->port = FIXTURE_PORT;
	fixture->guest.port--;
	forget_segments();
	guest_send(TCP_RST, GUEST_ISN + 5, 0, 0, NULL, 0);
	expect_nothing();
	advance_ms(1000);
	guest_send(TCP_RST, GUEST_ISN + 5, 0, 0, NULL, 0);
	assert_int_equal(fixture->seen_count, 1);
}

/* Any nonsense at all: nothing breaks, and the window's promise holds (see the fixture). */
static void noise(void **state)
{
	static uint8_t bytes[4000];
	struct random_seeded random;
	uint32_t ours = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct fake_socket *fake;

		random_seeded_init(&random, seed);
		fixture->guest.port++;
		fake = open_flow(500);
		ours = fixture->acknowledgement;
		for (int i = 0; i < 300; i++) {
			uint8_t flags = (uint8_t)random_below(&random.random, 256);
			uint32_t about = GUEST_ISN + random_below(&random.random, 70000);
			uint32_t ack = ours + random_below(&random.random, 3000) - 100;

			if (flags & TCP_SYN)
				flags &= (uint8_t) ~(TCP_FIN | TCP_RST);
			if (random_below(&random.random, 10) > 0)
				flags &= (uint8_t) ~(TCP_RST | TCP_SYN);
			guest_send(flags, about, ack, (uint16_t)random_below(&random.random, 65536),
				   bytes, random_below(&random.random, sizeof(bytes)));
			if (fake->socket->ready && !fake->reset && !fake->closed &&
			    random_below(&random.random, 4) == 0) {
				fake->up_limit = random_below(&random.random, 100000);
				if (fake->up_limit < fake->up_size)
					fake->up_limit = fake->up_size;
				host_gives(fake, bytes, random_below(&random.random, 3000));
				if (!fake->reset && !fake->closed)
					raise(fake, EPOLLOUT);
			}
			if (random_below(&random.random, 50) == 0)
				fake->down_ended = true;
			run();
			if (fixture->seen_count > FIXTURE_SEGMENTS / 2)
				forget_segments();
			if (fake->reset || fake->closed)
				break;
		}
		forget_segments();
		tcp_port_gone(fixture->nat, FIXTURE_PORT);
		advance_ms(6000);
		forget_segments();
		assert_int_equal(tcp_flow_count(fixture->nat), 0);
		assert_int_equal(tcp_table_of(fixture->nat)->pool.used, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_KEPT(no_flow),
		TEST_KEPT(malformed),
		TEST_KEPT(connecting),
		TEST_KEPT(syn_received),
		TEST_KEPT(syn_received_times_out),
		TEST_KEPT(syn_received_to_closed_up),
		TEST_BOTH(open_is_robust),
		TEST_KEPT(guest_reboots),
		TEST_KEPT(challenges_are_limited),
		TEST_BOTH(noise),
	};

	return cmocka_run_group_tests_name("tcp_input", tests, NULL, NULL);
}
