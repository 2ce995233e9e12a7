/*
 * Byte streams through NAT over bad wires. Each seed picks everything: who connects, sizes, pace,
 * half closes, buffers, the guest's TCP options, and what the wire loses, repeats and mixes up.
 * Bytes must be equal at both ends, the stream must end, and nothing may be left of it.
 *
 *     test_tcp_streams kept|peek FIRST_SEED COUNT [whole]
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig/rig.h"

#define RUN_FLOWS_MAX 4
#define RUN_NS	      (4 * 3600 * NS_PER_S)
#define RUN_AFTER_NS  (300 * NS_PER_S)
#define SERVER_PORT   80
#define FORWARD_PORT  2222
#define FIRST_PORT    40000
#define STREAM_SIZE   200000

static enum nat_backlog run_backlog;
static uint64_t run_first = 1;
static uint64_t run_count = 50;
static bool run_whole;
static uint64_t held_in_vain;
static uint64_t frames_lost;

struct run_flow {
	bool from_guest;
	struct rig_tcp tcp;
	struct rig_server server; /* of a connection from the guest; each has its own port */
	struct rig_peer *peer;	  /* of a connection to the guest */
	struct rig_app_plan guest;
	struct rig_peer_plan host;
};

struct run {
	uint64_t seed;
	struct rig *rig;
	size_t count;
	struct run_flow flow[RUN_FLOWS_MAX];
};

static uint32_t any(struct run *run, uint32_t bound)
{
	return random_below(&run->rig->random.random, bound);
}

static bool chance(struct run *run, uint32_t one_in)
{
	return any(run, one_in) == 0;
}

static struct rig_link_model any_link(struct random *random)
{
	/* A third of all runs each: clean, bad, very bad. */
	static const uint32_t most[3] = { 0, 20000, 120000 };
	uint32_t worst = most[random_below(random, 3)] + 1;

	return (struct rig_link_model){
		.loss = random_below(random, worst),
		.duplicate = random_below(random, worst),
		.reorder = random_below(random, worst),
		.reorder_ns = 1 + random_below(random, 30) * NS_PER_MS,
		.delay_ns = random_below(random, 5) * NS_PER_MS,
		.bytes_per_s = random_below(random, 3) == 0 ? 1000000 : 0,
	};
}

static struct rig_config any_config(uint64_t seed)
{
	struct random_seeded random;
	struct rig_config config = { .seed = seed, .backlog = run_backlog, .whole = run_whole };

	random_seeded_init(&random, seed ^ 0x5eed);
	config.up = any_link(&random.random);
	config.down = any_link(&random.random);
	if (random_below(&random.random, 3) == 0)
		config.down.room = 3000 + random_below(&random.random, 100000);
	config.mtu = random_below(&random.random, 4) == 0 ? 9000 : 1500;
	return config;
}

static struct rig_tcp_options any_options(struct run *run)
{
	uint16_t mtu = (uint16_t)(run->rig->config.mtu > 0 ? run->rig->config.mtu : 1500);

	struct rig_tcp_options options = {
		.mtu = mtu,
		.mss = (uint16_t)(chance(run, 8) ? 0 : 200 + any(run, mtu - 240U + 1)),
		.window_scale = (int)any(run, 16) - 1,
		.receive_capacity = 2000 + any(run, chance(run, 2) ? 10000 : 400000),
		.drop_out_of_order = chance(run, 4),
		.delay_acks = chance(run, 2),
		.probe_with_byte = chance(run, 2),
		.offer_sack = chance(run, 2),
		.offer_timestamps = chance(run, 2),
		.random_initial = chance(run, 2),
		.initial_sequence = UINT32_MAX - any(run, 5000),
	};
	/* Nobody picks a scale in which the own buffer is nothing. */
	while (options.window_scale > 0 && options.receive_capacity >> options.window_scale < 4)
		options.window_scale--;
	return options;
}

static uint64_t any_size(struct run *run)
{
	if (chance(run, 8))
		return 0;
	/* Now and then more than any buffer holds. */
	if (chance(run, 20))
		return any(run, 16 * STREAM_SIZE);
	return any(run, chance(run, 3) ? 3000 : STREAM_SIZE);
}

static void any_pace(struct run *run, struct rig_app_plan *plan)
{
	if (!chance(run, 3))
		return;
	plan->interval_ns = (1 + any(run, 50)) * NS_PER_MS;
	plan->send_chunk = chance(run, 2) ? 1 + any(run, 20000) : 0;
	plan->read_chunk = chance(run, 2) ? 1000 + any(run, 20000) : 0;
}

static void any_stream(struct run *run, struct run_flow *flow)
{
	struct rig_app_plan *guest = &flow->guest;
	struct rig_app_plan *host = &flow->host.app;

	guest->send_seed = host->expect_seed = run->seed * 16 + run->count * 2;
	host->send_seed = guest->expect_seed = guest->send_seed + 1;
	guest->send_size = host->expect_size = any_size(run);
	host->send_size = guest->expect_size = any_size(run);
	if (chance(run, 6)) {
		host->echo = true;
		host->send_seed = host->expect_seed = guest->expect_seed = guest->send_seed;
		guest->expect_size = guest->send_size;
	}
	any_pace(run, guest);
	any_pace(run, host);
	/* Who ends first: both at once, the guest, or the host. An echo ends second by itself. */
	if (chance(run, 3) && !host->echo)
		guest->end = RIG_APP_END_AFTER_HEARD;
	else if (chance(run, 2))
		host->end = RIG_APP_END_AFTER_HEARD;
	flow->host.delay_ns = any(run, 10) * NS_PER_MS;
	flow->host.send_buffer = 2000 + any(run, chance(run, 2) ? 8000 : 100000);
	flow->host.receive_buffer = 2000 + any(run, chance(run, 2) ? 8000 : 200000);
	flow->host.receive_capacity = 1000 + any(run, 60000);
}

static void start_flow(struct run *run, uint16_t number)
{
	struct run_flow *flow = &run->flow[number];
	struct rig *rig = run->rig;
	struct rig_tcp_options options = any_options(run);
	struct ip_endpoint own = rig_guest_endpoint(rig, (uint16_t)(FIRST_PORT + number));
	struct ip_endpoint far = rig_endpoint(RIG_ADDR_SERVER, (uint16_t)(SERVER_PORT + number));

	if (flow->from_guest) {
		flow->server = (struct rig_server){
			.at = far,
			.delay_ns = any(run, 20) * NS_PER_MS,
			.plan = flow->host,
		};
		rig_host_add_server(&rig->host, &flow->server);
		rig_tcp_connect(&flow->tcp, &rig->guest, &own, &far, &options, &flow->guest);
		return;
	}
	far = rig_endpoint(RIG_ADDR_HOST, (uint16_t)(FORWARD_PORT + number));
	rig_forward(rig, far.port, own.port);
	rig_tcp_listen(&flow->tcp, &rig->guest, &own, &options, &flow->guest);
	struct ip_endpoint client = rig_endpoint(RIG_ADDR_CLIENT, 50000);
	flow->peer = rig_host_client(&rig->host, &client, &far, &flow->host);
}

static struct rig_peer *peer_of(const struct run_flow *flow)
{
	return flow->from_guest ? flow->server.last : flow->peer;
}

/* A forward's client is held for 3 s; a wire that is bad enough can lose every SYN of these. */
static bool was_held_in_vain(const struct run_flow *flow)
{
	return !flow->from_guest && flow->peer->app.heard_reset && flow->peer->app.heard == 0 &&
	       flow->tcp.connected_ns == 0 && flow->tcp.state != RIG_TCP_SYN_RECEIVED;
}

static bool run_is_over(void *context)
{
	struct run *run = context;

	for (size_t i = 0; i < run->count; i++) {
		const struct run_flow *flow = &run->flow[i];
		const struct rig_peer *peer = peer_of(flow);

		if (was_held_in_vain(flow))
			continue;
		if (!rig_tcp_is_over(&flow->tcp) || !peer || !rig_peer_is_over(peer))
			return false;
	}
	return true;
}

static bool run_is_clean(void *context)
{
	return rig_is_clean(((struct run *)context)->rig);
}

static void explain(const struct run *run, const struct run_flow *flow, const char *what)
{
	const struct rig_peer *peer = peer_of(flow);

	fail_msg("seed %llu, %s: %s. guest: %s, heard %llu of %llu%s, sent %llu of %llu, fault %s. "
		 "host: heard %llu of %llu%s%s, sent %llu of %llu%s",
		 (unsigned long long)run->seed, flow->from_guest ? "outbound" : "forward", what,
		 rig_tcp_state_name(flow->tcp.state), (unsigned long long)flow->tcp.app.heard,
		 (unsigned long long)flow->guest.expect_size,
		 flow->tcp.app.mismatch	   ? " WRONG BYTES"
		 : flow->tcp.app.heard_end ? " end"
					   : "",
		 (unsigned long long)flow->tcp.app.sent, (unsigned long long)flow->guest.send_size,
		 flow->tcp.fault ? flow->tcp.fault : "none",
		 (unsigned long long)(peer ? peer->app.heard : 0),
		 (unsigned long long)flow->host.app.expect_size,
		 peer && peer->app.mismatch ? " WRONG BYTES" : "",
		 peer && peer->app.heard_reset ? " RST"
		 : peer && peer->app.heard_end ? " end"
					       : "",
		 (unsigned long long)(peer ? peer->app.sent : 0),
		 (unsigned long long)flow->host.app.send_size,
		 peer && peer->finished ? " end" : "");
}

static void judge(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		struct run_flow *flow = &run->flow[i];
		const struct rig_peer *peer = peer_of(flow);

		if (was_held_in_vain(flow)) {
			held_in_vain++;
			continue;
		}
		if (!rig_tcp_is_content(&flow->tcp))
			explain(run, flow, "the guest is not content");
		if (!peer || !rig_peer_is_content(peer))
			explain(run, flow, "the host is not content");
	}
	if (run->rig->guest.bad_frames > 0 || run->rig->port.refused > 0)
		fail_msg("seed %llu: broken frames", (unsigned long long)run->seed);
	if (!rig_time_run_until(&run->rig->time, run_is_clean, run, RUN_AFTER_NS))
		fail_msg("seed %llu: %s is left", (unsigned long long)run->seed,
			 rig_what_is_left(run->rig));
}

static void one_run(uint64_t seed)
{
	struct rig_config config = any_config(seed);
	struct run *run = calloc(1, sizeof(*run));

	assert_non_null(run);
	run->seed = seed;
	run->rig = rig_new(&config);
	/* The guest is heard before a client comes; DHCP sees to that else. */
	if (run_whole)
		for (unsigned i = 0; i < 5; i++)
			rig_guest_announce(&run->rig->guest);
	rig_time_run(&run->rig->time, NS_PER_S);
	size_t count = 1 + (chance(run, 3) ? any(run, RUN_FLOWS_MAX) : 0);
	for (uint16_t i = 0; i < count; i++) {
		run->flow[i].from_guest = chance(run, 2);
		any_stream(run, &run->flow[i]);
		run->count++;
		start_flow(run, i);
	}
	(void)rig_time_run_until(&run->rig->time, run_is_over, run, RUN_NS);
	judge(run);
	frames_lost += run->rig->up.lost + run->rig->down.lost;
	rig_free(run->rig);
	free(run);
}

static void test_streams(void **state)
{
	(void)state;
	for (uint64_t seed = run_first; seed < run_first + run_count; seed++)
		one_run(seed);
	printf("# %llu runs, %llu frames lost, %llu clients held in vain\n",
	       (unsigned long long)run_count, (unsigned long long)frames_lost,
	       (unsigned long long)held_in_vain);
	assert_true(frames_lost >= run_count / 10);
	/* An excuse that is used often is a bug. */
	assert_true(held_in_vain * 20 <= run_count);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_streams) };

	static const char *const names[] = { "kept", "peek", "adaptive" }; /* enum nat_backlog */

	for (size_t i = 0; argc > 1 && i < ARRAY_COUNT(names); i++)
		if (strcmp(argv[1], names[i]) == 0)
			run_backlog = (enum nat_backlog)i;
	if (argc > 2)
		run_first = strtoull(argv[2], NULL, 10);
	if (argc > 3)
		run_count = strtoull(argv[3], NULL, 10);
	run_whole = argc > 4 && strcmp(argv[4], "whole") == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
