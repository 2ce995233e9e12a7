/* The door: what is let in, the end of flows, the orderly stop. */
#include "world.h"

#include "nat/icmp_flow.h"
#include "nat/udp.h"
#include "wire/packet_build.h"

static void push(struct frame *frame)
{
	frame->port = WORLD_PORT;
	frame_sink_push(nat_guest_side(world->nat), frame);
	world_run();
}

static void build(struct frame *frame, const struct iovec *payload)
{
	const struct packet_link link = {};
	const struct ip_endpoint from = at(GUEST, 5000);
	const struct ip_endpoint to = at(REMOTE, 7);

	assert_true(packet_build_udp(frame, &link, &from, &to, payload, 1));
}

static void what_is_not_carried(void **state)
{
	static char bytes[3000];
	struct iovec payload = { bytes, sizeof(bytes) };
	struct frame frame;

	(void)state;
	build(&frame, &payload);
	frame.packet.ip_protocol = 47; /* GRE */
	push(&frame);
	build(&frame, &payload);
	frame.packet.kind = PACKET_IPV6;
	push(&frame);
	build(&frame, &payload);
	frame.packet.has_l4 = false;
	push(&frame);
	assert_int_equal(world_drops(DROP_UNKNOWN_PROTOCOL), 3);
	/* Marks that contradict the frame. */
	build(&frame, &payload);
	frame.offload.gso = FRAME_GSO_TCP4;
	frame.offload.gso_size = 1000;
	push(&frame);
	assert_int_equal(world_drops(DROP_BAD_OFFLOAD), 1);
	build(&frame, &payload);
	frame.offload.gso = FRAME_GSO_UDP;
	push(&frame);
	assert_int_equal(world_drops(DROP_BAD_OFFLOAD), 2);
	expect_silence();
	build(&frame, &payload);
	push(&frame);
	assert_int_equal(must_send()->size, sizeof(bytes));
}

/* Many datagrams in one frame leave as many, not as one. */
static void super_frame_of_datagrams(void **state)
{
	static char bytes[2500];
	struct iovec payload = { bytes, sizeof(bytes) };
	struct frame frame;

	(void)state;
	build(&frame, &payload);
	frame.offload.gso = FRAME_GSO_UDP;
	frame.offload.gso_size = 1000;
	push(&frame);
	assert_int_equal(must_send()->size, 1000);
	assert_int_equal(must_send()->size, 1000);
	assert_int_equal(must_send()->size, 500);
	expect_silence();
}

/* Many answers in a batch, one flush behind them. */
static void one_flush_a_batch(void **state)
{
	const struct host_datagram datagram = {
		.remote = at(REMOTE, 7),
		.local = ip_addr_from_v4(HOST_LAN),
		.size = 1,
	};

	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int socket = must_send()->socket;
	for (int i = 0; i < 20; i++)
		world_arrives_bytes(socket, &datagram, "a");
	unsigned before = world->flushed;
	world_batch();
	assert_int_equal(world->heard_count, 20);
	assert_int_equal(world->flushed, before + 1);
	assert_int_equal(frame_sink_room(nat_guest_side(world->nat), 0), SIZE_MAX);
}

static void statistics_count(void **state)
{
	struct nat_statistics statistics;

	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	guest_udp(at(GUEST, 5001), at(REMOTE, 7), "x");
	guest_echo(GUEST, REMOTE, 1, 1);
	guest_syn(at(GUEST, 5002), at(REMOTE, 80));
	nat_get_statistics(world->nat, &statistics);
	assert_int_equal(statistics.udp_flows, 2);
	assert_int_equal(statistics.icmp_flows, 1);
	assert_int_equal(statistics.tcp_flows, 1);
	assert_int_equal(world->nat->budget.used, 4);
	nat_port_gone(world->nat, WORLD_PORT);
	nat_get_statistics(world->nat, &statistics);
	assert_int_equal(statistics.udp_flows + statistics.icmp_flows + statistics.tcp_flows, 0);
	assert_int_equal(world->nat->budget.used, 0);
}

/* No new flows; what is there goes on, and holds nothing up. */
static void draining(void **state)
{
	(void)state;
	int udp = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	int tcp = world_forward(NAT_PROTOCOL_TCP, at(0, 2222), at(GUEST, 22));
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int own = must_send()->socket;
	guest_echo(GUEST, REMOTE, 1, 1);
	forget_all();
	nat_drain(world->nat);
	assert_true(nat_is_drained(world->nat));

	guest_udp(at(GUEST, 5001), at(REMOTE, 7), "new");
	guest_echo(GUEST, REMOTE, 2, 1);
	world_arrives(udp, at(REMOTE, 1234), HOST_LAN, "new");
	expect_silence();
	assert_int_equal(world_drops(DROP_NAT_OFF), 3);
	world_connects(tcp, at(REMOTE, 4000));
	world_run();
	assert_true(world->sockets[world->socket_count - 1].reset);
	expect_silence();

	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "old");
	expect_sent(at(REMOTE, 7), "old");
	world_arrives(own, at(REMOTE, 7), HOST_LAN, "old");
	expect_heard(at(REMOTE, 7), at(GUEST, 5000), "old");
	guest_echo(GUEST, REMOTE, 1, 2);
	assert_int_equal(must_send()->sequence, 2);
	assert_true(nat_is_drained(world->nat));
}

/* In the middle of everything: sockets, timers and deferred work all go (world_end looks). */
static void ended_in_the_middle(void **state)
{
	const struct host_datagram datagram = {
		.remote = at(REMOTE, 7),
		.local = ip_addr_from_v4(HOST_LAN),
		.size = 1,
	};

	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	int listener = world_forward(NAT_PROTOCOL_TCP, at(0, 2222), at(GUEST, 22));
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int own = must_send()->socket;
	guest_echo(GUEST, REMOTE, 1, 1);
	for (int i = 0; i < 200; i++) {
		world_arrives_bytes(own, &datagram, "o");
		world_arrives_bytes(forward, &datagram, "f");
		world_connects(listener, at(REMOTE, (uint16_t)(4000 + i)));
	}
	world_batch();
	world->nat = nat_free(world->nat);
	assert_int_equal(world->sockets_open, 0);
	world->now_ns += NS_PER_S;
	assert_int_equal(loop_run_once(world->loop, 0), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_not_carried),
		TEST(super_frame_of_datagrams),
		TEST(one_flush_a_batch),
		TEST(statistics_count),
		TEST(draining),
		TEST(ended_in_the_middle),
	};

	return cmocka_run_group_tests_name("nat", tests, NULL, NULL);
}
