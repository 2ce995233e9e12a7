/* From the world to the guest: filtering, clients of a forward, fragments, the error queue. */
#include "world.h"

#include "nat/udp_memory.h"

#include <stdio.h>

#include "nat/icmp_error.h"
#include "nat/udp.h"
#include "wire/udp.h"

/* --- filtering ---------------------------------------------------------------------------- */

/* RFC 4787 5, REQ-8: address-dependent. */
static void only_from_addresses_talked_to(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int socket = must_send()->socket;
	world_arrives(socket, at(REMOTE, 9999), HOST_LAN, "other port");
	expect_heard(at(REMOTE, 9999), at(GUEST, 5000), "other port");
	world_arrives(socket, at(REMOTE_B, 7), HOST_LAN, "stranger");
	expect_silence();
	assert_int_equal(world_drops(DROP_UDP_PEER), 1);
	/* The way back goes to that port. */
	guest_udp(at(GUEST, 5000), at(REMOTE, 9999), "y");
	assert_int_equal(expect_sent(at(REMOTE, 9999), "y")->socket, socket);
}

static void filter_forgets_what_was_long_ago(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int socket = must_send()->socket;
	for (int i = 0; i < 4; i++) {
		world_pass(100 * NS_PER_S);
		guest_udp(at(GUEST, 5000), at(REMOTE_B, 7), "keep");
	}
	forget_all();
	world_arrives(socket, at(REMOTE, 7), HOST_LAN, "late");
	expect_silence();
	assert_int_equal(world_drops(DROP_UDP_PEER), 1);
	world_arrives(socket, at(REMOTE_B, 7), HOST_LAN, "fine");
	expect_heard(at(REMOTE_B, 7), at(GUEST, 5000), "fine");
}

static void endpoint_independent_lets_all_in(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.udp_endpoint_independent_filtering = true;
	world_start(&config);
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int socket = must_send()->socket;
	world_arrives(socket, at(REMOTE_B, 7), HOST_LAN, "stranger");
	expect_heard(at(REMOTE_B, 7), at(GUEST, 5000), "stranger");
	/* A process of the host is no 127.0.0.1 to a guest. */
	world_arrives(socket, at(LOOPBACK, 4444), LOOPBACK, "local");
	expect_heard(at(GATEWAY, 4444), at(GUEST, 5000), "local");
	assert_int_equal(world_drops(DROP_UDP_PEER), 0);
}

/* --- clients of a forward ----------------------------------------------------------------- */

static void client_and_answer(void **state)
{
	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	world_arrives(forward, at(REMOTE, 1234), HOST_LAN, "ask");
	expect_heard(at(REMOTE, 1234), at(GUEST, 53), "ask");
	guest_udp(at(GUEST, 53), at(REMOTE, 1234), "say");
	const struct world_sent *sent = expect_sent(at(REMOTE, 1234), "say");
	assert_int_equal(sent->socket, forward);
	assert_int_equal(ip_addr_to_v4(&sent->datagram.local), HOST_LAN);
}

/* Answers leave from the address asked. */
static void client_asks_two_addresses(void **state)
{
	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	world_arrives(forward, at(REMOTE, 1234), HOST_LAN, "one");
	world_arrives(forward, at(REMOTE, 1234), HOST_OTHER, "two");
	expect_heard(at(REMOTE, 1234), at(GUEST, 53), "one");
	const struct world_heard *heard = must_hear();
	struct ip_endpoint second = { heard->packet.ip_source, heard->packet.port_source };
	assert_int_not_equal(second.port, 1234);
	assert_int_equal(ip_addr_to_v4(&second.addr), REMOTE);
	guest_udp(at(GUEST, 53), second, "2");
	guest_udp(at(GUEST, 53), at(REMOTE, 1234), "1");
	assert_int_equal(ip_addr_to_v4(&expect_sent(at(REMOTE, 1234), "2")->datagram.local),
			 HOST_OTHER);
	assert_int_equal(ip_addr_to_v4(&expect_sent(at(REMOTE, 1234), "1")->datagram.local),
			 HOST_LAN);
}

/* All seen as the gateway; where ports collide they are changed, and stay so. */
static void clients_seen_as_the_gateway(void **state)
{
	static const char *const texts[] = { "loopback", "the lan address", "the guest's subnet",
					     "ipv6" };
	struct ip_endpoint seen[4];

	(void)state;
	int v4 = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	int v6 = world_forward(NAT_PROTOCOL_UDP, at6("::", 5353), at(GUEST, 53));
	const struct host_datagram from_v6 = {
		.remote = at6("2001:db8::7", 7777),
		.local = at6("2001:db8::1", 0).addr,
		.ttl = 60,
		.size = strlen(texts[3]),
	};

	for (int round = 0; round < 2; round++) {
		world_arrives(v4, at(LOOPBACK, 7777), LOOPBACK, texts[0]);
		world_arrives(v4, at(HOST_LAN, 7777), HOST_LAN, texts[1]);
		world_arrives(v4, at(GUEST_B, 7777), HOST_LAN, texts[2]);
		world_arrives_bytes(v6, &from_v6, texts[3]);
		world_run();
		for (size_t i = 0; i < ARRAY_COUNT(seen); i++) {
			const struct world_heard *heard = must_hear();
			struct ip_endpoint from = { heard->packet.ip_source,
						    heard->packet.port_source };

			assert_int_equal(ip_addr_to_v4(&from.addr), GATEWAY);
			assert_memory_equal(heard->payload, texts[i], strlen(texts[i]));
			if (round > 0)
				assert_true(ip_endpoint_equal(&from, &seen[i]));
			seen[i] = from;
			for (size_t j = 0; j < i; j++)
				assert_int_not_equal(seen[j].port, from.port);
		}
	}
	assert_int_equal(seen[0].port, 7777);
	for (size_t i = 0; i < ARRAY_COUNT(seen); i++)
		guest_udp(at(GUEST, 53), seen[i], texts[i]);
	assert_int_equal(expect_sent(at(LOOPBACK, 7777), texts[0])->socket, v4);
	expect_sent(at(HOST_LAN, 7777), texts[1]);
	expect_sent(at(GUEST_B, 7777), texts[2]);
	const struct world_sent *sent = expect_sent(from_v6.remote, texts[3]);
	assert_int_equal(sent->socket, v6);
	assert_true(ip_addr_equal(&sent->datagram.local, &from_v6.local));
}

/* An answer to gateway:53 would end in the gateway's own DNS. */
static void ports_of_the_gateway_are_not_borrowed(void **state)
{
	static const uint16_t ports[] = { 53, 67 };

	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 80));
	for (size_t i = 0; i < ARRAY_COUNT(ports); i++) {
		world_arrives(forward, at(LOOPBACK, ports[i]), LOOPBACK, "x");
		assert_true(must_hear()->packet.port_source >= 1024);
		/* A real address has them for itself. */
		world_arrives(forward, at(REMOTE, ports[i]), HOST_LAN, "y");
		expect_heard(at(REMOTE, ports[i]), at(GUEST, 80), "y");
	}
	world_arrives(forward, at(REMOTE, 0), HOST_LAN, "z");
	expect_silence();
	assert_int_equal(world_drops(DROP_BAD_L4_HEADER), 1);
}

static void removed_forward_forgets_its_clients(void **state)
{
	const struct ip_endpoint external = at(0, 5353);

	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, external, at(GUEST, 53));
	world_arrives(forward, at(LOOPBACK, 1234), LOOPBACK, "ask");
	(void)must_hear();
	assert_int_equal(udp_flow_count(world->nat), 1);
	assert_int_equal(nat_forward_remove(world->nat, NAT_PROTOCOL_UDP, &external), 0);
	assert_int_equal(udp_flow_count(world->nat), 0);
	assert_int_equal(world->sockets_open, 0);
	guest_udp(at(GUEST, 53), at(GATEWAY, 1234), "late");
	assert_null(next_sent());
	expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE, ICMP_CODE_ADMIN_PROHIBITED, GATEWAY);
}

/* Each event is told once: nothing may be left in the socket. */
static void floods_are_taken_in_turns(void **state)
{
	const struct host_datagram datagram = {
		.remote = at(REMOTE, 7),
		.local = ip_addr_from_v4(HOST_LAN),
		.size = 1,
	};

	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int own = must_send()->socket;
	for (int i = 0; i < 500; i++) {
		world_arrives_bytes(own, &datagram, "o");
		world_arrives_bytes(forward, &datagram, "f");
	}
	world_batch();
	assert_true(world->heard_count < 500);
	world_run();
	assert_int_equal(world->heard_count, 1000);
	assert_int_equal(world->ready_calls, 2);
}

static void broken_sockets_do_not_spin(void **state)
{
	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int own = must_send()->socket;
	world->sockets[own].receive_error = -ENOMEM;
	world->sockets[forward].receive_error = -ENOMEM;
	world->sockets[own].events = EPOLLIN;
	world->sockets[forward].events = EPOLLIN;
	world_run();
	assert_int_equal(timers_next(loop_timers(world->loop)) > world->now_ns, true);
	world->sockets[own].receive_error = 0;
	world_arrives(own, at(REMOTE, 7), HOST_LAN, "again");
	expect_heard(at(REMOTE, 7), at(GUEST, 5000), "again");
}

/* --- many at once ------------------------------------------------------------------------- */

static uint8_t pattern[65536];

/* One message of that many bytes: several datagrams if segment_size is not 0. */
static void arrives(int socket, struct ip_endpoint from, size_t size, uint16_t segment_size)
{
	const struct host_datagram datagram = {
		.remote = from,
		.local = ip_addr_from_v4(HOST_LAN),
		.ttl = 60,
		.size = size,
		.segment_size = segment_size,
	};

	world_arrives_bytes(socket, &datagram, pattern);
}

static int open_mapping(void)
{
	world_fill(pattern, sizeof(pattern));
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	guest_udp(at(GUEST, 5000), at(REMOTE_B, 7), "x");
	int socket = must_send()->socket;
	forget_all();
	world->pushed = 0;
	world->super_frames = 0;
	return socket;
}

static const struct world_heard *must_hear_size(size_t size, size_t offset)
{
	const struct world_heard *heard = must_hear();

	assert_int_equal(heard->payload_size, size);
	assert_memory_equal(heard->payload, pattern + offset, size);
	return heard;
}

/* Neighbours of one size go to the guest as one frame; what it hears is what was sent. */
static void neighbours_go_together(void **state)
{
	int socket = open_mapping();

	(void)state;
	for (int i = 0; i < 5; i++)
		arrives(socket, at(REMOTE, 7), 1000, 0);
	arrives(socket, at(REMOTE, 7), 10, 0); /* the last may be shorter */
	arrives(socket, at(REMOTE, 7), 10, 0); /* behind which another frame begins */
	world_run();
	assert_int_equal(world->pushed, 2);
	assert_int_equal(world->super_frames, 1);
	uint32_t id = 0;
	for (unsigned i = 0; i < 7; i++) {
		const struct world_heard *heard = must_hear_size(i < 5 ? 1000 : 10, 0);

		assert_int_equal(heard->packet.ip_ttl, 60);
		assert_true(i == 0 || heard->packet.ip_id == ((id + 1) & 0xffff));
		id = heard->packet.ip_id;
	}
	expect_silence();
}

static void strangers_go_apart(void **state)
{
	static const struct {
		uint32_t from;
		uint16_t port;
		uint8_t ttl;
		uint8_t tos;
		size_t size;
	} rows[] = {
		{ REMOTE, 7, 60, 0, 100 },   { REMOTE_B, 7, 60, 0, 100 },
		{ REMOTE_B, 8, 60, 0, 100 }, { REMOTE_B, 8, 61, 0, 100 },
		{ REMOTE_B, 8, 61, 2, 100 }, { REMOTE_B, 8, 61, 2, 101 },
		{ REMOTE_B, 8, 61, 2, 0 },   { REMOTE_B, 8, 61, 2, 0 },
		{ REMOTE_B, 8, 61, 2, 1 },
	};
	int socket = open_mapping();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct host_datagram datagram = {
			.remote = at(rows[i].from, rows[i].port),
			.ttl = rows[i].ttl,
			.tos = rows[i].tos,
			.size = rows[i].size,
		};

		world_arrives_bytes(socket, &datagram, pattern);
	}
	world_run();
	assert_int_equal(world->super_frames, 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct world_heard *heard = must_hear_size(rows[i].size, 0);

		assert_int_equal(ip_addr_to_v4(&heard->packet.ip_source), rows[i].from);
		assert_int_equal(heard->packet.port_source, rows[i].port);
		assert_int_equal(heard->packet.ip_ttl, rows[i].ttl);
		assert_int_equal(heard->packet.ip_tos, rows[i].tos);
	}
	expect_silence();
}

/* What the kernel put together is cut again, whatever it is longer than. */
static void coalesced(void **state)
{
	static const struct {
		size_t size;
		uint16_t each;
		unsigned frames; /* towards the port */
	} rows[] = {
		{ 60000, 1472, 1 }, { 65507, 1400, 1 }, { 2000, 1000, 1 },
		{ 2001, 1000, 1 },  { 12800, 100, 2 },	{ 65507, 1023, 2 }, /* 64 in each */
		{ 65535, 1472, 2 }, /* an IPv6 client's, longer than IPv4 carries */
		{ 64, 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int socket = open_mapping();
		size_t heard = 0;

		arrives(socket, at(REMOTE, 7), rows[i].size, rows[i].each);
		arrives(socket, at(REMOTE, 7), rows[i].each, 0);
		world_run();
		assert_int_equal(world->pushed, rows[i].frames + 1);
		while (heard < rows[i].size) {
			size_t left = rows[i].size - heard;
			size_t size = left < rows[i].each ? left : rows[i].each;

			(void)must_hear_size(size, heard);
			heard += size;
		}
		(void)must_hear_size(rows[i].each, 0);
		expect_silence();
		forget_all();
	}
}

/* Each in fragments of its own where the guest's MTU is smaller. */
static void coalesced_and_too_long(void **state)
{
	struct nat_config config = world_config();
	uint32_t id = UINT32_MAX;

	(void)state;
	config.mtu = 576;
	world_start(&config);
	arrives(open_mapping(), at(REMOTE, 7), 2500, 1000);
	world_run();
	assert_int_equal(world->super_frames, 0);
	for (unsigned i = 0; i < 5; i++) {
		const struct world_heard *heard = must_hear();

		assert_int_equal(heard->packet.ip_is_fragment, i < 4);
		assert_int_equal(heard->packet.ip_more_fragments, i < 4 && i % 2 == 0);
		assert_int_equal(i % 2 == 1, heard->packet.ip_id == id);
		id = heard->packet.ip_id;
	}
	expect_silence();
}

/* One socket's flood does not keep the others waiting. */
static void a_batch_has_an_end(void **state)
{
	int flooded = open_mapping();

	(void)state;
	guest_udp(at(GUEST, 5001), at(REMOTE, 7), "x");
	int other = must_send()->socket;
	for (unsigned i = 0; i < 1000; i++)
		arrives(flooded, at(REMOTE, 7), 10, 0);
	arrives(other, at(REMOTE, 7), 20, 0);
	world_batch();
	assert_int_equal(world->heard_count, 2 * UDP_RECEIVE_BATCH + 1); /* and one deferred */
	world_run();
	assert_int_equal(world->heard_count, 1001);
	forget_all();
	/* Where each message is many, fewer of them. */
	for (unsigned i = 0; i < 100; i++)
		arrives(flooded, at(REMOTE, 7), 1000, 500);
	world_batch();
	assert_true(world->heard_count <= 2 * (UDP_RECEIVE_BATCH + UDP_RECEIVE_COALESCED));
	world_run();
	assert_int_equal(world->heard_count, 200);
}

/* Every datagram that may not pass counts, however many come together. */
static void drops_count_each(void **state)
{
	int socket = open_mapping();

	(void)state;
	for (int i = 0; i < 5; i++)
		arrives(socket, at(ROUTER, 7), 100, 0);
	arrives(socket, at(ROUTER, 7), 1050, 100);
	world_run();
	expect_silence();
	assert_int_equal(world_drops(DROP_UDP_PEER), 5 + 11);
}

/* Clients of a forward, the same way. */
static void clients_many_at_once(void **state)
{
	(void)state;
	world_fill(pattern, sizeof(pattern));
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	for (int i = 0; i < 3; i++)
		arrives(forward, at(REMOTE, 1234), 700, 0);
	arrives(forward, at(REMOTE_B, 1234), 7000, 1400);
	world_run();
	assert_int_equal(world->pushed, 2);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ip_addr_to_v4(&must_hear_size(700, 0)->packet.ip_source), REMOTE);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(ip_addr_to_v4(&must_hear_size(1400, 1400 * i)->packet.ip_source),
				 REMOTE_B);
	expect_silence();
}

/* --- fragments ---------------------------------------------------------------------------- */

static void longer_than_the_mtu(uint32_t mtu, size_t size)
{
	struct nat_config config = world_config();
	uint8_t *bytes = malloc(size);
	uint8_t *whole = calloc(1, size + 8 + 65536);
	size_t got = 0;
	uint32_t id = 0;

	config.mtu = mtu;
	world_start(&config);
	world_fill(bytes, size);
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	const struct host_datagram datagram = {
		.remote = at(REMOTE, 7),
		.local = ip_addr_from_v4(HOST_LAN),
		.ttl = 60,
		.size = size,
	};
	for (int round = 0; round < 2; round++) {
		world_arrives_bytes(must_send()->socket, &datagram, bytes);
		world_run();
		unsigned count = 0;
		bool more = true;
		for (got = 0; more; count++) {
			const struct world_heard *heard = must_hear();

			if (count == 0 && round > 0)
				assert_int_not_equal(heard->packet.ip_id, id);
			if (count == 0)
				id = heard->packet.ip_id;
			assert_int_equal(heard->packet.ip_id, id);
			assert_int_equal(heard->packet.ip_fragment_offset, got);
			assert_false(heard->packet.ip_dont_fragment);
			more = heard->packet.ip_more_fragments;
			/* The first may be whole: then the UDP header was cut off already. */
			size_t from = heard->packet.l4_offset;
			size_t part = (size_t)heard->packet.l3_offset +
				      heard->packet.ip_total_size - from;
			memcpy(whole + got, heard->frame + from, part);
			got += part;
		}
		assert_int_equal(got, size + 8);
		assert_memory_equal(whole + 8, bytes, size);
		assert_int_equal(count, (size + 8 + (mtu - 20) / 8 * 8 - 1) / ((mtu - 20) / 8 * 8));
		guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	}
	free(bytes);
	free(whole);
	world_end();
}

static void fragments(void **state)
{
	(void)state;
	longer_than_the_mtu(1500, 1472);
	longer_than_the_mtu(1500, 1473);
	longer_than_the_mtu(1500, 9000);
	longer_than_the_mtu(1500, 65507);
	longer_than_the_mtu(576, 65507);
	longer_than_the_mtu(65520, 65507);
}

/* --- errors ------------------------------------------------------------------------------- */

static void errors_of_the_way(void **state)
{
	static const struct {
		uint32_t origin;
		uint8_t type;
		uint8_t code;
		uint32_t mtu;
		uint32_t seen_origin;
	} rows[] = {
		{ REMOTE, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT_UNREACHABLE, 0, REMOTE },
		{ ROUTER, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_TTL_EXCEEDED, 0, ROUTER },
		{ ROUTER, ICMP_TYPE_UNREACHABLE, ICMP_CODE_HOST_UNREACHABLE, 0, ROUTER },
		{ ROUTER, ICMP_TYPE_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, 1400, ROUTER },
		/* The host itself, and what poses as a guest, is the gateway. */
		{ HOST_LAN, ICMP_TYPE_UNREACHABLE, ICMP_CODE_HOST_UNREACHABLE, 0, GATEWAY },
		{ LOOPBACK, ICMP_TYPE_UNREACHABLE, ICMP_CODE_HOST_UNREACHABLE, 0, GATEWAY },
		{ GUEST_B, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_TTL_EXCEEDED, 0, GATEWAY },
	};

	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 33434), "probe");
	int socket = must_send()->socket;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct host_icmp_error error = {
			.remote = at(REMOTE, 33434),
			.origin = ip_addr_from_v4(rows[i].origin),
			.type = rows[i].type,
			.code = rows[i].code,
			.mtu = rows[i].mtu,
			.error = EHOSTUNREACH,
			.payload_size = 5,
		};

		world_fails(socket, &error, 0, "probe", 5);
		const struct world_heard *heard =
			expect_error(rows[i].seen_origin, rows[i].type, rows[i].code, REMOTE);
		struct reader reader = reader_of(heard->quote.payload, heard->quote.payload_size);
		struct udp_header header;

		assert_int_equal(heard->icmp.mtu, rows[i].mtu);
		assert_int_equal(heard->quote.ip.protocol, PACKET_IP_PROTOCOL_UDP);
		assert_true(udp_parse(&reader, &header));
		assert_int_equal(header.source_port, 5000);
		assert_int_equal(header.destination_port, 33434);
		assert_int_equal(header.size, 13);
		const uint8_t *bytes = reader_take(&reader, 5);
		assert_non_null(bytes);
		assert_memory_equal(bytes, "probe", 5);
		expect_silence();
	}
}

static void error_with_a_long_payload(void **state)
{
	static uint8_t bytes[1400];
	const struct host_icmp_error error = {
		.remote = at(REMOTE, 7),
		.origin = ip_addr_from_v4(REMOTE),
		.type = ICMP_TYPE_UNREACHABLE,
		.code = ICMP_CODE_PORT_UNREACHABLE,
		.payload_size = sizeof(bytes),
	};

	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	world_fails(must_send()->socket, &error, 0, bytes, sizeof(bytes));
	const struct world_heard *heard =
		expect_error(REMOTE, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT_UNREACHABLE, REMOTE);
	assert_true(heard->packet.ip_total_size <= 576);
	assert_int_equal(heard->quote.ip.total_size, 20 + 8 + 1400);
}

/* Known by the name that the guest used. */
static void error_of_the_host_by_the_gateways_name(void **state)
{
	struct nat_config config = world_config();
	const struct host_icmp_error error = {
		.remote = at(LOOPBACK, 7),
		.origin = ip_addr_from_v4(LOOPBACK),
		.type = ICMP_TYPE_UNREACHABLE,
		.code = ICMP_CODE_PORT_UNREACHABLE,
	};

	(void)state;
	config.host_access = NAT_HOST_ACCESS_LOOPBACK;
	world_start(&config);
	guest_udp(at(GUEST, 5000), at(GATEWAY, 7), "x");
	world_fails(expect_sent(at(LOOPBACK, 7), "x")->socket, &error, 0, NULL, 0);
	expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT_UNREACHABLE, GATEWAY);
}

static void errors_for_clients_of_a_forward(void **state)
{
	const struct host_icmp_error error = {
		.remote = at(REMOTE, 1234),
		.origin = ip_addr_from_v4(REMOTE),
		.type = ICMP_TYPE_UNREACHABLE,
		.code = ICMP_CODE_PORT_UNREACHABLE,
		.error = ECONNREFUSED,
	};
	const struct host_icmp_error stranger = {
		.remote = at(REMOTE_B, 1234),
		.origin = ip_addr_from_v4(REMOTE_B),
		.type = ICMP_TYPE_UNREACHABLE,
	};
	static const struct {
		int error;
		uint32_t mtu;
		int code; /* -1 = nothing */
		uint32_t told;
	} v6[] = {
		{ ECONNREFUSED, 0, ICMP_CODE_PORT_UNREACHABLE, 0 },
		{ EHOSTUNREACH, 0, ICMP_CODE_HOST_UNREACHABLE, 0 },
		{ ENETUNREACH, 0, ICMP_CODE_NET_UNREACHABLE, 0 },
		{ EACCES, 0, ICMP_CODE_ADMIN_PROHIBITED, 0 },
		{ EMSGSIZE, 1280, ICMP_CODE_FRAGMENTATION_NEEDED, 1260 },
		{ EPROTO, 0, -1, 0 },
	};

	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	int forward6 = world_forward(NAT_PROTOCOL_UDP, at6("::", 5353), at(GUEST, 53));
	world_arrives(forward, at(REMOTE, 1234), HOST_OTHER, "x");
	(void)must_hear();
	world_fails(forward, &error, 0, NULL, 0);
	expect_error(REMOTE, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT_UNREACHABLE, REMOTE);
	world_fails(forward, &stranger, 0, NULL, 0);
	expect_silence();

	const struct host_datagram from_v6 = {
		.remote = at6("2001:db8::7", 7777),
		.local = at6("2001:db8::1", 0).addr,
		.size = 1,
	};
	world_arrives_bytes(forward6, &from_v6, "x");
	world_run();
	(void)must_hear();
	for (size_t i = 0; i < ARRAY_COUNT(v6); i++) {
		const struct host_icmp_error told = {
			.remote = from_v6.remote,
			.origin = at6("2001:db8::99", 0).addr,
			.type = 1,
			.code = 4,
			.mtu = v6[i].mtu,
			.error = v6[i].error,
		};

		world_fails(forward6, &told, 0, NULL, 0);
		if (v6[i].code >= 0)
			assert_int_equal(expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE,
						      (uint8_t)v6[i].code, GATEWAY)
						 ->icmp.mtu,
					 v6[i].told);
		expect_silence();
	}
}

/* A busy forward still hears of errors: the turn it takes later looks for both. */
static void errors_while_a_forward_is_busy(void **state)
{
	const struct host_datagram datagram = {
		.remote = at(REMOTE, 7),
		.local = ip_addr_from_v4(HOST_LAN),
		.size = 1,
	};
	const struct host_icmp_error error = {
		.remote = at(REMOTE, 7),
		.origin = ip_addr_from_v4(REMOTE),
		.type = ICMP_TYPE_UNREACHABLE,
		.code = ICMP_CODE_PORT_UNREACHABLE,
	};
	unsigned errors = 0;

	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	for (int i = 0; i < 100; i++)
		world_arrives_bytes(forward, &datagram, "f");
	/* The first events are over and the rest of the datagrams waits for its turn. */
	for (uint32_t i = 0; i < 1; i++) {
		world->sockets[forward].events = 0;
		world->sockets[forward].owner->ready(world->sockets[forward].owner, EPOLLIN);
	}
	world_fails(forward, &error, 0, NULL, 0);
	for (const struct world_heard *heard = next_heard(); heard; heard = next_heard())
		errors += heard->has_quote;
	assert_int_equal(world->heard_count, 101);
	assert_int_equal(errors, 1);
}

#define TEST(function)	   cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)
#define TEST_OWN(function) cmocka_unit_test_teardown(function, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_from_addresses_talked_to),
		TEST(filter_forgets_what_was_long_ago),
		TEST_OWN(endpoint_independent_lets_all_in),
		TEST(client_and_answer),
		TEST(client_asks_two_addresses),
		TEST(clients_seen_as_the_gateway),
		TEST(ports_of_the_gateway_are_not_borrowed),
		TEST(removed_forward_forgets_its_clients),
		TEST(floods_are_taken_in_turns),
		TEST(broken_sockets_do_not_spin),
		TEST(neighbours_go_together),
		TEST(strangers_go_apart),
		TEST(coalesced),
		TEST_OWN(coalesced_and_too_long),
		TEST(a_batch_has_an_end),
		TEST(drops_count_each),
		TEST(clients_many_at_once),
		TEST_OWN(fragments),
		TEST(errors_of_the_way),
		TEST(error_with_a_long_payload),
		TEST_OWN(error_of_the_host_by_the_gateways_name),
		TEST(errors_for_clients_of_a_forward),
		TEST(errors_while_a_forward_is_busy),
	};

	return cmocka_run_group_tests_name("udp_receive", tests, NULL, NULL);
}
