/* Rules: which flows begin, and which go on when the rules change under them. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig/rig_one.h"

/* Who is not to be called, or not let in, and what was asked last. */
struct rules {
	uint32_t out;
	uint32_t in;
	bool all_in;
	unsigned asked;
	struct nat_question last;
};

static bool admits(void *context, const struct nat_question *question)
{
	struct rules *rules = context;
	const struct ip_addr *remote = &question->remote.addr;

	rules->asked++;
	rules->last = *question;
	if (!question->from_guest && rules->all_in)
		return false;
	return !ip_addr_is_v4(remote) ||
	       ip_addr_to_v4(remote) != (question->from_guest ? rules->out : rules->in);
}

static void start(struct rig_one *one, struct rules *rules)
{
	const struct rig_config config = {
		.seed = 1,
		.whole = true,
		.admits = admits,
		.admits_context = rules,
	};

	rig_one_init(one, &config);
	rig_guest_announce(&one->rig->guest);
	rig_time_run(&one->rig->time, NS_PER_MS);
	one->guest.end = RIG_APP_END_NEVER;
	one->host.app.end = RIG_APP_END_NEVER;
	one->guest.expect_size = one->host.app.expect_size = RIG_NEVER;
}

static void settle(struct rig_one *one)
{
	rig_time_run(&one->rig->time, 200 * NS_PER_MS);
}

/* --- TCP ---------------------------------------------------------------------------------------- */

static void test_connect_is_refused(void **state)
{
	struct rules rules = { .out = RIG_ADDR_SERVER };
	struct rig_one one;

	(void)state;
	start(&one, &rules);
	rig_one_connect(&one);
	settle(&one);
	assert_int_equal(one.tcp.state, RIG_TCP_RESET);
	assert_int_equal(one.rig->drops.count[DROP_FILTERED], 1);
	assert_true(rules.last.from_guest);
	assert_int_equal(rules.last.protocol, NAT_PROTOCOL_TCP);
	assert_int_equal(rules.last.remote.port, RIG_ONE_SERVER);
	assert_null(rig_what_is_left(one.rig));
	rig_one_done(&one);
}

/* Both sides hear RST; a flow that is not meant goes on, and no frame of it was judged again. */
static void test_review_ends_a_connection(void **state)
{
	struct rules rules = { 0 };
	struct rig_one one;

	(void)state;
	start(&one, &rules);
	rig_one_connect(&one);
	assert_true(rig_one_is_open(&one));
	settle(&one);
	assert_int_equal(rules.asked, 1);
	rules.in = RIG_ADDR_SERVER; /* the other direction */
	nat_review(one.rig->nat, NAT_HOST_ACCESS_NONE);
	settle(&one);
	assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
	assert_false(one.peer->app.heard_reset);

	rules.out = RIG_ADDR_SERVER;
	nat_review(one.rig->nat, NAT_HOST_ACCESS_NONE);
	settle(&one);
	assert_int_equal(one.tcp.state, RIG_TCP_RESET);
	assert_true(one.peer->app.heard_reset);
	assert_null(rig_what_is_left(one.rig));
	rig_one_done(&one);
}

static void test_review_ends_what_is_being_opened(void **state)
{
	struct rules rules = { 0 };
	struct rig_one one;

	(void)state;
	start(&one, &rules);
	one.server.answer = RIG_ANSWER_SILENCE;
	rig_one_connect(&one);
	settle(&one);
	assert_int_equal(one.tcp.state, RIG_TCP_SYN_SENT);
	rules.out = RIG_ADDR_SERVER;
	nat_review(one.rig->nat, NAT_HOST_ACCESS_NONE);
	settle(&one);
	assert_int_equal(one.tcp.state, RIG_TCP_RESET);
	assert_null(rig_what_is_left(one.rig));
	rig_one_done(&one);
}

static const uint8_t loopback6[16] = { [15] = 1 };
static const uint8_t global6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 };

/* Asked about as what they are: IPv6 stays IPv6 although the guest sees the gateway, and whoever is the host
 * itself is the gateway. */
static void test_clients(void **state)
{
	const struct {
		struct ip_addr client;
		struct ip_addr bound;
		struct ip_addr asked;
	} cases[] = {
		{ ip_addr_from_v4(RIG_ADDR_CLIENT), ip_addr_from_v4(RIG_ADDR_HOST),
		  ip_addr_from_v4(RIG_ADDR_CLIENT) },
		{ ip_addr_from_v4(INADDR_LOOPBACK), ip_addr_from_v4(INADDR_LOOPBACK),
		  ip_addr_from_v4(RIG_ADDR_GATEWAY) },
		{ ip_addr_from_v4(RIG_ADDR_HOST), ip_addr_from_v4(RIG_ADDR_HOST),
		  ip_addr_from_v4(RIG_ADDR_GATEWAY) },
		{ ip_addr_from_v6(loopback6), ip_addr_from_v6(loopback6),
		  ip_addr_from_v4(RIG_ADDR_GATEWAY) },
		{ ip_addr_from_v6(global6), ip_addr_from_v6(loopback6), ip_addr_from_v6(global6) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		for (unsigned admitted = 0; admitted < 2; admitted++) {
			struct rules rules = { .all_in = !admitted };
			struct rig_one one;
			struct ip_endpoint bound;

			start(&one, &rules);
			struct nat_forward forward = {
				.protocol = NAT_PROTOCOL_TCP,
				.external = { cases[i].bound, 2222 },
				.internal = rig_guest_endpoint(one.rig, 22),
			};
			assert_int_equal(nat_forward_add(one.rig->nat, &forward, &bound), 0);
			rig_tcp_listen(&one.tcp, &one.rig->guest, &forward.internal, &one.options,
				       &one.guest);
			struct ip_endpoint from = { cases[i].client, 50000 };
			struct rig_peer *peer = rig_host_client(&one.rig->host, &from,
								&forward.external, &one.host);
			settle(&one);
			assert_int_equal(rules.asked, 1);
			assert_false(rules.last.from_guest);
			assert_int_equal(rules.last.remote.port, 50000);
			assert_true(ip_addr_equal(&rules.last.remote.addr, &cases[i].asked));
			assert_int_equal(one.tcp.state == RIG_TCP_OPEN, admitted);
			assert_int_equal(peer->app.heard_reset, !admitted);
			if (admitted) { /* and asked about in the same way later on */
				rules.all_in = true;
				nat_review(one.rig->nat, NAT_HOST_ACCESS_NONE);
				settle(&one);
				assert_true(
					ip_addr_equal(&rules.last.remote.addr, &cases[i].asked));
				assert_int_equal(one.tcp.state, RIG_TCP_RESET);
				assert_true(peer->app.heard_reset);
			}
			rig_one_done(&one);
		}
	}
}

/* Less of the host is open: who uses it is sent away, whatever the rules say. */
static void test_host_is_closed(void **state)
{
	struct rules rules = { 0 };
	struct rig_one one;

	(void)state;
	start(&one, &rules);
	nat_review(one.rig->nat, NAT_HOST_ACCESS_LOOPBACK);
	one.server.at = rig_endpoint(INADDR_LOOPBACK, RIG_ONE_SERVER);
	rig_host_add_server(&one.rig->host, &one.server);
	struct ip_endpoint own = rig_guest_endpoint(one.rig, RIG_ONE_PORT);
	struct ip_endpoint to = rig_endpoint(RIG_ADDR_GATEWAY, RIG_ONE_SERVER);
	rig_tcp_connect(&one.tcp, &one.rig->guest, &own, &to, &one.options, &one.guest);
	settle(&one);
	assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
	nat_review(one.rig->nat, NAT_HOST_ACCESS_LOOPBACK);
	settle(&one);
	assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
	nat_review(one.rig->nat, NAT_HOST_ACCESS_NONE);
	settle(&one);
	assert_int_equal(one.tcp.state, RIG_TCP_RESET);
	rig_one_done(&one);
}

/* --- UDP and echo ------------------------------------------------------------------------------- */

struct heard {
	unsigned datagrams;
	unsigned replies;
	unsigned prohibited;
	uint16_t from_port;
};

static void guest_heard(void *context, const struct packet *packet, const uint8_t *payload,
			size_t size)
{
	struct heard *heard = context;

	(void)payload;
	(void)size;
	if (packet->ip_protocol == PACKET_IP_PROTOCOL_UDP) {
		heard->datagrams++;
		heard->from_port = packet->port_source;
	} else if (packet->icmp_type == 0) {
		heard->replies++;
	} else if (packet->icmp_type == 3 && packet->icmp_code == 13) {
		heard->prohibited++;
	}
}

static void say(struct rig_one *one)
{
	struct ip_endpoint own = rig_guest_endpoint(one->rig, 5000);
	struct ip_endpoint to = rig_endpoint(RIG_ADDR_SERVER, 7);

	rig_guest_send_udp(&one->rig->guest, &own, &to, "x", 1);
	rig_time_run(&one->rig->time, 20 * NS_PER_MS);
}

static void test_datagrams(void **state)
{
	struct rules rules = { .out = RIG_ADDR_SERVER };
	struct heard heard = { 0 };
	struct rig_udp_server server = { .at = rig_endpoint(RIG_ADDR_SERVER, 7),
					 .echo = true,
					 .icmp_type = -1 };
	struct rig_one one;

	(void)state;
	start(&one, &rules);
	one.rig->guest.packet = guest_heard;
	one.rig->guest.context = &heard;
	rig_host_add_udp_server(&one.rig->host, &server);
	say(&one);
	assert_int_equal(heard.datagrams, 0);
	assert_int_equal(heard.prohibited, 1);
	rules.out = 0;
	say(&one);
	say(&one);
	assert_int_equal(heard.datagrams, 2);
	assert_int_equal(rules.asked, 2);
	nat_review(one.rig->nat, NAT_HOST_ACCESS_NONE);
	say(&one);
	assert_int_equal(heard.datagrams, 3);
	/* The peer is forgotten: neither to it nor from it. */
	rules.out = RIG_ADDR_SERVER;
	nat_review(one.rig->nat, NAT_HOST_ACCESS_NONE);
	settle(&one);
	assert_true(nat_is_reviewed(one.rig->nat));
	uint64_t filtered = one.rig->drops.count[DROP_FILTERED];
	assert_true(filtered >= 2);
	say(&one);
	assert_int_equal(heard.datagrams, 3);
	assert_int_equal(one.rig->drops.count[DROP_FILTERED], filtered + 1);
	rig_one_done(&one);
}

static void test_echo(void **state)
{
	struct rules rules = { 0 };
	struct heard heard = { 0 };
	const struct ip_addr to = ip_addr_from_v4(RIG_ADDR_SERVER);
	struct rig_one one;

	(void)state;
	start(&one, &rules);
	one.rig->guest.packet = guest_heard;
	one.rig->guest.context = &heard;
	rig_guest_send_echo(&one.rig->guest, &to, 9, 1, 64, "x", 1);
	settle(&one);
	assert_int_equal(heard.replies, 1);
	rules.out = RIG_ADDR_SERVER;
	rig_guest_send_echo(&one.rig->guest, &to, 9, 2, 64, "x", 1);
	settle(&one);
	assert_int_equal(heard.replies, 1);
	assert_int_equal(heard.prohibited, 1);
	/* An answer that is under way when the rules change does not arrive. */
	rules.out = 0;
	rig_guest_send_echo(&one.rig->guest, &to, 9, 3, 64, "x", 1);
	rules.out = RIG_ADDR_SERVER;
	nat_review(one.rig->nat, NAT_HOST_ACCESS_NONE);
	settle(&one);
	assert_int_equal(heard.replies, 1);
	rig_one_done(&one);
}

/* What moves before the sweep has come to it is asked about first, in each direction. */
static void stop_sweep(struct rig_one *one)
{
	nat_review(one->rig->nat, NAT_HOST_ACCESS_NONE);
	timer_clear(loop_timers(one->rig->time.loop), &one->rig->nat->review.timer);
}

static void test_connection_ends_before_the_sweep(void **state)
{
	for (unsigned by_guest = 0; by_guest < 2; by_guest++) {
		struct rules rules = { 0 };
		struct rig_one one;

		(void)state;
		start(&one, &rules);
		one.host.app.send_size = 2;
		one.host.app.interval_ns = 300 * NS_PER_MS;
		one.host.app.send_chunk = 1;
		one.host.app.read_chunk = 1;
		rig_one_connect(&one);
		assert_true(rig_one_is_open(&one));
		settle(&one);
		rules.out = RIG_ADDR_SERVER;
		stop_sweep(&one);
		assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
		uint64_t said = one.tcp.app.heard;
		if (by_guest) {
			struct rig_raw raw = rig_one_raw(&one, TCP_ACK);

			raw.payload = (const uint8_t *)"x";
			raw.size = 1;
			rig_one_send_raw(&one, &raw);
			settle(&one);
		} else {
			rig_time_run(&one.rig->time, 400 * NS_PER_MS);
		}
		assert_int_equal(one.tcp.state, RIG_TCP_RESET);
		assert_true(one.peer->app.heard_reset);
		assert_int_equal(one.peer->arrived, 0);
		assert_int_equal(one.tcp.app.heard, said);
		rig_one_done(&one);
	}
}

static void test_datagrams_end_before_the_sweep(void **state)
{
	for (unsigned by_guest = 0; by_guest < 2; by_guest++) {
		struct rules rules = { 0 };
		struct heard heard = { 0 };
		struct rig_udp_server server = { .at = rig_endpoint(RIG_ADDR_SERVER, 7),
						 .echo = true,
						 .icmp_type = -1 };
		struct rig_one one;

		(void)state;
		start(&one, &rules);
		one.rig->guest.packet = guest_heard;
		one.rig->guest.context = &heard;
		rig_host_add_udp_server(&one.rig->host, &server);
		say(&one);
		assert_int_equal(heard.datagrams, 1);
		rules.out = RIG_ADDR_SERVER;
		rules.all_in = true;
		stop_sweep(&one);
		if (by_guest)
			say(&one);
		else
			assert_true(rig_host_datagram(&one.rig->host, &server.at, &server.last_from,
						      "y", 1));
		settle(&one);
		assert_int_equal(server.datagrams, 1);
		assert_int_equal(heard.datagrams, 1);
		assert_int_equal(heard.prohibited, by_guest);
		assert_true(one.rig->drops.count[DROP_FILTERED] > 0);
		rig_one_done(&one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_is_refused),
		cmocka_unit_test(test_review_ends_a_connection),
		cmocka_unit_test(test_review_ends_what_is_being_opened),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_host_is_closed),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_connection_ends_before_the_sweep),
		cmocka_unit_test(test_datagrams_end_before_the_sweep),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
