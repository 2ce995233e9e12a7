/* How connections end: resets, lost and early FINs, half closes, reboots. The rows of TCP bugs that
 * others had. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rig/rig_one.h"

static const struct rig_config kept = { .seed = 1, .backlog = NAT_BACKLOG_KEPT };
static const struct rig_config peek = { .seed = 1, .backlog = NAT_BACKLOG_PEEK };
static const struct rig_config *const backlogs[] = { &kept, &peek };

#define EACH_BACKLOG(config)                                                                       \
	for (size_t backlog_ = 0; backlog_ < ARRAY_COUNT(backlogs); backlog_++)                    \
		for (const struct rig_config *config = backlogs[backlog_]; config; config = NULL)

static void assert_well(const char *wrong)
{
	if (wrong)
		fail_msg("%s", wrong);
}

/* The host resets in the middle: what it had sent before arrives, then RST. */
static void test_reset_by_host(void **state)
{
	(void)state;
	EACH_BACKLOG(config)
	{
		struct rig_one one;

		rig_one_init(&one, config);
		rig_one_sizes(&one, 0, 100000);
		one.guest.end = RIG_APP_END_NEVER;
		one.host.app.reset_after_sent = 30000;
		rig_one_connect(&one);
		assert_true(rig_one_is_open(&one));
		rig_time_run(&one.rig->time, NS_PER_S);
		assert_int_equal(one.tcp.state, RIG_TCP_RESET);
		assert_false(one.tcp.app.heard_end);
		assert_false(one.tcp.app.mismatch);
		assert_well(rig_one_wait_clean(&one, NS_PER_S));
		rig_one_done(&one);
	}
}

static void test_reset_by_guest(void **state)
{
	(void)state;
	EACH_BACKLOG(config)
	{
		struct rig_one one;

		rig_one_init(&one, config);
		rig_one_sizes(&one, 100000, 0);
		one.guest.reset_after_sent = 30000;
		one.host.app.end = RIG_APP_END_NEVER;
		rig_one_connect(&one);
		assert_true(rig_one_is_open(&one));
		rig_time_run(&one.rig->time, NS_PER_S);
		assert_true(one.peer->app.heard_reset);
		assert_false(one.peer->app.heard_end);
		assert_well(rig_one_wait_clean(&one, NS_PER_S));
		rig_one_done(&one);
	}
}

/* A forward's client resets, and a guest that nobody listens on refuses. */
static void test_reset_of_forward(void **state)
{
	struct rig_one one;

	(void)state;
	rig_one_init(&one, &kept);
	rig_one_sizes(&one, 0, 100000);
	one.guest.end = RIG_APP_END_NEVER;
	one.host.app.reset_after_sent = 1;
	rig_one_accept(&one);
	rig_time_run(&one.rig->time, 2 * NS_PER_S);
	assert_int_equal(one.tcp.state, RIG_TCP_RESET);

	struct ip_endpoint client = rig_endpoint(RIG_ADDR_CLIENT, 50001);
	struct ip_endpoint forward = rig_endpoint(RIG_ADDR_HOST, 2223);
	rig_forward(one.rig, 2223, 23);
	struct rig_peer *refused = rig_host_client(&one.rig->host, &client, &forward, &one.host);
	rig_time_run(&one.rig->time, 100 * NS_PER_MS);
	assert_true(refused->app.heard_reset);
	assert_well(rig_one_wait_clean(&one, NS_PER_S));
	rig_one_done(&one);
}

static bool guest_was_told(const struct rig_one *one, uint8_t type, uint8_t code)
{
	for (uint64_t i = 0; i < one->rig->guest.heard_count; i++) {
		const struct rig_heard *heard = rig_guest_heard(&one->rig->guest, i);

		if (heard && heard->packet.ip_protocol == PACKET_IP_PROTOCOL_ICMP &&
		    heard->packet.icmp_type == type && heard->packet.icmp_code == code)
			return true;
	}
	return false;
}

/* Connect first, then answer: the guest hears what became of the host's connect(). */
static void test_connect_answers(void **state)
{
	static const struct {
		enum rig_answer answer;
		int error;
		uint64_t delay_ns;
		enum rig_tcp_state after;
		int code; /* of ICMP unreachable, -1 = none */
	} cases[] = {
		{ RIG_ANSWER_FAIL, ECONNREFUSED, NS_PER_MS, RIG_TCP_RESET, -1 },
		{ RIG_ANSWER_FAIL, EHOSTUNREACH, NS_PER_MS, RIG_TCP_SYN_SENT, 1 },
		{ RIG_ANSWER_FAIL, EHOSTUNREACH, 0, RIG_TCP_SYN_SENT, 1 },
		{ RIG_ANSWER_FAIL, ENETUNREACH, 0, RIG_TCP_SYN_SENT, 0 },
		{ RIG_ANSWER_FAIL, ETIMEDOUT, 130 * NS_PER_S, RIG_TCP_SYN_SENT, -1 },
		{ RIG_ANSWER_SILENCE, 0, 0, RIG_TCP_SYN_SENT, -1 },
		{ RIG_ANSWER_ACCEPT, 0, 500 * NS_PER_MS, RIG_TCP_OPEN, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct rig_one one;

		rig_one_init(&one, &kept);
		one.guest.end = RIG_APP_END_NEVER;
		one.host.app.end = RIG_APP_END_NEVER;
		one.server.answer = cases[i].answer;
		one.server.error = cases[i].error;
		one.server.delay_ns = cases[i].delay_ns;
		rig_one_connect(&one);
		rig_time_run(&one.rig->time, 800 * NS_PER_MS);
		assert_int_equal(one.tcp.state, cases[i].after);
		assert_int_equal(guest_was_told(&one, 3, 0), cases[i].code == 0);
		assert_int_equal(guest_was_told(&one, 3, 1), cases[i].code == 1);
		if (cases[i].after != RIG_TCP_OPEN) {
			rig_tcp_done(&one.tcp); /* it does not try again */
			assert_well(rig_one_wait_clean(&one, 140 * NS_PER_S));
		}
		rig_one_done(&one);
	}
}

static bool lose_first_fin(void *context, const uint8_t *bytes, size_t size)
{
	unsigned *left = context;
	enum drop_reason reason;
	struct frame frame;
	struct tcp_header header;

	if (!frame_from_bytes(&frame, bytes, size, 0, &reason))
		return false;
	struct reader reader = frame_l4_reader(&frame);
	if (!tcp_parse(&reader, &header) || !(header.flags & TCP_FIN) || *left == 0)
		return false;
	(*left)--;
	return true;
}

static void test_lost_fin(void **state)
{
	(void)state;
	EACH_BACKLOG(config)
	{
		for (unsigned way = 0; way < 2; way++) {
			struct rig_one one;
			unsigned left = 2;

			rig_one_init(&one, config);
			rig_one_sizes(&one, 5000, 5000);
			struct rig_link *link = way == 0 ? &one.rig->up : &one.rig->down;
			link->lose = lose_first_fin;
			link->lose_context = &left;
			rig_one_connect(&one);
			assert_well(rig_one_finish(&one, 10 * NS_PER_S));
			assert_int_equal(left, 0);
			rig_one_done(&one);
		}
	}
}

/* FIN comes before the bytes it stands behind. */
static void test_fin_with_gap(void **state)
{
	struct rig_one one;
	uint8_t bytes[2000];

	(void)state;
	rig_one_init(&one, &kept);
	rig_one_sizes(&one, sizeof(bytes), 0);
	rig_pattern(1, 0, bytes, sizeof(bytes));
	one.guest.send_size = 0;
	one.guest.end = RIG_APP_END_NEVER;
	rig_one_connect(&one);
	assert_true(rig_one_is_open(&one));
	struct rig_raw raw = rig_one_raw(&one, TCP_ACK | TCP_FIN);
	raw.header.sequence += 1000;
	raw.payload = bytes + 1000;
	raw.size = 1000;
	rig_one_send_raw(&one, &raw);
	rig_time_run(&one.rig->time, NS_PER_S);
	assert_int_equal(one.peer->app.heard, 0);
	assert_false(one.peer->app.heard_end);
	raw.header.flags = TCP_ACK;
	raw.header.sequence -= 1000;
	raw.payload = bytes;
	rig_one_send_raw(&one, &raw);
	rig_time_run(&one.rig->time, NS_PER_S);
	assert_true(one.peer->app.heard_end);
	assert_int_equal(one.peer->app.heard, sizeof(bytes));
	assert_false(one.peer->app.mismatch);
	rig_one_done(&one);
}

/* The guest's FIN waits for a slow host; then the guest gives up. Its RST stands behind the FIN. */
static void test_reset_behind_fin(void **state)
{
	struct rig_one one;

	(void)state;
	rig_one_init(&one, &kept);
	rig_one_sizes(&one, 100000, 0);
	one.host.app.end = RIG_APP_END_NEVER;
	one.host.send_buffer = 3000;
	one.host.receive_capacity = 3000;
	one.host.app.interval_ns = 100 * NS_PER_S;
	one.host.app.read_chunk = 1;
	rig_one_connect(&one);
	assert_true(rig_one_is_open(&one));
	rig_time_run(&one.rig->time, 100 * NS_PER_MS);
	assert_true(one.tcp.fin_sent && !one.tcp.fin_acknowledged);
	rig_tcp_abort(&one.tcp);
	assert_well(rig_one_wait_clean(&one, NS_PER_S));
	rig_time_run(&one.rig->time, NS_PER_S);
	assert_true(one.peer->app.heard_reset);
	rig_one_done(&one);
}

static void half_close(const struct rig_config *config, bool guest_first, bool forward)
{
	struct rig_one one;

	rig_one_init(&one, config);
	rig_one_sizes(&one, guest_first ? 10 : 1000000, guest_first ? 1000000 : 10);
	/* The other one begins to talk long after. */
	struct rig_app_plan *second = guest_first ? &one.host.app : &one.guest;
	second->end = RIG_APP_END_AFTER_HEARD;
	second->interval_ns = 50 * NS_PER_MS;
	second->send_chunk = 20000;
	if (forward)
		rig_one_accept(&one);
	else
		rig_one_connect(&one);
	assert_well(rig_one_finish(&one, 100 * NS_PER_S));
	rig_one_done(&one);
}

static void test_half_close(void **state)
{
	(void)state;
	EACH_BACKLOG(config)
	{
		for (unsigned i = 0; i < 4; i++)
			half_close(config, i & 1, i & 2);
	}
}

static void test_simultaneous_close(void **state)
{
	(void)state;
	EACH_BACKLOG(config)
	{
		struct rig_one one;
		struct rig_config slow = *config;

		slow.up.delay_ns = slow.down.delay_ns = 100 * NS_PER_MS;
		rig_one_init(&one, &slow);
		rig_one_sizes(&one, 100, 100);
		rig_one_connect(&one);
		assert_well(rig_one_finish(&one, 10 * NS_PER_S));
		rig_one_done(&one);
	}
}

static struct rig_one *open_idle(const struct rig_config *config)
{
	struct rig_one *one = calloc(1, sizeof(*one));

	assert_non_null(one);
	rig_one_init(one, config);
	one->guest.end = RIG_APP_END_NEVER;
	one->host.app.end = RIG_APP_END_NEVER;
	rig_one_connect(one);
	assert_true(rig_one_is_open(one));
	return one;
}

static void close_idle(struct rig_one *one)
{
	rig_one_done(one);
	free(one);
}

/* A guest that came back knows nothing of the connection and answers the keepalive with RST. */
static void test_reboot(void **state)
{
	(void)state;
	struct rig_one *one = open_idle(&kept);

	rig_guest_forget(&one->rig->guest);
	assert_well(rig_one_wait_clean(one, 7300 * NS_PER_S));
	rig_time_run(&one->rig->time, NS_PER_S);
	assert_true(one->peer->app.heard_reset);
	close_idle(one);
}

/* A guest that stays away is given up after the probes. */
static void test_guest_away(void **state)
{
	(void)state;
	struct rig_one *one = open_idle(&kept);

	one->rig->guest.down = true;
	rig_time_run(&one->rig->time, 7200 * NS_PER_S);
	assert_false(rig_is_clean(one->rig));
	assert_well(rig_one_wait_clean(one, 1000 * NS_PER_S));
	close_idle(one);
}

/* ... and one that is there keeps its connection for a day. */
static void test_idle_is_kept(void **state)
{
	(void)state;
	struct rig_one *one = open_idle(&kept);

	rig_time_run(&one->rig->time, 86400 * NS_PER_S);
	assert_int_equal(one->tcp.state, RIG_TCP_OPEN);
	assert_false(one->peer->app.heard_reset);
	one->tcp.app.plan.end = RIG_APP_END_AFTER_SENT;
	one->tcp.app.kick(&one->tcp.app);
	rig_time_run(&one->rig->time, NS_PER_S);
	assert_true(one->peer->app.heard_end);
	close_idle(one);
}

/* The rebooted guest uses the very same port again: it must get through. */
static void test_reboot_same_port(void **state)
{
	(void)state;
	struct rig_one *one = open_idle(&kept);
	struct rig_tcp again;
	struct ip_endpoint own = one->tcp.local;
	struct rig_peer *old = one->peer;

	rig_guest_forget(&one->rig->guest);
	rig_tcp_connect(&again, &one->rig->guest, &own, &one->server.at, &one->options,
			&one->guest);
	rig_time_run(&one->rig->time, 5 * NS_PER_S);
	assert_int_equal(again.state, RIG_TCP_OPEN);
	assert_true(old->app.heard_reset);
	close_idle(one);
}

static void test_port_gone(void **state)
{
	(void)state;
	struct rig_one *one = open_idle(&kept);

	rig_port_gone(one->rig);
	rig_time_run(&one->rig->time, NS_PER_S);
	assert_true(one->peer->app.heard_reset);
	assert_null(rig_what_is_left(one->rig));
	close_idle(one);
}

/* The same four numbers again, at once: the old connection is in TIME_WAIT. */
static void test_port_reuse(void **state)
{
	struct rig_one one;

	(void)state;
	rig_one_init(&one, &kept);
	rig_one_sizes(&one, 1000, 1000);
	one.guest.end = RIG_APP_END_AFTER_HEARD; /* we close first, so TIME_WAIT is ours */
	rig_one_connect(&one);
	rig_time_run(&one.rig->time, NS_PER_S);
	assert_true(rig_tcp_is_content(&one.tcp));
	assert_int_equal(rig_tcp_table(one.rig)->time_wait_count, 1);

	struct ip_endpoint own = one.tcp.local;
	uint32_t last = one.tcp.send_most;
	rig_tcp_done(&one.tcp);
	one.options.random_initial = false;
	one.options.initial_sequence = last + 100;
	rig_tcp_connect(&one.tcp, &one.rig->guest, &own, &one.server.at, &one.options, &one.guest);
	one.peer = NULL;
	assert_well(rig_one_finish(&one, 2 * NS_PER_S));
	assert_int_equal(one.server.connections, 2);
	rig_one_done(&one);
}

/* An orderly stop: what was acknowledged still reaches a slow host. */
static void test_drain(void **state)
{
	struct rig_one one;

	(void)state;
	rig_one_init(&one, &kept);
	rig_one_sizes(&one, 200000, 0);
	one.host.app.end = RIG_APP_END_NEVER;
	one.host.app.interval_ns = 10 * NS_PER_MS;
	one.host.app.read_chunk = 2000;
	one.host.send_buffer = 4000;
	one.host.receive_capacity = 4000;
	rig_one_connect(&one);
	assert_true(rig_one_is_open(&one));
	rig_time_run(&one.rig->time, 200 * NS_PER_MS);
	assert_true(one.peer->app.heard < 200000);
	uint64_t acknowledged =
		one.tcp.send_unacknowledged - one.tcp.initial - 1 - (one.tcp.fin_acknowledged);
	nat_drain(one.rig->nat);
	assert_false(nat_is_drained(one.rig->nat));
	rig_time_run(&one.rig->time, 5 * NS_PER_S);
	assert_true(nat_is_drained(one.rig->nat));
	assert_true(one.peer->app.heard >= acknowledged - 8000);
	struct nat_statistics statistics;
	nat_get_statistics(one.rig->nat, &statistics);
	assert_int_equal(statistics.unsent_bytes, 0);
	rig_one_done(&one);
}

static void suspend(struct rig_one *one, bool is_suspended)
{
	struct rig_link *links[] = { &one->rig->up, &one->rig->down };

	for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
		if (is_suspended)
			rig_link_freeze(links[i]);
		else
			rig_link_thaw(links[i]);
	}
}

/* Bytes go both ways for some minutes, by a port that holds a few frames. */
static void begin_long(struct rig_one *one, const struct rig_config *backlog)
{
	struct rig_config config = *backlog;

	config.down.room = 20000;
	rig_one_init(one, &config);
	rig_one_sizes(one, 3000000, 3000000);
	one->options.timeouts_max = 1000; /* its clock stands still, too */
	one->guest.interval_ns = one->host.app.interval_ns = 10 * NS_PER_MS;
	one->guest.send_chunk = one->host.app.send_chunk = 2000;
	rig_one_connect(one);
	assert_true(rig_one_is_open(one));
	rig_time_run(&one->rig->time, 3 * NS_PER_S);
}

/* A VM that is suspended, for a minute or for ten, goes on as if nothing had been. */
static void test_suspended(void **state)
{
	(void)state;
	EACH_BACKLOG(config)
	{
		for (unsigned minutes = 1; minutes < 10; minutes += 2) {
			struct rig_one one;

			begin_long(&one, config);
			suspend(&one, true);
			rig_time_run(&one.rig->time, minutes * 60 * NS_PER_S);
			assert_int_equal(rig_tcp_table(one.rig)->live, 1);
			assert_true(one.tcp.app.heard < 3000000);
			suspend(&one, false);
			/* All of it within seconds: nobody waits for a timer that has backed off. */
			assert_well(rig_one_finish(&one, 5 * NS_PER_S));
			assert_int_equal(one.rig->drops.count[DROP_GUEST_STALLED], 0);
			rig_one_done(&one);
		}
	}
}

/* Longer than that: the far end is told, everything is given back, and the guest hears of it. */
static void test_suspended_for_too_long(void **state)
{
	(void)state;
	EACH_BACKLOG(config)
	{
		struct rig_one one;

		begin_long(&one, config);
		suspend(&one, true);
		rig_time_run(&one.rig->time, 12 * 60 * NS_PER_S);
		assert_true(one.peer->app.heard_reset);
		assert_well(rig_what_is_left(one.rig));
		assert_int_equal(one.rig->drops.count[DROP_GUEST_STALLED], 1);
		suspend(&one, false);
		rig_time_run(&one.rig->time, NS_PER_S);
		assert_int_equal(one.tcp.state, RIG_TCP_RESET);
		assert_well(rig_what_is_left(one.rig));
		rig_one_done(&one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset_by_host),
		cmocka_unit_test(test_reset_by_guest),
		cmocka_unit_test(test_reset_of_forward),
		cmocka_unit_test(test_connect_answers),
		cmocka_unit_test(test_lost_fin),
		cmocka_unit_test(test_fin_with_gap),
		cmocka_unit_test(test_reset_behind_fin),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_simultaneous_close),
		cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_guest_away),
		cmocka_unit_test(test_idle_is_kept),
		cmocka_unit_test(test_reboot_same_port),
		cmocka_unit_test(test_port_gone),
		cmocka_unit_test(test_port_reuse),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_suspended),
		cmocka_unit_test(test_suspended_for_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
