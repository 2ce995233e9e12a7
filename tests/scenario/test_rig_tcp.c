/* The rig itself: the guest's TCP against another of its kind over a bad wire. What it says about
 * the TCP under test is worth as much as this. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "rig/rig_guest.h"
#include "rig/rig_tcp.h"

struct pair {
	struct rig_time time;
	struct random_seeded random;
	struct rig_link link[2]; /* [i] leads away from guest i */
	struct rig_guest guest[2];
	struct rig_tcp tcp[2];
};

static struct pair *pair_new(uint64_t seed, const struct rig_link_model *model)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	rig_time_init(&pair->time);
	random_seeded_init(&pair->random, seed);
	for (size_t i = 0; i < 2; i++) {
		struct ip_addr addr = ip_addr_from_v4(0x0a000001 + (uint32_t)i);

		rig_link_init(&pair->link[i], &pair->time, &pair->random.random, model);
		rig_guest_init(&pair->guest[i], &pair->time, &pair->random.random, &addr,
			       &pair->link[i]);
		pair->guest[i].mac.octet[5] = (uint8_t)i;
		pair->guest[i].gateway_mac.octet[5] = (uint8_t)(1 - i);
		pair->link[i].deliver = rig_guest_deliver;
		pair->link[i].context = &pair->guest[1 - i];
	}
	return pair;
}

static void pair_free(struct pair *pair)
{
	for (size_t i = 0; i < 2; i++) {
		rig_guest_forget(&pair->guest[i]);
		rig_link_done(&pair->link[i]);
	}
	rig_time_done(&pair->time);
	free(pair);
}

static void pair_open(struct pair *pair, const struct rig_tcp_options options[2],
		      const struct rig_app_plan plan[2])
{
	struct ip_endpoint client = { pair->guest[0].addr, 40000 };
	struct ip_endpoint server = { pair->guest[1].addr, 80 };

	rig_tcp_listen(&pair->tcp[1], &pair->guest[1], &server, &options[1], &plan[1]);
	rig_tcp_connect(&pair->tcp[0], &pair->guest[0], &client, &server, &options[0], &plan[0]);
}

static bool pair_is_over(void *context)
{
	struct pair *pair = context;

	return rig_tcp_is_over(&pair->tcp[0]) && rig_tcp_is_over(&pair->tcp[1]);
}

static const struct rig_tcp_options plain = {
	.mss = 1460, .window_scale = 7, .receive_capacity = 200000, .random_initial = true
};

static void assert_content(const struct pair *pair, uint64_t seed)
{
	for (size_t i = 0; i < 2; i++) {
		const struct rig_tcp *tcp = &pair->tcp[i];

		if (!rig_tcp_is_content(tcp))
			fail_msg("seed %llu, end %zu: %s, heard %llu of %llu, fault %s, %s",
				 (unsigned long long)seed, i, rig_tcp_state_name(tcp->state),
				 (unsigned long long)tcp->app.heard,
				 (unsigned long long)tcp->app.plan.expect_size,
				 tcp->fault ? tcp->fault : "none",
				 tcp->app.mismatch ? "bytes differ" : "bytes equal");
		assert_int_equal(pair->guest[i].bad_frames, 0);
	}
}

static void test_clean_wire(void **state)
{
	struct rig_link_model model = { .delay_ns = NS_PER_MS };
	struct rig_tcp_options options[2] = { plain, plain };
	struct rig_app_plan plan[2] = {
		{ .send_seed = 1, .send_size = 300000, .expect_seed = 2, .expect_size = 70000 },
		{ .send_seed = 2, .send_size = 70000, .expect_seed = 1, .expect_size = 300000 },
	};
	struct pair *pair = pair_new(1, &model);

	(void)state;
	pair_open(pair, options, plan);
	assert_true(rig_time_run_until(&pair->time, pair_is_over, pair, 10 * NS_PER_S));
	assert_content(pair, 1);
	assert_int_equal(pair->tcp[0].retransmissions, 0);
	assert_int_equal(pair->tcp[1].retransmissions, 0);
	pair_free(pair);
}

static struct rig_tcp_options any_options(struct random *random)
{
	return (struct rig_tcp_options){
		.mss = (uint16_t)(random_below(random, 8) == 0 ? 0
							       : 100 + random_below(random, 1361)),
		.window_scale = (int)random_below(random, 16) - 1,
		.receive_capacity = 1000 + random_below(random, 300000),
		.drop_out_of_order = random_below(random, 3) == 0,
		.delay_acks = random_below(random, 2) == 0,
		.probe_with_byte = random_below(random, 2) == 0,
		.random_initial = random_below(random, 2) == 0,
		.initial_sequence = UINT32_MAX - random_below(random, 2000),
	};
}

static void one_run(uint64_t seed)
{
	struct rig_link_model model = {
		.loss = (uint32_t)(seed % 4) * 20000,
		.duplicate = (uint32_t)(seed % 3) * 20000,
		.reorder = (uint32_t)(seed % 5) * 30000,
		.reorder_ns = 20 * NS_PER_MS,
		.delay_ns = 2 * NS_PER_MS,
	};
	struct pair *pair = pair_new(seed, &model);
	struct random *random = &pair->random.random;
	struct rig_tcp_options options[2] = { any_options(random), any_options(random) };
	uint64_t size[2] = { random_below(random, 60000), random_below(random, 60000) };
	struct rig_app_plan plan[2];

	for (size_t i = 0; i < 2; i++)
		plan[i] = (struct rig_app_plan){
			.send_seed = 2 * seed + i,
			.send_size = size[i],
			.expect_seed = 2 * seed + 1 - i,
			.expect_size = size[1 - i],
			.interval_ns = random_below(random, 3) == 0 ? 30 * NS_PER_MS : 0,
			.send_chunk = random_below(random, 2) == 0 ? 3000 : 0,
			.read_chunk = random_below(random, 2) == 0 ? 2000 : 0,
		};
	plan[seed % 2].end = seed % 3 == 0 ? RIG_APP_END_AFTER_HEARD : RIG_APP_END_AFTER_SENT;
	pair_open(pair, options, plan);
	(void)rig_time_run_until(&pair->time, pair_is_over, pair, 3600 * NS_PER_S);
	assert_content(pair, seed);
	pair_free(pair);
}

static void test_bad_wires(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++)
		one_run(seed);
}

/* The judge must judge: a far end that sends beyond the window is found out. */
static void test_faults(void **state)
{
	struct rig_link_model model = { .delay_ns = NS_PER_MS };
	struct rig_tcp_options options[2] = { plain, plain };
	struct rig_app_plan plan[2] = {
		{ .end = RIG_APP_END_NEVER, .expect_size = RIG_NEVER },
		{ .end = RIG_APP_END_NEVER, .expect_size = RIG_NEVER },
	};
	uint8_t bytes[8] = {};
	struct pair *pair = pair_new(1, &model);

	(void)state;
	pair_open(pair, options, plan);
	rig_time_run(&pair->time, NS_PER_S);
	assert_int_equal(pair->tcp[0].state, RIG_TCP_OPEN);
	struct rig_raw raw = {
		.header = { .flags = TCP_ACK,
			    .sequence = pair->tcp[1].receive_edge,
			    .acknowledgement = pair->tcp[1].send_next,
			    .window = 1000 },
		.payload = bytes,
		.size = sizeof(bytes),
	};
	rig_guest_send_raw(&pair->guest[0], &pair->tcp[0].local, &pair->tcp[0].remote, &raw);
	rig_time_run(&pair->time, NS_PER_S);
	assert_string_equal(pair->tcp[1].fault, "data beyond the window");

	pair->tcp[1].fault = NULL;
	raw.header.sequence = pair->tcp[1].receive_next;
	raw.header.acknowledgement = pair->tcp[1].send_most + 1;
	rig_guest_send_raw(&pair->guest[0], &pair->tcp[0].local, &pair->tcp[0].remote, &raw);
	rig_time_run(&pair->time, NS_PER_S);
	assert_string_equal(pair->tcp[1].fault, "acknowledges what was never sent");

	raw.header.acknowledgement = pair->tcp[1].send_next;
	rig_guest_send_raw(&pair->guest[0], &pair->tcp[0].local, &pair->tcp[0].remote, &raw);
	rig_time_run(&pair->time, NS_PER_S);
	assert_true(pair->tcp[1].app.mismatch);
	pair_free(pair);
}

static void test_reset_and_refusal(void **state)
{
	struct rig_link_model model = { .delay_ns = NS_PER_MS };
	struct rig_tcp_options options[2] = { plain, plain };
	struct rig_app_plan plan[2] = {
		{ .send_size = 100000, .expect_size = RIG_NEVER, .reset_after_sent = 30000 },
		{ .expect_size = RIG_NEVER, .end = RIG_APP_END_NEVER },
	};
	struct pair *pair = pair_new(1, &model);

	(void)state;
	pair_open(pair, options, plan);
	rig_time_run(&pair->time, 2 * NS_PER_S);
	assert_int_equal(pair->tcp[1].state, RIG_TCP_RESET);
	assert_true(pair->tcp[1].app.heard_reset);

	struct rig_tcp other;
	struct ip_endpoint nobody = { pair->guest[1].addr, 81 };
	struct ip_endpoint from = { pair->guest[0].addr, 40001 };
	rig_tcp_connect(&other, &pair->guest[0], &from, &nobody, &plain, &plan[1]);
	rig_time_run(&pair->time, NS_PER_S);
	assert_int_equal(other.state, RIG_TCP_RESET);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_wire),
		cmocka_unit_test(test_bad_wires),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_reset_and_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
