/*
 * The rules change under very many flows: what they forbid is cut off at that moment and ends soon, both
 * sides hear RST, and the others are not kept waiting.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "nat/review.h"
#include "nat/tcp_flow.h"
#include "rig/rig_one.h"

#define MANY	     100000
#define OTHERS	     1000
#define CAPACITY     131072
#define HALF_OPEN    1024
#define PORT_FIRST   1024
#define PORTS	     60000
#define BATCH	     128
#define OPEN_NS	     (10 * NS_PER_MS)
#define SLICE_NS     (2 * NS_PER_MS) /* what a slice is meant to take */
#define FORBIDDEN    RIG_ADDR_SERVER /* and the addresses behind it */
#define ALLOWED	     (RIG_ADDR_SERVER + 100)
#define SERVER_PORT  80
#define RESET_OFFSET (14 + 20 + 13) /* the flags of TCP behind headers without options */

struct crowd {
	struct rig *rig;
	struct rig_server server; /* any address */
	bool forbids;
	uint64_t asked;
	uint64_t resets; /* that the guest heard */
	uint64_t heard;	 /* packets that were dealt with */
	uint32_t opened;
	struct ip_endpoint at;	/* where the last one went */
	struct ip_endpoint own; /* where it came from */
	struct tcp_header last; /* what it would say next */
};

static bool admits(void *context, const struct nat_question *question)
{
	struct crowd *crowd = context;
	uint32_t to = ip_addr_to_v4(&question->remote.addr);

	crowd->asked++;
	return !crowd->forbids || to < FORBIDDEN || to >= ALLOWED;
}

/* Counts what is on its way to the guest, and loses nothing. */
static bool count_resets(void *context, const uint8_t *bytes, size_t size)
{
	struct crowd *crowd = context;

	crowd->resets += size > RESET_OFFSET && (bytes[RESET_OFFSET] & TCP_RST) != 0;
	return false;
}

static void start(struct crowd *crowd, const struct rig_link_model *down)
{
	const struct rig_config config = {
		.seed = 1,
		.whole = true,
		.flow_capacity = CAPACITY,
		.half_open_capacity = HALF_OPEN,
		.admits = admits,
		.admits_context = crowd,
		.down = *down,
	};

	memset(crowd, 0, sizeof(*crowd));
	crowd->rig = rig_new(&config);
	crowd->rig->guest.silent = true;
	crowd->rig->down.lose = count_resets;
	crowd->rig->down.lose_context = crowd;
	crowd->server.at = rig_endpoint(0, SERVER_PORT);
	crowd->server.plan.app.end = RIG_APP_END_NEVER;
	crowd->server.plan.app.expect_size = RIG_NEVER;
	crowd->server.plan.send_buffer = crowd->server.plan.receive_buffer = 64;
	rig_host_add_server(&crowd->rig->host, &crowd->server);
	rig_guest_announce(&crowd->rig->guest);
	rig_time_run(&crowd->rig->time, NS_PER_MS);
}

static void say(struct crowd *crowd, const struct ip_endpoint *own, const struct ip_endpoint *to,
		const struct tcp_header *header, const char *text)
{
	const struct rig_raw raw = {
		.header = *header,
		.payload = (const uint8_t *)text,
		.size = strlen(text),
	};

	rig_guest_send_raw(&crowd->rig->guest, own, to, &raw);
}

/* Completes the handshakes whose answers came. */
static void acknowledge(struct crowd *crowd)
{
	struct rig_guest *guest = &crowd->rig->guest;

	for (; crowd->heard < guest->heard_count; crowd->heard++) {
		const struct rig_heard *heard = rig_guest_heard(guest, crowd->heard);

		assert_non_null(heard);
		assert_int_equal(heard->tcp.flags & (TCP_SYN | TCP_ACK), TCP_SYN | TCP_ACK);
		crowd->own = rig_guest_endpoint(crowd->rig, heard->packet.port_destination);
		crowd->at =
			(struct ip_endpoint){ heard->packet.ip_source, heard->packet.port_source };
		crowd->last = (struct tcp_header){
			.flags = TCP_ACK,
			.sequence = heard->tcp.acknowledgement,
			.acknowledgement = heard->tcp.sequence + 1,
			.window = UINT16_MAX,
		};
		say(crowd, &crowd->own, &crowd->at, &crowd->last, "");
	}
}

static void open_flows(struct crowd *crowd, uint32_t first, uint32_t count)
{
	const struct tcp_header syn = { .flags = TCP_SYN, .window = UINT16_MAX };

	for (uint32_t i = 0; i < count; i++) {
		const struct ip_endpoint own =
			rig_guest_endpoint(crowd->rig, (uint16_t)(PORT_FIRST + i % PORTS));
		const struct ip_endpoint to = rig_endpoint(first + i / PORTS, SERVER_PORT);

		say(crowd, &own, &to, &syn, "");
		if (i % BATCH != BATCH - 1 && i != count - 1)
			continue;
		rig_time_run(&crowd->rig->time, OPEN_NS);
		acknowledge(crowd);
	}
	rig_time_run(&crowd->rig->time, OPEN_NS);
	crowd->opened += count;
	assert_int_equal(rig_tcp_table(crowd->rig)->live, crowd->opened);
}

static void forbid(struct crowd *crowd)
{
	crowd->forbids = true;
	nat_review(crowd->rig->nat, NAT_HOST_ACCESS_NONE);
}

static uint32_t live(const struct crowd *crowd)
{
	return rig_tcp_table(crowd->rig)->live;
}

/* One turn of the loop, which takes some time. Returns how many flows ended in it. */
static uint32_t turn(struct crowd *crowd)
{
	uint32_t before = live(crowd);

	crowd->rig->time.now_ns += SLICE_NS;
	assert_int_equal(loop_run_once(crowd->rig->time.loop, 0), 0);
	return before - live(crowd);
}

static double thread_ms(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Whoever is forbidden has heard RST, the others have not. */
static void check_peers(struct crowd *crowd, uint64_t forbidden)
{
	uint64_t reset = 0;

	for (struct list *node = crowd->rig->host.peers.next; node != &crowd->rig->host.peers;
	     node = node->next) {
		const struct rig_peer *peer = container_of(node, struct rig_peer, node);

		if (ip_addr_to_v4(&peer->local.addr) < ALLOWED) {
			assert_true(peer->app.heard_reset);
			reset++;
		} else {
			assert_false(peer->app.heard_reset);
			assert_false(peer->engine_closed);
		}
	}
	assert_int_equal(reset, forbidden);
}

static void test_many_end(void **state)
{
	const struct rig_link_model down = { 0 };
	const uint32_t most_in_a_turn =
		REVIEW_CREDIT / REVIEW_END_COSTS + 2; /* two by their bytes */
	struct crowd crowd;
	uint32_t turns = 0;

	(void)state;
	start(&crowd, &down);
	open_flows(&crowd, FORBIDDEN, MANY);
	const struct rig_peer *forbidden_peer = crowd.server.last;
	const struct tcp_header forbidden_next = crowd.last;
	const struct ip_endpoint forbidden_own = crowd.own;
	const struct ip_endpoint forbidden_at = crowd.at;
	open_flows(&crowd, ALLOWED, OTHERS);
	const struct rig_peer *allowed_peer = crowd.server.last;
	assert_int_equal(crowd.resets, 0);

	/* At that moment nothing is done for any of them, so nobody waits for it. */
	uint64_t asked = crowd.asked;
	forbid(&crowd);
	assert_int_equal(crowd.asked, asked);
	assert_int_equal(live(&crowd), MANY + OTHERS);
	assert_false(nat_is_reviewed(crowd.rig->nat));

	/* The sweep has just begun; both are far behind where it is. The first byte of the one passes, that of the
	 * other is the end of it. */
	(void)turn(&crowd);
	say(&crowd, &crowd.own, &crowd.at, &crowd.last, "a");
	say(&crowd, &forbidden_own, &forbidden_at, &forbidden_next, "f");
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(turn(&crowd), 1, most_in_a_turn);
	assert_true(live(&crowd) > MANY - 10 * most_in_a_turn);
	assert_int_equal(allowed_peer->arrived, 1);
	assert_int_equal(forbidden_peer->arrived, 0);
	assert_true(forbidden_peer->app.heard_reset);

	double before_ms = thread_ms();
	uint32_t before = live(&crowd);
	while (!nat_is_reviewed(crowd.rig->nat)) {
		assert_in_range(turn(&crowd), 0, most_in_a_turn);
		turns++;
	}
	print_message("# %u flows ended in %u slices, %.0f ms with this fake host\n",
		      before - live(&crowd), turns, thread_ms() - before_ms);
	assert_in_range(turns, 1, (MANY + OTHERS) / (REVIEW_CREDIT / (REVIEW_END_COSTS + 2)));
	rig_time_run(&crowd.rig->time, OPEN_NS);
	assert_int_equal(live(&crowd), OTHERS);
	assert_int_equal(crowd.resets, MANY);
	assert_int_equal(crowd.rig->drops.count[DROP_FILTERED], MANY);
	check_peers(&crowd, MANY);
	rig_free(crowd.rig);
}

/* Other rules while the sweep is under way: it begins anew, and by those. */
static void test_rules_change_again(void **state)
{
	const struct rig_link_model down = { 0 };
	struct crowd crowd;

	(void)state;
	start(&crowd, &down);
	open_flows(&crowd, FORBIDDEN, 1000);
	forbid(&crowd);
	uint32_t ended = turn(&crowd) + turn(&crowd);
	assert_in_range(ended, 2, 999);
	crowd.forbids = false;
	nat_review(crowd.rig->nat, NAT_HOST_ACCESS_NONE);
	while (!nat_is_reviewed(crowd.rig->nat))
		assert_int_equal(turn(&crowd), 0);
	assert_int_equal(live(&crowd), 1000 - ended);
	forbid(&crowd);
	rig_time_run(&crowd.rig->time, OPEN_NS);
	assert_true(nat_is_reviewed(crowd.rig->nat));
	assert_int_equal(live(&crowd), 0);
	assert_int_equal(crowd.resets, 1000);
	rig_free(crowd.rig);
}

#define FEW	  50
#define FEW_FIT	  10
#define RST_SIZE  60 /* the shortest frame */
#define WAIT_MOST (REVIEW_WAIT_NS + 10 * NS_PER_MS)

/* The guest's port takes a few frames and no more. */
static void start_few(struct crowd *crowd)
{
	const struct rig_link_model down = { .room = (size_t)BATCH * RST_SIZE };

	start(crowd, &down);
	open_flows(crowd, FORBIDDEN, FEW);
	crowd->rig->down.model.room = (size_t)FEW_FIT * RST_SIZE;
	rig_link_freeze(&crowd->rig->down);
	forbid(crowd);
	rig_time_run(&crowd->rig->time, NS_PER_MS);
	assert_int_equal(live(crowd), FEW - FEW_FIT);
}

static void test_full_port_is_awaited(void **state)
{
	struct crowd crowd;

	(void)state;
	start_few(&crowd);
	rig_link_thaw(&crowd.rig->down);
	rig_time_run(&crowd.rig->time, NS_PER_MS);
	assert_int_equal(live(&crowd), 0);
	assert_int_equal(crowd.resets, FEW);
	assert_int_equal(crowd.rig->port.overflows, 0);
	check_peers(&crowd, FEW);
	rig_free(crowd.rig);
}

/* One that says again and again that it has room is not awaited for ever. */
static void test_slow_port_is_not_awaited_for_ever(void **state)
{
	struct crowd crowd;

	(void)state;
	start_few(&crowd);
	for (uint64_t ns = 0; ns < REVIEW_PATIENCE_NS - REVIEW_WAIT_NS; ns += REVIEW_WAIT_NS / 2) {
		nat_port_ready(crowd.rig->nat, crowd.rig->guest_port);
		rig_time_run(&crowd.rig->time, REVIEW_WAIT_NS / 2);
		assert_int_equal(live(&crowd), FEW - FEW_FIT);
	}
	nat_port_ready(crowd.rig->nat, crowd.rig->guest_port);
	rig_time_run(&crowd.rig->time, WAIT_MOST);
	assert_int_equal(live(&crowd), 0);
	check_peers(&crowd, FEW);
	rig_free(crowd.rig);
}

/* A guest that takes nothing does not hold up the ends of the peers. */
static void test_stuck_port_is_not_awaited_for_long(void **state)
{
	struct crowd crowd;

	(void)state;
	start_few(&crowd);
	rig_time_run(&crowd.rig->time, WAIT_MOST);
	assert_int_equal(live(&crowd), 0);
	assert_int_equal(crowd.rig->port.overflows, FEW - FEW_FIT);
	check_peers(&crowd, FEW);
	rig_free(crowd.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_end),
		cmocka_unit_test(test_rules_change_again),
		cmocka_unit_test(test_full_port_is_awaited),
		cmocka_unit_test(test_slow_port_is_not_awaited_for_ever),
		cmocka_unit_test(test_stuck_port_is_not_awaited_for_long),
	};

	return cmocka_run_group_tests_name("review", tests, NULL, NULL);
}
