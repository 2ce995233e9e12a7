/* Flow control: slow readers, closed windows, full ports, short sends. An honest guest's TCP never
 * has to retransmit because of us, and nothing ever stalls. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rig/rig_one.h"

static const struct rig_config configs[] = {
	{ .seed = 1, .backlog = NAT_BACKLOG_KEPT },
	{ .seed = 1, .backlog = NAT_BACKLOG_PEEK },
};

static void assert_well(const char *wrong)
{
	if (wrong)
		fail_msg("%s", wrong);
}

/* Runs to the end, and asks every second whether bytes moved since the last one. */
static void assert_never_stalls(struct rig_one *one, const uint64_t *heard, uint64_t size)
{
	assert_true(rig_one_is_open(one));
	while (*heard < size) {
		uint64_t before = *heard;

		rig_time_run(&one->rig->time, NS_PER_S);
		if (*heard == before)
			fail_msg("stalled at %llu of %llu bytes", (unsigned long long)before,
				 (unsigned long long)size);
	}
}

/* The host's socket takes little at a time and its reader is slow: the guest must not notice but
 * by its window. passt stalls here with default sysctls (peers.md). */
static void upload_to_slow_reader(const struct rig_config *config, size_t send_buffer,
				  uint64_t chunk, bool scaled)
{
	enum {
		SIZE = 2000000
	};
	struct rig_one one;

	rig_one_init(&one, config);
	rig_one_sizes(&one, SIZE, 0);
	if (!scaled)
		one.options.window_scale = -1;
	one.host.send_buffer = send_buffer;
	one.host.receive_capacity = send_buffer;
	one.host.app.interval_ns = 10 * NS_PER_MS;
	one.host.app.read_chunk = chunk;
	rig_one_connect(&one);
	assert_true(rig_one_is_open(&one));
	assert_never_stalls(&one, &one.peer->app.heard, SIZE);
	assert_well(rig_one_finish(&one, 10 * NS_PER_S));
	/* The FIN may be repeated: it is acknowledged when the host has all before it. */
	assert_int_equal(one.tcp.retransmissions, 0);
	/* The reader sets the pace: nothing is lost between two of its turns. */
	uint64_t took_ns = one.rig->time.now_ns - one.tcp.connected_ns;
	assert_true(took_ns < SIZE / chunk * 10 * NS_PER_MS * 13 / 10 + 70 * NS_PER_S);
	rig_one_done(&one);
}

static void test_upload_to_slow_reader(void **state)
{
	static const size_t buffers[] = { 2304, 4608, 16384, 87040 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(buffers); i++) {
		upload_to_slow_reader(&configs[0], buffers[i], 6000, true);
		upload_to_slow_reader(&configs[1], buffers[i], 1501, true);
		upload_to_slow_reader(&configs[0], buffers[i], 20000, false);
	}
}

/* Odd segments, thousands of them, to a host that takes none for a while: scaling rounds the window
 * each time, but its edge never moves left (the rig looks), and what was promised once is taken: the
 * guest never has to repeat a byte. */
static void test_odd_segments(void **state)
{
	static const uint16_t sizes[] = { 65, 67, 101, 1459 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		struct rig_one one;

		rig_one_init(&one, &configs[0]);
		rig_one_sizes(&one, 600000, 0);
		one.options.max_segment = sizes[i];
		one.host.send_buffer = 3000;
		one.host.receive_capacity = 3000;
		one.host.app.interval_ns = 20 * NS_PER_S;
		one.host.app.read_chunk = 400000;
		rig_one_connect(&one);
		assert_well(rig_one_finish(&one, 8000 * NS_PER_S));
		assert_int_equal(one.tcp.retransmissions, 0);
		rig_one_done(&one);
	}
}

/* Segments of one byte use the slack up: from then on the last bytes are acknowledged late, and that
 * is all that the guest may have to repeat. */
static void test_single_bytes(void **state)
{
	struct rig_one one;

	(void)state;
	rig_one_init(&one, &configs[0]);
	rig_one_sizes(&one, 300000, 0);
	one.options.max_segment = 1;
	one.host.send_buffer = 3000;
	one.host.receive_capacity = 3000;
	one.host.app.interval_ns = 20 * NS_PER_S;
	one.host.app.read_chunk = 400000;
	rig_one_connect(&one);
	assert_well(rig_one_finish(&one, 8000 * NS_PER_S));
	rig_one_done(&one);
}

static void test_download_to_slow_reader(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(configs); i++) {
		for (unsigned capacity = 1000; capacity < 100000; capacity *= 3) {
			struct rig_one one;

			rig_one_init(&one, &configs[i]);
			rig_one_sizes(&one, 0, 500000);
			one.options.receive_capacity = capacity;
			one.guest.interval_ns = 10 * NS_PER_MS;
			one.guest.read_chunk = 900;
			rig_one_connect(&one);
			assert_true(rig_one_is_open(&one));
			assert_never_stalls(&one, &one.tcp.app.heard, 500000);
			assert_well(rig_one_finish(&one, 10 * NS_PER_S));
			rig_one_done(&one);
		}
	}
}

/* What the guest has acknowledged comes first and a pure window update later: it counts at once, not
 * with the next probe. */
static void test_window_update(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(configs); i++) {
		struct rig_one one;

		rig_one_init(&one, &configs[i]);
		rig_one_sizes(&one, 0, 100000);
		one.options.receive_capacity = 20000;
		one.guest.interval_ns = NS_PER_S; /* then the app reads all at once */
		one.guest.read_chunk = 20000;
		rig_one_connect(&one);
		assert_true(rig_one_is_open(&one));
		rig_time_run(&one.rig->time, 950 * NS_PER_MS);
		uint32_t full = one.tcp.receive_next;
		assert_true(one.tcp.unread + one.options.mss > one.options.receive_capacity);
		rig_time_run(&one.rig->time, 60 * NS_PER_MS);
		assert_true(tcp_seq_after(one.tcp.receive_next, full));
		rig_one_done(&one);
	}
}

static bool lose_all(void *context, const uint8_t *bytes, size_t size)
{
	(void)bytes;
	(void)size;
	return *(const bool *)context;
}

/* The window update is lost: only a probe finds out (RFC 9293 3.8.6.1). */
static void test_lost_window_update(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(configs); i++) {
		struct rig_one one;
		bool losing = false;

		rig_one_init(&one, &configs[i]);
		rig_one_sizes(&one, 0, 100000);
		one.options.receive_capacity = 20000;
		one.guest.interval_ns = NS_PER_S;
		one.guest.read_chunk = 20000;
		one.rig->up.lose = lose_all;
		one.rig->up.lose_context = &losing;
		rig_one_connect(&one);
		assert_true(rig_one_is_open(&one));
		rig_time_run(&one.rig->time, 990 * NS_PER_MS);
		losing = true;
		rig_time_run(&one.rig->time, 20 * NS_PER_MS);
		losing = false;
		assert_int_equal(one.tcp.app.heard, 40000);
		assert_well(rig_one_finish(&one, 60 * NS_PER_S));
		rig_one_done(&one);
	}
}

/* A guest that says "not now" for an hour is waited for. */
static void test_closed_for_an_hour(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(configs); i++) {
		struct rig_one one;

		rig_one_init(&one, &configs[i]);
		rig_one_sizes(&one, 0, 60000);
		one.options.receive_capacity = 20000;
		one.guest.interval_ns = 3600 * NS_PER_S;
		one.guest.read_chunk = 20000;
		rig_one_connect(&one);
		assert_well(rig_one_finish(&one, 4 * 3600 * NS_PER_S));
		rig_one_done(&one);
	}
}

/* The port's queue towards the guest holds a few frames: what does not fit waits, nothing is
 * dropped, and what waits goes on as soon as there is room. */
static void test_full_port(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(configs); i++) {
		struct rig_config config = configs[i];
		struct rig_one one;

		config.down.room = 20000;
		config.down.bytes_per_s = 1000000;
		rig_one_init(&one, &config);
		rig_one_sizes(&one, 0, 3000000);
		rig_one_connect(&one);
		assert_true(rig_one_is_open(&one));
		assert_never_stalls(&one, &one.tcp.app.heard, 3000000);
		assert_well(rig_one_finish(&one, 10 * NS_PER_S));
		assert_int_equal(one.rig->down.overflows, 0);
		assert_int_equal(one.rig->drops.count[DROP_PORT_FULL], 0);
		/* 3 MB at 1 MB/s, headers included. */
		assert_true(one.rig->time.now_ns - one.tcp.connected_ns < 65 * NS_PER_S);
		rig_one_done(&one);
	}
}

/* One flow whose guest does not read must not take the memory from the others. */
static void test_one_does_not_starve_another(void **state)
{
	enum {
		HOGS = 40
	};
	struct rig_one one;
	struct rig_tcp *hog = calloc(HOGS, sizeof(*hog));
	struct rig_server greedy = {
		.at = { ip_addr_from_v4(RIG_ADDR_SERVER), 81 },
		.plan.app = { .send_size = 10000000, .expect_size = RIG_NEVER },
		.plan.receive_buffer = 1000000,
	};
	struct rig_tcp_options tiny = { .mss = 1460,
					.window_scale = 7,
					.receive_capacity = 1024 * 1024 };
	struct rig_app_plan silent = {
		.end = RIG_APP_END_NEVER,
		.expect_size = RIG_NEVER,
		.interval_ns = 100000 * NS_PER_S,
		.read_chunk = 1,
	};

	(void)state;
	assert_non_null(hog);
	rig_one_init(&one, &configs[0]);
	rig_host_add_server(&one.rig->host, &greedy);
	for (uint16_t i = 0; i < HOGS; i++) {
		struct ip_endpoint own = rig_guest_endpoint(one.rig, (uint16_t)(41000 + i));

		rig_tcp_connect(&hog[i], &one.rig->guest, &own, &greedy.at, &tiny, &silent);
	}
	rig_time_run(&one.rig->time, 5 * NS_PER_S);
	rig_one_sizes(&one, 1000000, 1000000);
	rig_one_connect(&one);
	assert_true(rig_one_is_open(&one));
	assert_never_stalls(&one, &one.tcp.app.heard, 1000000);
	assert_never_stalls(&one, &one.peer->app.heard, 1000000);
	rig_one_done(&one);
	free(hog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upload_to_slow_reader),
		cmocka_unit_test(test_odd_segments),
		cmocka_unit_test(test_single_bytes),
		cmocka_unit_test(test_download_to_slow_reader),
		cmocka_unit_test(test_window_update),
		cmocka_unit_test(test_lost_window_update),
		cmocka_unit_test(test_closed_for_an_hour),
		cmocka_unit_test(test_full_port),
		cmocka_unit_test(test_one_does_not_starve_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
