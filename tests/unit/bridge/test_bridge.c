/* Where frames go. */
#include "bridge_test.h"

#include <errno.h>

#include "bridge/bridge.h"

#define PORTS 4

struct end {
	struct frame_sink sink;
	struct bytes last;
	uint32_t last_port; /* frame->port */
	unsigned pushed;
	unsigned flushed;
	unsigned pushed_at_flush;
	size_t room;
	bool spoils; /* changes the header of what it gets */
};

static uint64_t now_ns;
static struct clock fake_clock;
static struct loop *loop;
static struct bridge *bridge;
static struct drop_counters drops;
static struct random_seeded random_source;
static struct end gateway;
static struct end capture;
static struct end guests[PORTS];
static uint32_t ports[PORTS];
static struct frame_sink *ingress[PORTS];

static void end_push(struct frame_sink *sink, struct frame *frame)
{
	struct end *end = container_of(sink, struct end, sink);

	end->last = bytes_of(frame);
	end->last_port = frame->port;
	end->pushed++;
	if (end->spoils)
		memset(frame->header, 0xff, frame->header_size);
}

static void end_flush(struct frame_sink *sink)
{
	struct end *end = container_of(sink, struct end, sink);

	end->flushed++;
	end->pushed_at_flush = end->pushed;
}

static size_t end_room(struct frame_sink *sink, uint32_t port)
{
	(void)port;
	return container_of(sink, struct end, sink)->room;
}

static const struct frame_sink_ops end_ops = {
	.push = end_push,
	.flush = end_flush,
	.room = end_room,
};

static void forget(void)
{
	struct end *ends[] = { &gateway, &capture, &guests[0], &guests[1], &guests[2], &guests[3] };

	for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
		ends[i]->pushed = 0;
		ends[i]->flushed = 0;
	}
	drops = (struct drop_counters){ .count = { 0 } };
}

static uint64_t fake_now(const struct clock *clock)
{
	(void)clock;
	return now_ns;
}

/* The next batch begins so much later. */
static void pass_time(uint64_t duration_ns)
{
	now_ns += duration_ns;
	assert_int_equal(loop_run_once(loop, 0), 0);
}

static int setup(void **state)
{
	const struct bridge_config config = {
		.gateway_mac = gateway_mac,
		.gateway_addr = ip_addr_from_v4(GATEWAY),
		.port_capacity = PORTS,
		.mtu = 1500,
	};

	(void)state;
	random_seeded_init(&random_source, 1);
	fake_clock.now_ns = fake_now;
	assert_int_equal(loop_new(&fake_clock, &loop), 0);
	pass_time(1000 * NS_PER_S);
	assert_int_equal(bridge_new(&config, loop, &random_source.random, &drops, &bridge), 0);
	gateway = (struct end){ .sink.ops = &end_ops };
	capture = (struct end){ .sink.ops = &end_ops };
	bridge_set_gateway(bridge, &gateway.sink);
	for (size_t i = 0; i < PORTS; i++) {
		guests[i] = (struct end){ .sink.ops = &end_ops, .room = 1000 + i };
		assert_int_equal(bridge_port_add(bridge, &guests[i].sink, &ports[i], &ingress[i]),
				 0);
	}
	forget();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bridge = bridge_free(bridge);
	loop = loop_free(loop);
	return 0;
}

static struct mac_addr mac_of(size_t guest)
{
	return (struct mac_addr){ { 2, 0, 0, 0, 1, (uint8_t)guest } };
}

static void send_bytes(size_t guest, const struct bytes *bytes)
{
	struct frame frame;

	frame_of(&frame, bytes);
	frame_sink_push(ingress[guest], &frame);
}

static void send_from(size_t guest, struct mac_addr from, struct mac_addr to)
{
	struct bytes bytes = ether(&to, &from, 0x9000);

	put(&bytes, "0123456789012345678901234567890123456789", 40);
	send_bytes(guest, &bytes);
}

static void send_own(size_t guest, struct mac_addr to)
{
	send_from(guest, mac_of(guest), to);
}

static void answer(struct mac_addr to)
{
	struct bytes bytes = ether(&to, &gateway_mac, 0x9000);
	struct frame frame;

	put(&bytes, "01234567890123456789", 20);
	frame_of(&frame, &bytes);
	frame.port = 7; /* whatever it was */
	frame_sink_push(bridge_gateway_side(bridge), &frame);
}

/* Everybody has shown its MAC. */
static void introduce(void)
{
	for (size_t i = 0; i < PORTS; i++)
		send_own(i, gateway_mac);
	forget();
}

static void expect_pushed(unsigned to_gateway, unsigned g0, unsigned g1, unsigned g2, unsigned g3)
{
	assert_int_equal(gateway.pushed, to_gateway);
	assert_int_equal(guests[0].pushed, g0);
	assert_int_equal(guests[1].pushed, g1);
	assert_int_equal(guests[2].pushed, g2);
	assert_int_equal(guests[3].pushed, g3);
	forget();
}

static void by_destination(void **state)
{
	static const struct mac_addr group = { { 0x01, 0, 0x5e, 0, 0, 0xfb } };
	static const struct mac_addr nobody = { { 2, 9, 9, 9, 9, 9 } };

	(void)state;
	send_own(0, gateway_mac);
	assert_int_equal(gateway.last_port, ports[0]);
	expect_pushed(1, 0, 0, 0, 0);
	send_own(0, mac_addr_broadcast);
	assert_int_equal(guests[3].last_port, ports[0]);
	expect_pushed(1, 0, 1, 1, 1);
	send_own(2, group);
	expect_pushed(1, 1, 1, 0, 1);
	send_own(2, mac_of(0));
	expect_pushed(0, 1, 0, 0, 0);
	/* Not flooded: it would show one guest's frames to another. */
	send_own(2, nobody);
	assert_int_equal(drops.count[DROP_NO_PORT], 1);
	expect_pushed(0, 0, 0, 0, 0);
	send_own(2, mac_of(2));
	assert_int_equal(drops.count[DROP_NO_PORT], 1);
	expect_pushed(0, 0, 0, 0, 0);
}

static void from_the_gateway(void **state)
{
	(void)state;
	answer(mac_of(1));
	assert_int_equal(drops.count[DROP_NO_PORT], 1);
	introduce();
	answer(mac_of(1));
	assert_int_equal(guests[1].last_port, FRAME_PORT_NONE);
	expect_pushed(0, 0, 1, 0, 0);
	answer(mac_addr_broadcast);
	expect_pushed(0, 1, 1, 1, 1);
	/* Its own MAC is nobody's port. */
	answer(gateway_mac);
	expect_pushed(0, 0, 0, 0, 0);
}

/* IEEE 802.1Q 8.6.3. */
static void link_local_groups_stay(void **state)
{
	struct mac_addr group = { { 0x01, 0x80, 0xc2, 0, 0, 0 } };

	(void)state;
	for (unsigned i = 0; i < 0x11; i++) {
		group.octet[5] = (uint8_t)i;
		send_own(0, group);
		if (i < 0x10)
			assert_int_equal(drops.count[DROP_NO_PORT], 1);
		expect_pushed(i < 0x10 ? 0 : 1, 0, i < 0x10 ? 0 : 1, i < 0x10 ? 0 : 1,
			      i < 0x10 ? 0 : 1);
	}
}

static void sources_that_are_not_the_guests(void **state)
{
	static const struct mac_addr zero = { { 0 } };
	static const struct mac_addr group = { { 3, 0, 0, 0, 0, 9 } };

	(void)state;
	introduce();
	send_from(0, gateway_mac, mac_addr_broadcast);
	send_from(0, zero, mac_addr_broadcast);
	send_from(0, group, mac_addr_broadcast);
	send_from(0, mac_addr_broadcast, gateway_mac);
	assert_int_equal(drops.count[DROP_BAD_SOURCE_MAC], 4);
	send_from(0, mac_of(1), gateway_mac);
	send_from(0, mac_of(1), mac_addr_broadcast);
	assert_int_equal(drops.count[DROP_MAC_MOVED], 2);
	expect_pushed(0, 0, 0, 0, 0);
	/* The owner still gets its frames. */
	answer(mac_of(1));
	expect_pushed(0, 0, 1, 0, 0);
	/* The guard is asked. */
	struct bytes bytes = udp4(&mac_addr_broadcast, GUEST, 67, 68, 300);
	send_bytes(0, &bytes);
	assert_int_equal(drops.count[DROP_DHCP_SERVER_GUARD], 1);
	expect_pushed(0, 0, 0, 0, 0);
}

static void share_of_macs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BRIDGE_MACS_PER_PORT + 5; i++)
		send_from(0, (struct mac_addr){ { 2, 7, 7, 7, 7, (uint8_t)i } }, gateway_mac);
	assert_int_equal(gateway.pushed, BRIDGE_MACS_PER_PORT);
	assert_int_equal(drops.count[DROP_FDB_FULL], 5);
	forget();
	send_own(1, gateway_mac);
	expect_pushed(1, 0, 0, 0, 0);
}

/* Containers that come and go: each has its own MAC and lives for a minute. */
static void macs_that_come_and_go(void **state)
{
	(void)state;
	send_own(1, gateway_mac);
	forget();
	for (unsigned i = 0; i < 200; i++) {
		struct mac_addr mac = { { 2, 7, 7, 7, 7, (uint8_t)i } };

		for (unsigned second = 0; second < 60; second += 10) {
			send_own(0, gateway_mac);
			send_from(0, mac, gateway_mac);
			pass_time(10 * NS_PER_S);
		}
		answer(mac);
		answer(mac_of(0));
	}
	assert_int_equal(gateway.pushed, 200 * 12);
	assert_int_equal(guests[0].pushed, 200 * 2);
	assert_int_equal(drops.count[DROP_FDB_FULL], 0);
	/* The neighbour said nothing for hours, and is still where it was. */
	answer(mac_of(1));
	assert_int_equal(guests[1].pushed, 1);
	send_from(0, mac_of(1), gateway_mac);
	assert_int_equal(drops.count[DROP_MAC_MOVED], 1);
}

static void lengths(void **state)
{
	static const struct {
		size_t size;
		bool passes;
	} rows[] = {
		{ 14, true }, { 1514, true }, { 1518, true }, { 1519, false }, { 3000, false }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct mac_addr own = mac_of(0);
		struct bytes bytes = ether(&gateway_mac, &own, 0x9000);

		while (bytes.size < rows[i].size)
			put_u8(&bytes, 0);
		send_bytes(0, &bytes);
		assert_int_equal(drops.count[DROP_LONG_FRAME], rows[i].passes ? 0 : 1);
		expect_pushed(rows[i].passes ? 1 : 0, 0, 0, 0, 0);
	}
}

/* The four bytes more are for a tag: what has none is not longer than the MTU. */
static void lengths_without_tag(void **state)
{
	(void)state;
	for (size_t size = 1514; size <= 1518; size++) {
		struct mac_addr own = mac_of(0);
		struct bytes bytes = ether(&gateway_mac, &own, 0x0806);

		while (bytes.size < size)
			put_u8(&bytes, 0);
		send_bytes(0, &bytes);
		assert_int_equal(drops.count[DROP_LONG_FRAME], size - 1514);
		assert_int_equal(drops.count[DROP_BAD_ARP], 1); /* the one that was looked at */
	}
}

/* One receiver that changes its frame does not change it for the others. */
static void receivers_are_apart(void **state)
{
	(void)state;
	guests[1].spoils = true;
	send_own(0, mac_addr_broadcast);
	assert_int_equal(guests[2].last.size, guests[1].last.size);
	assert_memory_equal(guests[2].last.at, guests[1].last.at, guests[1].last.size);
	assert_memory_equal(gateway.last.at, guests[1].last.at, guests[1].last.size);
}

/* Who was pushed to is flushed, once, behind the last frame. */
static void flushes(void **state)
{
	(void)state;
	introduce();
	frame_sink_flush(ingress[0]);
	forget();
	send_own(0, mac_of(1));
	send_own(0, mac_of(1));
	send_own(0, gateway_mac);
	assert_int_equal(guests[1].flushed, 0);
	frame_sink_flush(ingress[0]);
	assert_int_equal(guests[1].flushed, 1);
	assert_int_equal(guests[1].pushed_at_flush, 2);
	assert_int_equal(gateway.flushed, 1);
	assert_int_equal(guests[2].flushed, 0);
	frame_sink_flush(ingress[0]);
	assert_int_equal(guests[1].flushed, 1);
	assert_int_equal(gateway.flushed, 1);
	answer(mac_of(2));
	frame_sink_flush(bridge_gateway_side(bridge));
	assert_int_equal(guests[2].flushed, 1);
	assert_int_equal(gateway.flushed, 1);
}

static void ports_come_and_go(void **state)
{
	struct frame_sink *sink;
	uint32_t port;

	(void)state;
	introduce();
	assert_int_equal(bridge_port_add(bridge, &guests[0].sink, &port, &sink), -ENOSPC);
	assert_int_equal(bridge_port_count(bridge), PORTS);
	send_own(0, mac_of(1));
	bridge_port_remove(bridge, ports[1]);
	assert_int_equal(bridge_port_count(bridge), PORTS - 1);
	frame_sink_flush(ingress[0]); /* what was pushed is not flushed to who is gone */
	assert_int_equal(guests[1].flushed, 0);
	forget();
	send_own(0, mac_of(1));
	assert_int_equal(drops.count[DROP_NO_PORT], 1);
	send_own(0, mac_addr_broadcast);
	expect_pushed(1, 0, 0, 1, 1);
	/* Its MAC is free for whoever comes. */
	assert_int_equal(bridge_port_add(bridge, &guests[1].sink, &port, &sink), 0);
	assert_int_equal(port, ports[1]);
	send_from(2, mac_of(1), gateway_mac);
	expect_pushed(1, 0, 0, 0, 0);
	answer(mac_of(1));
	expect_pushed(0, 0, 0, 1, 0);
}

static void room(void **state)
{
	struct frame_sink *side = bridge_gateway_side(bridge);

	(void)state;
	assert_int_equal(frame_sink_room(side, ports[2]), 1002);
	guests[2].room = 0;
	assert_int_equal(frame_sink_room(side, ports[2]), 0);
	/* Nobody may wait for what will never have any. */
	assert_int_equal(frame_sink_room(side, FRAME_PORT_NONE), SIZE_MAX);
	assert_int_equal(frame_sink_room(side, PORTS), SIZE_MAX);
	bridge_port_remove(bridge, ports[2]);
	assert_int_equal(frame_sink_room(side, ports[2]), SIZE_MAX);
	assert_int_equal(frame_sink_room(ingress[0], 0), SIZE_MAX);
}

static void counters(void **state)
{
	struct bridge_counters counted;

	(void)state;
	introduce();
	bridge_get_counters(bridge, &counted);
	assert_int_equal(counted.frames_from_guests, 4);
	assert_int_equal(counted.bytes_from_guests, 4 * 54);
	send_own(0, mac_addr_broadcast); /* one in, three out */
	send_from(0, gateway_mac, mac_addr_broadcast);
	answer(mac_of(1));
	bridge_get_counters(bridge, &counted);
	assert_int_equal(counted.frames_from_guests, 5);
	assert_int_equal(counted.bytes_from_guests, 5 * 54);
	assert_int_equal(counted.frames_to_guests, 4);
	assert_int_equal(counted.bytes_to_guests, 3 * 54 + 34);
}

/* Seen as it passes a port: into the network with the port's number, out of it without. */
static void captured(void **state)
{
	static const struct mac_addr nobody = { { 2, 9, 9, 9, 9, 9 } };

	(void)state;
	introduce();
	bridge_set_capture(bridge, &capture.sink);
	send_own(1, gateway_mac);
	assert_int_equal(capture.pushed, 1);
	assert_int_equal(capture.last_port, ports[1]);
	answer(mac_of(1));
	assert_int_equal(capture.pushed, 2);
	assert_int_equal(capture.last_port, FRAME_PORT_NONE);
	send_own(1, mac_of(2));
	assert_int_equal(capture.pushed, 4);
	assert_int_equal(capture.last_port, FRAME_PORT_NONE);
	assert_int_equal(guests[2].last_port, ports[1]);
	send_own(1, mac_addr_broadcast);
	assert_int_equal(capture.pushed, 6);
	answer(mac_addr_broadcast);
	assert_int_equal(capture.pushed, 7);
	/* What is dropped came in all the same; what found no port never went out. */
	send_own(1, nobody);
	assert_int_equal(capture.pushed, 8);
	assert_int_equal(capture.last_port, ports[1]);
	answer(nobody);
	assert_int_equal(capture.pushed, 8);
	bridge_set_capture(bridge, NULL);
	send_own(1, gateway_mac);
	assert_int_equal(capture.pushed, 8);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(by_destination),
		TEST(from_the_gateway),
		TEST(link_local_groups_stay),
		TEST(sources_that_are_not_the_guests),
		TEST(share_of_macs),
		TEST(macs_that_come_and_go),
		TEST(lengths),
		TEST(lengths_without_tag),
		TEST(receivers_are_apart),
		TEST(flushes),
		TEST(ports_come_and_go),
		TEST(room),
		TEST(counters),
		TEST(captured),
	};

	return cmocka_run_group_tests_name("bridge", tests, NULL, NULL);
}
