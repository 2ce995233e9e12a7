/* A guest that means harm, or is merely odd: floods, strange segments, no descriptors left. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rig/rig_one.h"

static const struct rig_config plain = { .seed = 1, .backlog = NAT_BACKLOG_KEPT };

#define PROBES	   200
#define BLACK_HOLE 0xcb007107 /* 203.0.113.7 */

struct cost {
	uint64_t time_ns; /* from SYN to connected, as the guest sees it */
	uint64_t work;	  /* calls to the host and frames, until then */
};

static int compare_cost(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t percentile_99(uint64_t values[PROBES])
{
	qsort(values, PROBES, sizeof(values[0]), compare_cost);
	return values[PROBES * 99 / 100];
}

static uint64_t work_done(const struct rig *rig)
{
	return rig->host.calls + rig->port.frames;
}

static bool is_connected(void *context)
{
	return ((struct rig_tcp *)context)->connected_ns != 0;
}

/* p99 of new connections, one after the other. */
static struct cost cost_of_connecting(struct rig *rig, const struct ip_endpoint *server,
				      uint16_t first_port)
{
	struct rig_tcp_options options = { .mss = 1460, .window_scale = 7 };
	struct rig_app_plan plan = { .expect_size = RIG_NEVER };
	uint64_t time_ns[PROBES];
	uint64_t work[PROBES];

	for (uint16_t i = 0; i < PROBES; i++) {
		struct ip_endpoint own = rig_guest_endpoint(rig, (uint16_t)(first_port + i));
		uint64_t before = work_done(rig);
		struct rig_tcp tcp;

		rig_tcp_connect(&tcp, &rig->guest, &own, server, &options, &plan);
		bool connected = rig_time_run_until(&rig->time, is_connected, &tcp, 5 * NS_PER_S);
		assert_true(connected);
		time_ns[i] = tcp.connected_ns - tcp.opened_ns;
		work[i] = work_done(rig) - before;
		rig_time_run(&rig->time, 50 * NS_PER_MS);
		rig_tcp_done(&tcp);
	}
	return (struct cost){ percentile_99(time_ns), percentile_99(work) };
}

static void send_syn(struct rig *rig, uint16_t port, uint32_t addr)
{
	struct rig_raw raw = { .header = { .flags = TCP_SYN, .sequence = port, .window = 1000 } };
	struct ip_endpoint own = rig_guest_endpoint(rig, port);
	struct ip_endpoint to = rig_endpoint(addr, 80);

	rig_guest_send_raw(&rig->guest, &own, &to, &raw);
}

/*
 * 4,000 connections into nowhere, as a guest's kernel opens them: 64 SYNs at a time, and all of them
 * again after 1, 3 and 7 s.
 */
struct flooder {
	struct rig *rig;
	struct timer timer;
	uint64_t since_ns;
	unsigned round;
	uint16_t sent; /* in this round */
};

#define FLOOD_SYNS	 4000
#define FLOOD_AT_ONCE	 64
#define FLOOD_FIRST_PORT 10000

static void flooder_due(struct timer *timer, uint64_t now_ns)
{
	static const uint64_t rounds_s[] = { 0, 1, 3, 7 };
	struct flooder *flooder = container_of(timer, struct flooder, timer);
	struct rig_time *time = &flooder->rig->time;

	(void)now_ns;
	for (int i = 0; i < FLOOD_AT_ONCE && flooder->sent < FLOOD_SYNS; i++)
		send_syn(flooder->rig, (uint16_t)(FLOOD_FIRST_PORT + flooder->sent++), BLACK_HOLE);
	if (flooder->sent < FLOOD_SYNS) {
		rig_time_after(time, timer, NS_PER_MS);
		return;
	}
	flooder->sent = 0;
	if (++flooder->round < ARRAY_COUNT(rounds_s))
		rig_time_after(time, timer,
			       flooder->since_ns + rounds_s[flooder->round] * NS_PER_S -
				       time->now_ns);
}

/* gvproxy's TCP is dead after such (peers.md, section 5). */
static void test_black_holed_syns(void **state)
{
	struct rig_config config = plain;
	struct rig_server good = {
		.at = rig_endpoint(RIG_ADDR_SERVER, 80),
		.delay_ns = 20 * NS_PER_MS,
		.plan.app = { .expect_size = RIG_NEVER },
	};
	struct rig_server hole = {
		.at = rig_endpoint(BLACK_HOLE, 80),
		.answer = RIG_ANSWER_SILENCE,
	};

	(void)state;
	config.flow_capacity = 8192;
	config.half_open_capacity = 1024;
	config.up.batch_ns = NS_PER_MS;
	struct rig *rig = rig_new(&config);
	struct flooder flooder = { .rig = rig };
	rig_host_add_server(&rig->host, &good);
	rig_host_add_server(&rig->host, &hole);
	struct cost idle = cost_of_connecting(rig, &good.at, 30000);
	flooder.since_ns = rig->time.now_ns;
	timer_init(&flooder.timer, flooder_due);
	rig_time_after(&rig->time, &flooder.timer, 0);
	struct cost loaded = cost_of_connecting(rig, &good.at, 31000);
	printf("# p99 idle %llu us, %llu calls; with 4,000 SYNs under way %llu us, %llu calls\n",
	       (unsigned long long)(idle.time_ns / NS_PER_US), (unsigned long long)idle.work,
	       (unsigned long long)(loaded.time_ns / NS_PER_US), (unsigned long long)loaded.work);
	assert_int_equal(flooder.round, 4);
	assert_true(loaded.time_ns < 2 * idle.time_ns);
	assert_true(rig_tcp_table(rig)->half_open_budget.used <= 1024);
	/* Few of the 16,000 SYNs were worth a socket: those of the share, and some of each turn. */
	printf("# %u connections tried\n", (unsigned)hole.connections);
	assert_true(hole.connections < 1024 + 4 * 8 * (FLOOD_SYNS / FLOOD_AT_ONCE + 1));

	/* ... and all at once. */
	for (uint16_t i = 0; i < FLOOD_SYNS; i++)
		send_syn(rig, (uint16_t)(20000 + i), BLACK_HOLE);
	struct cost again = cost_of_connecting(rig, &good.at, 32000);
	assert_true(again.time_ns < 2 * idle.time_ns);
	assert_true(again.work < 2 * idle.work);
	rig_free(rig);
}

/* As if they came from another port of the network. */
static void neighbour_floods(struct rig *rig, uint16_t first_port, uint16_t count)
{
	uint32_t own = rig->guest_port;

	rig->guest_port = 0;
	for (uint16_t i = 0; i < count; i++)
		send_syn(rig, (uint16_t)(first_port + i), BLACK_HOLE);
	rig_time_run(&rig->time, NS_PER_MS);
	rig->guest_port = own;
}

/* A neighbour fills the table with SYNs into nowhere, and goes on: a guest's connections, many at a
 * time, are opened by their first SYN. */
static void test_black_holed_syns_of_a_neighbour(void **state)
{
	enum {
		AT_ONCE = 60
	};
	static const uint32_t capacities[] = { 64, 1024 };
	struct rig_tcp *tcps = calloc(AT_ONCE, sizeof(*tcps));

	(void)state;
	assert_non_null(tcps);
	for (size_t i = 0; i < ARRAY_COUNT(capacities); i++) {
		struct rig_config config = plain;
		struct rig_server good = {
			.at = rig_endpoint(RIG_ADDR_SERVER, 80),
			.delay_ns = 20 * NS_PER_MS,
			.plan.app = { .expect_size = RIG_NEVER },
		};
		struct rig_server hole = {
			.at = rig_endpoint(BLACK_HOLE, 80),
			.answer = RIG_ANSWER_SILENCE,
		};
		struct rig_tcp_options options = { .mss = 1460, .window_scale = 7 };
		struct rig_app_plan plan = { .expect_size = RIG_NEVER };
		uint16_t count =
			capacities[i] < 2 * AT_ONCE ? (uint16_t)capacities[i] / 2 : AT_ONCE;

		config.flow_capacity = 8192;
		config.half_open_capacity = capacities[i];
		struct rig *rig = rig_new(&config);
		rig_host_add_server(&rig->host, &good);
		rig_host_add_server(&rig->host, &hole);
		neighbour_floods(rig, 10000, 4000);
		for (uint16_t k = 0; k < count; k++) {
			struct ip_endpoint own = rig_guest_endpoint(rig, (uint16_t)(30000 + k));

			rig_tcp_connect(&tcps[k], &rig->guest, &own, &good.at, &options, &plan);
		}
		rig_time_run(&rig->time, NS_PER_MS);
		neighbour_floods(rig, 20000, 4000);
		rig_time_run(&rig->time, NS_PER_S);
		for (uint16_t k = 0; k < count; k++) {
			assert_true(tcps[k].connected_ns != 0);
			assert_true(tcps[k].connected_ns - tcps[k].opened_ns < 40 * NS_PER_MS);
			rig_tcp_done(&tcps[k]);
		}
		rig_free(rig);
	}
	free(tcps);
}

/* The same, where the flows are few: established ones are not thrown out for half-open ones. */
static void test_flood_spares_established(void **state)
{
	struct rig_one one;
	struct rig_server hole = {
		.at = rig_endpoint(BLACK_HOLE, 80),
		.answer = RIG_ANSWER_SILENCE,
	};

	(void)state;
	rig_one_init(&one, &plain);
	rig_host_add_server(&one.rig->host, &hole);
	rig_one_sizes(&one, 300000, 300000);
	one.guest.interval_ns = one.host.app.interval_ns = 10 * NS_PER_MS;
	one.guest.send_chunk = one.host.app.send_chunk = 2000;
	rig_one_connect(&one);
	assert_true(rig_one_is_open(&one));
	for (uint16_t i = 0; i < 20000; i++) {
		send_syn(one.rig, (uint16_t)(1000 + i), BLACK_HOLE);
		if (i % 100 == 0)
			rig_time_run(&one.rig->time, NS_PER_MS);
	}
	/* Half-open connections are left; this one must be whole. */
	(void)rig_one_finish(&one, 60 * NS_PER_S);
	assert_true(rig_tcp_is_content(&one.tcp));
	assert_true(rig_peer_is_content(one.peer));
	rig_one_done(&one);
}

/* Segments of every kind for connections that do not exist: counted, answered by RST where that is
 * due, and hardly a line in the log. */
static void test_log_flood(void **state)
{
	struct rig *rig = rig_new(&plain);

	(void)state;
	rig->guest.silent = true;
	for (uint32_t i = 0; i < 10000; i++) {
		struct rig_raw raw = {
			.header = { .flags = (uint8_t)i, .sequence = i * 7919, .window = 1 },
			.bad_checksum = i % 5 == 0,
		};
		struct ip_endpoint own = rig_guest_endpoint(rig, (uint16_t)(i * 31));
		struct ip_endpoint to = rig_endpoint(0x7f000001 + (i % 7) * 0x10000000, 80);

		rig_guest_send_raw(&rig->guest, &own, &to, &raw);
		if (i % 100 == 0)
			rig_time_run(&rig->time, 10 * NS_PER_MS);
	}
	rig_time_run(&rig->time, NS_PER_S);
	/* 2 s of flood. */
	assert_true(rig->log_lines <= 4 * (LOG_LIMIT_BURST + 1));
	assert_true(rig->drops.count[DROP_BAD_L4_CHECKSUM] > 0);
	assert_true(rig->drops.count[DROP_NO_FLOW] > 0);
	rig_free(rig);
}

/* CVE-2014-3640: port 0 is nobody. */
static void test_port_zero(void **state)
{
	struct rig *rig = rig_new(&plain);
	struct ip_endpoint zero = rig_guest_endpoint(rig, 0);
	struct ip_endpoint some = rig_guest_endpoint(rig, 1000);
	struct ip_endpoint server = rig_endpoint(RIG_ADDR_SERVER, 80);
	struct ip_endpoint nowhere = rig_endpoint(RIG_ADDR_SERVER, 0);
	struct rig_raw raw = { .header = { .flags = TCP_SYN, .window = 1000 } };
	uint64_t calls = rig->host.calls;

	(void)state;
	rig_guest_send_raw(&rig->guest, &zero, &server, &raw);
	rig_guest_send_raw(&rig->guest, &some, &nowhere, &raw);
	rig_guest_send_udp(&rig->guest, &zero, &server, "x", 1);
	rig_guest_send_udp(&rig->guest, &some, &nowhere, "x", 1);
	rig_time_run(&rig->time, NS_PER_MS);
	assert_null(rig_what_is_left(rig));
	assert_int_equal(rig->host.calls, calls);
	rig_free(rig);
}

/* Rubbish behind the IP packet is no payload, and a padded ACK is no data (passt f072bc0). */
static void test_padded_frames(void **state)
{
	struct rig_one one;
	uint8_t bytes[3];

	(void)state;
	rig_one_init(&one, &plain);
	one.guest.end = RIG_APP_END_NEVER;
	rig_one_sizes(&one, 3, 3);
	one.guest.send_size = 0;
	rig_pattern(1, 0, bytes, sizeof(bytes));
	rig_one_connect(&one);
	assert_true(rig_one_is_open(&one));
	rig_time_run(&one.rig->time, 100 * NS_PER_MS);
	struct rig_raw raw = rig_one_raw(&one, TCP_ACK);
	raw.padding = 40;
	rig_one_send_raw(&one, &raw);
	raw.payload = bytes;
	raw.size = 3;
	raw.padding = 6;
	rig_one_send_raw(&one, &raw);
	rig_time_run(&one.rig->time, 100 * NS_PER_MS);
	assert_int_equal(one.peer->app.heard, 3);
	assert_false(one.peer->app.mismatch);
	/* The host's FIN was acknowledged by the first of them, so nothing is repeated. */
	uint64_t frames = one.rig->port.frames;
	rig_time_run(&one.rig->time, 10 * NS_PER_S);
	assert_int_equal(one.rig->port.frames, frames);
	rig_one_done(&one);
}

/* No descriptor for another connection: it is dropped and counted, and the next one goes. */
static void test_no_descriptors(void **state)
{
	struct rig_one one;

	(void)state;
	rig_one_init(&one, &plain);
	rig_one_sizes(&one, 1000, 1000);
	rig_forward(one.rig, 2300, 23);
	one.rig->host.sockets_max = one.rig->host.sockets_open;
	rig_one_connect(&one);
	rig_time_run(&one.rig->time, 500 * NS_PER_MS);
	assert_int_equal(one.tcp.state, RIG_TCP_SYN_SENT);
	assert_true(one.rig->drops.count[DROP_SOCKET_LIMIT] > 0);
	one.rig->host.sockets_max = 0;
	assert_null(rig_one_finish(&one, 10 * NS_PER_S));
	rig_one_done(&one);
}

/* accept() under EMFILE pauses and goes on; it does not spin. */
static void test_accept_without_descriptors(void **state)
{
	struct rig_one one;

	(void)state;
	rig_one_init(&one, &plain);
	rig_one_sizes(&one, 1000, 1000);
	rig_forward(one.rig, 2300, 23);
	one.rig->host.sockets_max = one.rig->host.sockets_open + 1;
	rig_one_accept(&one);
	uint64_t calls = one.rig->host.calls;
	rig_time_run(&one.rig->time, 2 * NS_PER_S);
	assert_true(one.rig->host.calls - calls < 100);
	assert_true(one.rig->drops.count[DROP_SOCKET_LIMIT] > 0);
	one.rig->host.sockets_max = 0;
	assert_null(rig_one_finish(&one, 10 * NS_PER_S));
	rig_one_done(&one);
}

/* Loopback, broadcast, multicast, metadata, its own subnet: never asked of the host. */
static void test_forbidden(void **state)
{
	static const uint32_t addrs[] = {
		0x7f000001, 0x00000001,	      0xffffffff,	    0xe0000001,	   0xf0000001,
		0xa9fea9fe, RIG_ADDR_GATEWAY, RIG_ADDR_GATEWAY + 2, RIG_ADDR_HOST,
	};
	struct rig_server any = { .plan.app = { .expect_size = RIG_NEVER } };
	struct rig *rig = rig_new(&plain);

	(void)state;
	rig_host_add_server(&rig->host, &any);
	rig->guest.silent = true;
	for (size_t i = 0; i < ARRAY_COUNT(addrs); i++)
		send_syn(rig, (uint16_t)(2000 + i), addrs[i]);
	rig_time_run(&rig->time, NS_PER_S);
	assert_int_equal(any.connections, 0);
	assert_null(rig_what_is_left(rig));
	send_syn(rig, 3000, RIG_ADDR_SERVER);
	rig_time_run(&rig->time, NS_PER_S);
	assert_int_equal(any.connections, 1);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_black_holed_syns),
		cmocka_unit_test(test_black_holed_syns_of_a_neighbour),
		cmocka_unit_test(test_flood_spares_established),
		cmocka_unit_test(test_log_flood),
		cmocka_unit_test(test_port_zero),
		cmocka_unit_test(test_padded_frames),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_accept_without_descriptors),
		cmocka_unit_test(test_forbidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
