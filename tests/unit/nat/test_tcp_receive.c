#include "tcp_fixture.h"

static uint8_t pattern[FIXTURE_STREAM];

/* Data of the pattern, from `at` of the guest's stream on. */
static void give(size_t at, size_t size)
{
	guest_send(TCP_ACK, GUEST_ISN + 1 + (uint32_t)at, fixture->acknowledgement, 500,
		   pattern + at, size);
}

static void give_fin(size_t at)
{
	guest_send(TCP_ACK | TCP_FIN, GUEST_ISN + 1 + (uint32_t)at, fixture->acknowledgement, 500,
		   NULL, 0);
}

static uint32_t acknowledged(void)
{
	return expect_segment(TCP_ACK)->header.acknowledgement - (GUEST_ISN + 1);
}

static void straight_through(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	for (size_t at = 0; at < 60000; at += 1000)
		give(at, 1000);
	run();
	assert_int_equal(acknowledged(), 60000); /* one for the batch */
	expect_nothing();
	assert_int_equal(fake->up_size, 60000);
	assert_memory_equal(fake->up, pattern, 60000);
	assert_int_equal(tcp_table_of(fixture->nat)->pool.used, 0);
}

/* A short send costs the guest nothing: what the socket left waits in the buffer. */
static void short_send(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	fake->up_limit = 300;
	give(0, 1000);
	give(1000, 1000);
	run();
	assert_int_equal(acknowledged(), 2000);
	assert_int_equal(fake->up_size, 300);
	assert_false(tcp_is_drained(fixture->nat));
	fake->up_limit = FIXTURE_STREAM;
	raise(fake, EPOLLOUT);
	assert_int_equal(fake->up_size, 2000);
	assert_memory_equal(fake->up, pattern, 2000);
	assert_true(tcp_is_drained(fixture->nat));
	expect_nothing(); /* the window is wide anyway */
	give(2000, 10);
	run();
	assert_int_equal(acknowledged(), 2010);
	assert_int_equal(fake->up_size, 2010);
}

/* The window closes, never moves left, and opens when the host takes bytes again. */
static void window_closes_and_opens(void **state)
{
	struct fake_socket *fake = open_flow(500);
	struct random_seeded random;
	struct seen_segment *seen;
	size_t at = 0;
	uint32_t window = 0;

	(void)state;
	random_seeded_init(&random, 3);
	fake->up_limit = 0;
	do {
		size_t most = fixture->edge - (GUEST_ISN + 1 + (uint32_t)at);
		size_t size = 1 + random_below(&random.random, 1460);

		if (size > most)
			size = most;
		give(at, size);
		at += size;
		run();
		seen = expect_segment(TCP_ACK);
		assert_int_equal(seen->header.acknowledgement, GUEST_ISN + 1 + at);
		window = seen->header.window;
	} while (window > 0);
	assert_true(at >= TCP_BUFFER_CAPACITY && at <= TCP_BUFFER_CAPACITY + TCP_BUFFER_SLACK);
	/* A probe of the closed window: not taken, but answered. */
	give(at, 1);
	run();
	assert_int_equal(acknowledged(), at);
	/* Little room is not worth telling (silly window avoidance), more is. */
	fake->up_limit = 100;
	raise(fake, EPOLLOUT);
	expect_nothing();
	fake->up_limit = 100000;
	raise(fake, EPOLLOUT);
	seen = expect_segment(TCP_ACK);
	assert_true(seen->header.window >= 90000 / 4);
	expect_nothing();
	fake->up_limit = FIXTURE_STREAM;
	raise(fake, EPOLLOUT);
	assert_int_equal(fake->up_size, at);
	assert_memory_equal(fake->up, pattern, at);
	assert_int_equal(tcp_table_of(fixture->nat)->pool.used, 0);
}

static void out_of_order(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	give(1000, 1000);
	assert_int_equal(acknowledged(), 0); /* at once, not at the end of the batch */
	give(3000, 1000);
	assert_int_equal(acknowledged(), 0);
	give(500, 1000);
	assert_int_equal(acknowledged(), 0);
	give(0, 600);
	assert_int_equal(acknowledged(), 2000);
	assert_int_equal(fake->up_size, 2000);
	give(1500, 2000);
	assert_int_equal(acknowledged(), 4000);
	assert_int_equal(fake->up_size, 4000);
	assert_memory_equal(fake->up, pattern, 4000);
	run();
	expect_nothing();
	assert_int_equal(tcp_table_of(fixture->nat)->pool.used, 0);
}

static void duplicates(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	give(0, 1000);
	run();
	assert_int_equal(acknowledged(), 1000);
	give(0, 1000);
	give(0, 500);
	run();
	assert_int_equal(acknowledged(), 1000);
	give(500, 1000); /* half old */
	run();
	assert_int_equal(acknowledged(), 1500);
	assert_int_equal(fake->up_size, 1500);
	assert_memory_equal(fake->up, pattern, 1500);
}

/* The FIN is acknowledged only when the host has everything. */
static void fin_waits_for_the_host(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	fake->up_limit = 400;
	give(0, 1000);
	give_fin(1000);
	run();
	assert_int_equal(acknowledged(), 1000);
	assert_false(fake->finished);
	give_fin(1000); /* impatient */
	run();
	assert_int_equal(acknowledged(), 1000);
	fake->up_limit = FIXTURE_STREAM;
	raise(fake, EPOLLOUT);
	assert_int_equal(acknowledged(), 1001);
	assert_true(fake->finished);
	assert_int_equal(fake->up_size, 1000);
	give_fin(1000); /* our ACK was lost */
	run();
	assert_int_equal(acknowledged(), 1001);
}

static void fin_with_gap(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	guest_send(TCP_ACK | TCP_FIN, GUEST_ISN + 1 + 1000, fixture->acknowledgement, 500,
		   pattern + 1000, 500);
	run();
	assert_int_equal(acknowledged(), 0);
	assert_false(fake->finished);
	give(0, 1000);
	run();
	assert_int_equal(acknowledged(), 1500);
	assert_int_equal(acknowledged(), 1501);
	assert_true(fake->finished);
	assert_int_equal(fake->up_size, 1500);
	give(1501, 10); /* behind its own FIN */
	run();
	assert_int_equal(acknowledged(), 1501);
	assert_int_equal(fake->up_size, 1500);
}

static void fin_at_a_closed_window(void **state)
{
	struct fake_socket *fake = open_flow(500);
	size_t at = 0;

	(void)state;
	fake->up_limit = 0;
	while (fixture->edge != GUEST_ISN + 1 + at) {
		size_t size = fixture->edge - (GUEST_ISN + 1 + (uint32_t)at);

		size = size < 16000 ? size : 16000;
		give(at, size);
		at += size;
		run();
	}
	forget_segments();
	give_fin(at);
	run();
	assert_int_equal(acknowledged(), at);
	fake->up_limit = FIXTURE_STREAM;
	raise(fake, EPOLLOUT);
	assert_true(fake->finished);
	assert_int_equal(acknowledged(), at + 1);
	assert_memory_equal(fake->up, pattern, at);
}

/* No urgent data semantics: CVE-2026-9539 of a peer. */
static void urgent_is_plain_data(void **state)
{
	struct fake_socket *fake = open_flow(500);
	struct tcp_header header = {
		.sequence = GUEST_ISN + 1,
		.acknowledgement = fixture->acknowledgement,
		.flags = TCP_ACK | TCP_URG,
		.window = 500,
		.urgent = 65535,
	};

	(void)state;
	guest_push(&header, pattern, 100, false);
	run();
	assert_int_equal(acknowledged(), 100);
	assert_int_equal(fake->up_size, 100);
}

/* Nothing reads along: what applications say of addresses and ports passes as it is, both ways, and
 * opens nothing (peers.md: tcp_emu's overflows). */
static void no_application_is_helped(void **state)
{
	static const struct {
		uint16_t port;
		const char *guest;
		const char *host;
	} rows[] = {
		{ 21, "PORT 10,0,0,2,4,1\r\n", "227 Entering Passive Mode (203,0,113,5,4,2)\r\n" },
		{ 21, "EPRT |1|10.0.0.2|1025|\r\n", "229 Entering (|||1026|)\r\n" },
		{ 113, "1025 , 25\r\n", "1025 , 25 : USERID : UNIX : root\r\n" },
		{ 6667, "PRIVMSG a :\001DCC SEND x 167772162 1025 9\001\r\n",
		  ":b PRIVMSG a :\001DCC CHAT chat 3405803781 1026\001\r\n" },
		{ 5060, "INVITE sip:10.0.0.2:5060 SIP/2.0\r\n", "SIP/2.0 200 OK\r\n" },
		{ 554, "SETUP * RTSP/1.0\r\nTransport: RTP/AVP;client_port=1025\r\n",
		  "RTSP/1.0 200 OK\r\n" },
		{ 514, "1025", "rshd: ok" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		size_t size = strlen(rows[i].guest);

		fixture->guest.port++;
		fixture->remote.port = rows[i].port;
		struct fake_socket *fake = open_flow(500);
		guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, rows[i].guest,
			   size);
		run();
		assert_int_equal(acknowledged(), size);
		assert_int_equal(fake->up_size, size);
		assert_memory_equal(fake->up, rows[i].guest, size);
		size = strlen(rows[i].host);
		host_gives(fake, rows[i].host, size);
		const struct seen_segment *seen = expect_segment(TCP_ACK);
		assert_int_equal(seen->size, size);
		assert_memory_equal(fixture->payload + seen->at, rows[i].host, size);
		expect_nothing();
		assert_int_equal(fixture->socket_count, i + 1);
	}
}

static void pool_is_empty(void **state)
{
	struct fake_socket *fake = open_flow(500);
	struct tcp_pool *pool = &tcp_table_of(fixture->nat)->pool;
	uint32_t used = pool->used;

	(void)state;
	pool->used = pool->capacity; /* as if others held it all */
	fake->up_limit = 300;
	give(0, 1000);
	run();
	assert_int_equal(acknowledged(), 300);
	assert_int_equal(drops(DROP_BUFFER_LIMIT), 1);
	pool->used = used;
	give(300, 700);
	run();
	assert_int_equal(acknowledged(), 1000);
	fake->up_limit = FIXTURE_STREAM;
	raise(fake, EPOLLOUT);
	assert_memory_equal(fake->up, pattern, 1000);
}

static void host_refuses_data(void **state)
{
	struct fake_socket *fake = open_flow(500);
	struct seen_segment *seen;

	(void)state;
	/* An answer that came before the error still reaches the guest. */
	fake->down = malloc(FIXTURE_STREAM);
	memcpy(fake->down, "413", 3);
	fake->down_size = 3;
	fake->send_error = -ECONNRESET;
	fake->down_ended = true; /* the error was told once, so the end looks clean */
	give(0, 1000);
	run();
	seen = expect_segment(TCP_ACK);
	assert_int_equal(seen->size, 3);
	expect_segment(TCP_RST | TCP_ACK);
	expect_nothing();
	assert_true(fake->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

/* Random pieces in random order, lost and repeated, with a host that takes what it likes. */
static void any_order(void **state)
{
	struct random_seeded random;

	(void)state;
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct fake_socket *fake;
		uint32_t next = 0;
		size_t size = 400000;

		random_seeded_init(&random, seed);
		fixture->guest.port++;
		fake = open_flow(500);
		fake->up_limit = 1000;
		while (next < size) {
			size_t at = next + random_below(&random.random, 3) * 700;
			size_t most = fixture->edge - (GUEST_ISN + 1);
			size_t part = 1 + random_below(&random.random, 3000);

			if (at + part > most && at < most)
				part = most - at;
			if (at < most)
				give(at, part);
			if (random_below(&random.random, 4) == 0) {
				fake->up_limit += random_below(&random.random, 9000);
				raise(fake, EPOLLOUT);
			}
			run();
			for (struct seen_segment *seen; (seen = next_segment());)
				next = seen->header.acknowledgement - (GUEST_ISN + 1);
			forget_segments();
		}
		fake->up_limit = FIXTURE_STREAM;
		raise(fake, EPOLLOUT);
		assert_int_equal(fake->up_size, next);
		assert_memory_equal(fake->up, pattern, next);
		forget_segments();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_KEPT(straight_through),
		TEST_KEPT(short_send),
		TEST_KEPT(window_closes_and_opens),
		TEST_KEPT(out_of_order),
		TEST_KEPT(duplicates),
		TEST_KEPT(fin_waits_for_the_host),
		TEST_KEPT(fin_with_gap),
		TEST_KEPT(fin_at_a_closed_window),
		TEST_KEPT(urgent_is_plain_data),
		TEST_KEPT(no_application_is_helped),
		TEST_KEPT(pool_is_empty),
		TEST_BOTH(host_refuses_data),
		TEST_KEPT(any_order),
	};

	fill_pattern(pattern, sizeof(pattern), 0);
	return cmocka_run_group_tests_name("tcp_receive", tests, NULL, NULL);
}
