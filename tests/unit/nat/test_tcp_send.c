#include "tcp_fixture.h"

static uint8_t pattern[FIXTURE_STREAM];
static uint32_t first;	/* our first sequence number of data */
static size_t received; /* in order, by the guest below */

static struct fake_socket *open_first(uint16_t window)
{
	struct fake_socket *fake = open_flow(window);

	first = fixture->acknowledgement;
	received = 0;
	return fake;
}

static void acknowledge(size_t at, uint16_t window)
{
	guest_send(TCP_ACK, GUEST_ISN + 1, first + (uint32_t)at, window, NULL, 0);
	run();
}

/* Takes a segment that must carry [at, at + size) of the pattern. */
static void expect_bytes(size_t at, size_t size)
{
	struct seen_segment *seen = expect_segment(TCP_ACK);

	assert_int_equal(seen->header.sequence, first + at);
	assert_int_equal(seen->size, size);
	assert_memory_equal(fixture->payload + seen->at, pattern + at, size);
}

static void super_frames(void **state)
{
	struct fake_socket *fake = open_first(4096); /* 512 KiB */
	struct seen_segment *seen;

	(void)state;
	host_gives(fake, pattern, 200000);
	while ((seen = next_segment())) {
		assert_int_equal(seen->header.sequence, first + received);
		assert_int_equal(seen->gso_size, seen->size > GUEST_MSS ? GUEST_MSS : 0);
		assert_true(seen->size <= 65495);
		assert_memory_equal(fixture->payload + seen->at, pattern + received, seen->size);
		received += seen->size;
	}
	assert_int_equal(received, 200000);
	acknowledge(200000, 4096);
	expect_nothing();
	assert_int_equal(tcp_table_of(fixture->nat)->pool.used, 0);
	assert_int_equal(fake->down_head, 200000);
	advance_ms(100000);
	expect_nothing(); /* nothing waits for an answer */
}

static bool is_in_place(const void *bytes)
{
	const uint8_t *at = bytes;

	return at >= fixture->place && at < fixture->place + sizeof(fixture->place);
}

/* A port with memory of its own: the socket is read right into it, whole segments at a time. */
static void into_the_guest(void **state)
{
	struct fake_socket *fake = open_first(4096);
	struct seen_segment *seen;
	unsigned count = 0;

	(void)state;
	fixture->place_size = 20000;
	host_gives(fake, pattern, 100000);
	while ((seen = next_segment())) {
		assert_true(seen->in_place);
		assert_true(is_in_place(fake->last_peek));
		assert_true(received + seen->size == 100000 || seen->size == 13 * GUEST_MSS);
		assert_memory_equal(fixture->payload + seen->at, pattern + received, seen->size);
		received += seen->size;
		count++;
	}
	assert_int_equal(received, 100000);
	assert_int_equal(count, 6);
	/* No buffer free: from memory of our own. */
	fixture->place_size = 0;
	host_gives(fake, pattern + 100000, 1000);
	seen = expect_segment(TCP_ACK);
	assert_false(seen->in_place);
	assert_false(is_in_place(fake->last_peek));
	assert_memory_equal(fixture->payload + seen->at, pattern + 100000, 1000);
	/* What is repeated comes from the socket again, by way of our memory. */
	fixture->place_size = 20000;
	acknowledge(100000, 4096);
	advance_ms(210);
	seen = expect_segment(TCP_ACK);
	assert_memory_equal(fixture->payload + seen->at, pattern + 100000, seen->size);
}

/* Bytes that are kept stand in the pool until they are acknowledged. */
static void kept_is_not_in_place(void **state)
{
	struct fake_socket *fake = open_first(4096);
	struct seen_segment *seen;

	(void)state;
	fixture->place_size = 20000;
	host_gives(fake, pattern, 100000);
	while ((seen = next_segment())) {
		assert_false(seen->in_place);
		received += seen->size;
	}
	assert_int_equal(received, 100000);
}

/* A connection that moves much goes over to peek, once all that is under way is acknowledged. */
static void bulk_goes_over(void **state)
{
	const struct tcp_backlog *backlog;
	struct fake_socket *fake;
	size_t under_way = 0;
	struct seen_segment *seen;

	(void)state;
	nat_port_added(fixture->nat, FIXTURE_PORT, NAT_BACKLOG_ADAPTIVE);
	fake = open_first(4096);
	backlog = &tcp_table_of(fixture->nat)->flows[0].backlog;
	host_gives(fake, pattern, 20000); /* not much */
	expect_bytes(0, 20000);
	acknowledge(20000, 4096);
	assert_int_equal(backlog->kind, NAT_BACKLOG_KEPT);

	host_gives(fake, pattern + 20000, 200000);
	while ((seen = next_segment()))
		under_way += seen->size;
	assert_true(under_way >= 32768 && under_way < 66000); /* one super-frame */
	assert_int_equal(backlog->kind, NAT_BACKLOG_KEPT);
	advance_ms(210); /* lost: what is under way is repeated from what was kept */
	expect_bytes(20000, GUEST_MSS);
	forget_segments();
	acknowledge(20000 + under_way - 100, 4096);
	forget_segments();
	assert_int_equal(backlog->kind, NAT_BACKLOG_KEPT);
	acknowledge(20000 + under_way, 4096);
	assert_int_equal(backlog->kind, NAT_BACKLOG_PEEK);
	received = 20000 + under_way;
	while (received < 220000) { /* slowly at first, after the loss */
		seen = expect_segment(TCP_ACK);
		assert_int_equal(seen->header.sequence, first + received);
		assert_memory_equal(fixture->payload + seen->at, pattern + received, seen->size);
		received += seen->size;
		acknowledge(received, 4096);
	}
	assert_int_equal(tcp_table_of(fixture->nat)->pool.used, 0);
}

/* A reset in the meantime: what the host had sent is still passed on. */
static void reset_while_it_goes_over(void **state)
{
	struct fake_socket *fake;
	struct seen_segment *seen;

	(void)state;
	nat_port_added(fixture->nat, FIXTURE_PORT, NAT_BACKLOG_ADAPTIVE);
	fake = open_first(4096);
	host_gives(fake, pattern, 100000);
	fake->down_error = -ECONNRESET;
	raise(fake, EPOLLIN | EPOLLERR | EPOLLHUP);
	while ((seen = next_segment()) && !(seen->header.flags & TCP_RST))
		received += seen->size;
	assert_non_null(seen);
	assert_int_equal(received, 100000);
}

/* The port decides, and what nobody says is the network's. */
static void port_decides(void **state)
{
	(void)state;
	nat_port_added(fixture->nat, FIXTURE_PORT, NAT_BACKLOG_PEEK);
	open_flow(500);
	assert_int_equal(tcp_table_of(fixture->nat)->flows[0].backlog.kind, NAT_BACKLOG_PEEK);
	nat_port_added(fixture->nat, FIXTURE_PORT, NAT_BACKLOG_KEPT);
	fixture->guest.port++;
	forget_segments();
	open_flow(500);
	assert_int_equal(tcp_table_of(fixture->nat)->flows[1].backlog.kind, NAT_BACKLOG_KEPT);
}

static void window_limits(void **state)
{
	struct fake_socket *fake = open_first(16); /* 2048 bytes */

	(void)state;
	host_gives(fake, pattern, 10000);
	expect_bytes(0, 1460);
	expect_nothing(); /* 588 more would fit: silly */
	acknowledge(1460, 16);
	expect_bytes(1460, 1460);
	expect_nothing();
	acknowledge(2920, 0);
	expect_nothing();
	acknowledge(2920, 8); /* 1024 bytes, and nothing under way */
	expect_bytes(2920, 1024);
}

/* Bytes under way are capped, however wide the guest opens. */
static void cap_per_flow(void **state)
{
	struct fake_socket *fake = open_first(65535);
	struct seen_segment *seen;

	(void)state;
	host_gives(fake, pattern, 1500000);
	while ((seen = next_segment()))
		received += seen->size;
	assert_true(received <= TCP_BACKLOG_CAPACITY);
	assert_true(received > TCP_BACKLOG_CAPACITY - GUEST_MSS);
}

static void closed_window_is_probed(void **state)
{
	struct fake_socket *fake = open_first(0);
	struct seen_segment *seen;

	(void)state;
	host_gives(fake, pattern, 500);
	expect_nothing();
	advance_ms(210); /* the handshake took no time: the least there is */
	seen = expect_segment(TCP_ACK);
	assert_int_equal(seen->size, 0);
	assert_int_equal(seen->header.sequence, first - 1);
	acknowledge(0, 0);
	expect_nothing();
	advance_ms(370); /* backed off once */
	expect_nothing();
	advance_ms(40);
	expect_segment(TCP_ACK);
	acknowledge(0, 0);
	advance_ms(410); /* an answer starts the backoff anew */
	expect_segment(TCP_ACK);
	acknowledge(0, 500);
	expect_bytes(0, 500);
	/* The window opened: the timer is that of data again. */
	advance_ms(210);
	expect_bytes(0, 500);
	acknowledge(500, 500);
	expect_nothing();
}

static void unanswered_probes_end_it(void **state)
{
	struct fake_socket *fake = open_first(0);
	unsigned probes = 0;
	struct seen_segment *seen;

	(void)state;
	host_gives(fake, pattern, 500);
	advance_ms(1200000);
	while ((seen = next_segment()) && !(seen->header.flags & TCP_RST))
		probes++;
	assert_int_equal(probes, 17);
	assert_non_null(seen);
	assert_true(fake->reset);
}

static void timeout_sends_again(void **state)
{
	struct fake_socket *fake = open_first(500);

	(void)state;
	host_gives(fake, pattern, 3000);
	expect_bytes(0, 3000);
	expect_nothing();
	advance_ms(210);
	expect_bytes(0, GUEST_MSS); /* one segment at first: slow start */
	expect_nothing();
	advance_ms(380); /* backed off */
	expect_nothing();
	advance_ms(30);
	expect_bytes(0, GUEST_MSS);
	acknowledge(GUEST_MSS, 500);
	expect_bytes(1460, 1540);
	acknowledge(3000, 500);
	expect_nothing();
	advance_ms(10000);
	expect_nothing();
}

static void three_duplicates(void **state)
{
	struct fake_socket *fake = open_first(500);

	(void)state;
	host_gives(fake, pattern, 1460 * 20);
	expect_bytes(0, 1460 * 20);
	for (int i = 0; i < 2; i++)
		acknowledge(1460 * 2, 500);
	expect_nothing(); /* the first was an advance */
	acknowledge(1460 * 2, 500);
	expect_nothing();
	acknowledge(1460 * 2, 500);
	expect_bytes(1460 * 2, 1460);
	expect_nothing();
	/* A partial acknowledgement tells of the next hole. */
	acknowledge(1460 * 5, 500);
	expect_bytes(1460 * 5, 1460);
	acknowledge(1460 * 20, 500);
	expect_nothing();
	host_gives(fake, pattern + 1460 * 20, 100);
	expect_bytes(1460 * 20, 100);
}

static void retransmissions_end(void **state)
{
	struct fake_socket *fake = open_first(500);
	struct seen_segment *seen;
	unsigned count = 0;

	(void)state;
	host_gives(fake, pattern, 100);
	advance_ms(1200000);
	while ((seen = next_segment()) && !(seen->header.flags & TCP_RST))
		count++;
	assert_int_equal(count, 18);
	assert_non_null(seen);
	assert_true(fake->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

/* A port that takes nothing now holds flows back, without a loss. */
static void full_port(void **state)
{
	struct fake_socket *fake = open_first(500);

	(void)state;
	fixture->room = 0;
	host_gives(fake, pattern, 100);
	expect_nothing();
	tcp_port_ready(fixture->nat, FIXTURE_PORT + 1); /* another one */
	run();
	expect_nothing();
	fixture->room = SIZE_MAX;
	run();
	expect_nothing();
	tcp_port_ready(fixture->nat, FIXTURE_PORT);
	run();
	expect_bytes(0, 100);
	acknowledge(100, 500);
	fixture->room = 2 * (1460 + TCP_SEGMENT_OVERHEAD) + 10;
	host_gives(fake, pattern + 100, 10000);
	expect_bytes(100, 2920);
}

/* While the port stands still, nothing is lost and so nothing is repeated. */
static void full_port_is_no_loss(void **state)
{
	struct fake_socket *fake = open_first(500);

	(void)state;
	host_gives(fake, pattern, 100);
	expect_bytes(0, 100);
	fixture->room = 0;
	advance_ms(590 * 1000);
	expect_nothing();
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
	fixture->room = SIZE_MAX;
	tcp_port_ready(fixture->nat, FIXTURE_PORT);
	advance_ms(1000);
	expect_bytes(0, 100);
}

static void starved_of_blocks(void **state)
{
	struct fake_socket *fake = open_first(500);
	struct tcp_table *table = tcp_table_of(fixture->nat);
	uint32_t used = table->pool.used;

	(void)state;
	table->pool.used = table->pool.capacity;
	host_gives(fake, pattern, 100);
	expect_nothing();
	run();
	expect_nothing();
	table->pool.used = used;
	tcp_table_feed_starved(table);
	run();
	expect_bytes(0, 100);
}

static void end_of_stream(void **state)
{
	struct fake_socket *fake = open_first(500);
	struct seen_segment *seen;

	(void)state;
	fake->down_ended = true;
	host_gives(fake, pattern, 300);
	expect_bytes(0, 300);
	seen = expect_segment(TCP_ACK | TCP_FIN);
	assert_int_equal(seen->header.sequence, first + 300);
	advance_ms(210); /* both lost */
	expect_bytes(0, 300);
	expect_segment(TCP_ACK | TCP_FIN);
	acknowledge(300, 500);
	expect_nothing();
	advance_ms(210);
	expect_segment(TCP_ACK | TCP_FIN);
	acknowledge(301, 500);
	forget_segments();
	advance_ms(10000);
	expect_nothing();
	assert_false(fake->closed); /* half closed: the guest may go on */
	guest_send(TCP_ACK, GUEST_ISN + 1, first + 301, 500, pattern, 50);
	run();
	expect_segment(TCP_ACK);
	assert_int_equal(fake->up_size, 50);
}

/* FIN needs its place in the window, too. */
static void fin_waits_for_window(void **state)
{
	struct fake_socket *fake = open_first(0);

	(void)state;
	fake->down_ended = true;
	raise(fake, EPOLLIN | EPOLLRDHUP);
	expect_nothing();
	acknowledge(0, 10);
	expect_segment(TCP_ACK | TCP_FIN);
}

/* The host resets after some bytes: these first, then RST. */
static void host_resets(void **state)
{
	struct fake_socket *fake = open_first(500);
	struct seen_segment *seen;

	(void)state;
	fake->down = malloc(FIXTURE_STREAM);
	memcpy(fake->down, pattern, 100);
	fake->down_size = 100;
	fake->down_error = -ECONNRESET;
	raise(fake, EPOLLIN | EPOLLERR | EPOLLHUP);
	expect_bytes(0, 100);
	seen = expect_segment(TCP_RST | TCP_ACK);
	assert_int_equal(seen->header.sequence, first + 100);
	assert_true(fake->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

/* A lossy way to the guest, who acknowledges what is in order; both back ends repeat right. */
static void losses(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct random_seeded random;
		struct fake_socket *fake;
		size_t size = 300000;
		int idle = 0;

		random_seeded_init(&random, seed);
		fixture->guest.port++;
		fake = open_first(500);
		fake->down_ended = true;
		host_gives(fake, pattern, size);
		while (received < size) {
			bool heard = false;

			for (struct seen_segment *seen; (seen = next_segment());) {
				size_t at = seen->header.sequence - first;

				heard = true;
				if (random_below(&random.random, 4) == 0)
					continue;
				if (at <= received && at + seen->size > received) {
					assert_memory_equal(fixture->payload + seen->at,
							    pattern + at, seen->size);
					received = at + seen->size;
				}
				if (random_below(&random.random, 4) > 0)
					guest_send(TCP_ACK, GUEST_ISN + 1,
						   first + (uint32_t)received, 500, NULL, 0);
			}
			forget_segments();
			run();
			if (!heard)
				advance_ms(500);
			assert_true(++idle < 10000);
		}
		assert_int_equal(received, size);
		guest_send(TCP_RST, GUEST_ISN + 1, 0, 0, NULL, 0);
		assert_true(fake->reset);
		forget_segments();
	}
	assert_int_equal(tcp_table_of(fixture->nat)->pool.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(super_frames),
		TEST_PEEK(into_the_guest),
		TEST_KEPT(kept_is_not_in_place),
		TEST_KEPT(port_decides),
		TEST_KEPT(bulk_goes_over),
		TEST_KEPT(reset_while_it_goes_over),
		TEST_BOTH(window_limits),
		TEST_BOTH(cap_per_flow),
		TEST_BOTH(closed_window_is_probed),
		TEST_KEPT(unanswered_probes_end_it),
		TEST_BOTH(timeout_sends_again),
		TEST_BOTH(three_duplicates),
		TEST_BOTH(retransmissions_end),
		TEST_BOTH(full_port),
		TEST_BOTH(full_port_is_no_loss),
		TEST_KEPT(starved_of_blocks),
		TEST_BOTH(end_of_stream),
		TEST_BOTH(fin_waits_for_window),
		TEST_BOTH(host_resets),
		TEST_BOTH(losses),
	};

	fill_pattern(pattern, sizeof(pattern), 0);
	return cmocka_run_group_tests_name("tcp_send", tests, NULL, NULL);
}
