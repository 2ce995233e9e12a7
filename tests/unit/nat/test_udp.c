/* From the guest to the world: which socket, as what, and what is said when it cannot go. */
#include "world.h"

#include "nat/udp.h"
#include "wire/udp.h"

static void datagram_and_answer(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "hello");
	const struct world_sent *sent = expect_sent(at(REMOTE, 7), "hello");
	assert_int_equal(sent->datagram.local.family, IP_FAMILY_NONE);
	assert_int_equal(sent->datagram.ttl, 63);
	assert_false(sent->datagram.dont_fragment);
	world_arrives(sent->socket, at(REMOTE, 7), HOST_LAN, "there");
	expect_heard(at(REMOTE, 7), at(GUEST, 5000), "there");
	assert_int_equal(udp_flow_count(world->nat), 1);
	assert_true(world->flushed > 0);
	expect_silence();
}

static void empty_datagram(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "");
	world_arrives(expect_sent(at(REMOTE, 7), "")->socket, at(REMOTE, 7), HOST_LAN, "");
	expect_heard(at(REMOTE, 7), at(GUEST, 5000), "");
}

static void header_is_carried(void **state)
{
	static const struct {
		uint8_t ttl;
		uint8_t tos;
		bool dont_fragment;
		uint8_t sent_ttl;
	} rows[] = {
		{ 2, 0, false, 1 },
		{ 255, 0xb8, true, 254 },
		{ 64, 0x01, false, 63 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		guest_udp_shaped(at(GUEST, 5000), at(REMOTE, 7),
				 (struct world_shape){ .ttl = rows[i].ttl,
						       .tos = rows[i].tos,
						       .dont_fragment = rows[i].dont_fragment,
						       .size = 10 });
		const struct world_sent *sent = must_send();
		assert_int_equal(sent->datagram.ttl, rows[i].sent_ttl);
		assert_int_equal(sent->datagram.tos, rows[i].tos);
		assert_int_equal(sent->datagram.dont_fragment, rows[i].dont_fragment);
	}
}

/* RFC 4787 4.1: one socket for all destinations; another guest endpoint has another. */
static void mapping_is_endpoint_independent(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "a");
	guest_udp(at(GUEST, 5000), at(REMOTE, 8), "b");
	guest_udp(at(GUEST, 5000), at(REMOTE_B, 7), "c");
	guest_udp(at(GUEST, 5001), at(REMOTE, 7), "d");
	guest_udp(at(GUEST_B, 5000), at(REMOTE, 7), "e");
	int first = must_send()->socket;
	assert_int_equal(must_send()->socket, first);
	assert_int_equal(must_send()->socket, first);
	int second = must_send()->socket;
	assert_int_not_equal(second, first);
	int third = must_send()->socket;
	assert_int_not_equal(third, first);
	assert_int_not_equal(third, second);
	assert_int_equal(udp_flow_count(world->nat), 3);
}

/* CVE-2014-3640. */
static void ports_of_zero(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 0), at(REMOTE, 7), "x");
	guest_udp(at(GUEST, 5000), at(REMOTE, 0), "x");
	expect_silence();
	assert_int_equal(world_drops(DROP_BAD_L4_HEADER), 2);
	assert_int_equal(udp_flow_count(world->nat), 0);
}

static void forbidden_is_said_with_the_own_packet(void **state)
{
	(void)state;
	guest_udp_shaped(at(GUEST, 5000), at(HOST_LAN, 111), (struct world_shape){ .size = 100 });
	const struct world_heard *heard =
		expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE, ICMP_CODE_ADMIN_PROHIBITED, HOST_LAN);
	struct reader reader = reader_of(heard->quote.payload, heard->quote.payload_size);
	struct udp_header header;

	assert_int_equal(heard->quote.ip.protocol, PACKET_IP_PROTOCOL_UDP);
	assert_int_equal(heard->quote.ip.total_size, 20 + 8 + 100);
	assert_true(udp_parse(&reader, &header));
	assert_int_equal(header.source_port, 5000);
	assert_int_equal(header.destination_port, 111);
	assert_int_equal(reader_left(&reader), 100);
	assert_int_equal(world_drops(DROP_HOST_ACCESS), 1);
	assert_int_equal(udp_flow_count(world->nat), 0);
	expect_silence();
}

/* RFC 1122 3.2.2. */
static void no_error_about_multicast(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5353), at(0xe00000fb, 5353), "mdns");
	guest_udp(at(GUEST, 5353), at(0xffffffff, 5353), "all");
	expect_silence();
	assert_int_equal(world_drops(DROP_FORBIDDEN_DESTINATION), 2);
}

static void host_refuses(void **state)
{
	static const struct {
		int error;
		int code; /* -1 = silence */
		enum drop_reason reason;
	} rows[] = {
		{ -ENETUNREACH, ICMP_CODE_NET_UNREACHABLE, DROP_SOCKET_ERROR },
		{ -EHOSTUNREACH, ICMP_CODE_HOST_UNREACHABLE, DROP_SOCKET_ERROR },
		{ -EACCES, ICMP_CODE_ADMIN_PROHIBITED, DROP_SOCKET_ERROR },
		{ -EPERM, ICMP_CODE_ADMIN_PROHIBITED, DROP_SOCKET_ERROR },
		{ -EAGAIN, -1, DROP_SOCKET_FULL },
		{ -ENOBUFS, -1, DROP_SOCKET_FULL },
		{ -EINVAL, -1, DROP_SOCKET_ERROR },
		/* Somebody else's error: nothing in the queue says that it is about this one. */
		{ -EMSGSIZE, -1, DROP_SOCKET_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t before = world_drops(rows[i].reason);

		world->send_error = rows[i].error;
		guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
		assert_int_equal(world_drops(rows[i].reason), before + 1);
		if (rows[i].code >= 0)
			expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE, (uint8_t)rows[i].code, REMOTE);
		expect_silence();
	}
}

/* RFC 1191: the MTU, and the guest's own packet. The queue's entry names no port. */
static void too_long_for_the_path(void **state)
{
	(void)state;
	world->path_mtu = 1280;
	guest_udp_shaped(at(GUEST, 5000), at(REMOTE, 7),
			 (struct world_shape){ .dont_fragment = true, .size = 1400 });
	const struct world_heard *heard = expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE,
						       ICMP_CODE_FRAGMENTATION_NEEDED, REMOTE);
	struct reader reader = reader_of(heard->quote.payload, heard->quote.payload_size);
	struct udp_header header;

	assert_int_equal(heard->icmp.mtu, 1280);
	assert_int_equal(heard->quote.ip.total_size, 1428);
	assert_true(heard->quote.ip.dont_fragment);
	assert_true(udp_parse(&reader, &header));
	assert_int_equal(header.source_port, 5000);
	assert_int_equal(header.size, 1408);
	/* Once: the event that comes behind finds nothing more to say. */
	expect_silence();
	assert_int_equal(world_drops(DROP_SOCKET_ERROR), 1);
	guest_udp_shaped(at(GUEST, 5000), at(REMOTE, 7),
			 (struct world_shape){ .dont_fragment = true, .size = 1252 });
	assert_int_equal(must_send()->size, 1252);
	guest_udp_shaped(at(GUEST, 5000), at(REMOTE, 7), (struct world_shape){ .size = 1400 });
	assert_int_equal(must_send()->size, 1400);
	expect_silence();
}

/* What else waited in the queue is told as well, and only that datagram gets the MTU. */
static void too_long_with_other_errors_waiting(void **state)
{
	const struct host_icmp_error refused = {
		.remote = at(REMOTE_B, 9),
		.origin = ip_addr_from_v4(REMOTE_B),
		.type = ICMP_TYPE_UNREACHABLE,
		.code = ICMP_CODE_PORT_UNREACHABLE,
		.error = ECONNREFUSED,
		.payload_size = 2,
	};

	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE_B, 9), "hi");
	int socket = must_send()->socket;
	world->path_mtu = 1280;
	/* In the queue, but not yet announced. */
	world->sockets[socket].owner->ready = NULL;
	world_fails(socket, &refused, 0, "hi", 2);
	guest_udp_shaped(at(GUEST, 5000), at(REMOTE, 7),
			 (struct world_shape){ .dont_fragment = true, .size = 1400 });
	expect_error(REMOTE_B, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT_UNREACHABLE, REMOTE_B);
	assert_int_equal(
		expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, REMOTE)
			->icmp.mtu,
		1280);
	expect_silence();
}

static void no_descriptor_left(void **state)
{
	(void)state;
	world->sockets_most = world->sockets_open;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	expect_silence();
	assert_int_equal(world_drops(DROP_SOCKET_LIMIT), 1);
	assert_int_equal(udp_flow_count(world->nat), 0);
	assert_int_equal(world->nat->budget.used, 0);
	world->sockets_most++;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "y");
	expect_sent(at(REMOTE, 7), "y");
}

/* Peers see the external port, whoever talked first. */
static void guest_talks_by_its_forward(void **state)
{
	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	guest_udp(at(GUEST, 53), at(REMOTE, 7), "q");
	assert_int_equal(expect_sent(at(REMOTE, 7), "q")->socket, forward);
	world_arrives(forward, at(REMOTE, 7), HOST_LAN, "r");
	expect_heard(at(REMOTE, 7), at(GUEST, 53), "r");
	/* Bound to an address, it cannot send from another. */
	int bound = world_forward(NAT_PROTOCOL_UDP, at(LOOPBACK, 5354), at(GUEST, 54));
	guest_udp(at(GUEST, 54), at(REMOTE, 7), "q");
	assert_int_not_equal(expect_sent(at(REMOTE, 7), "q")->socket, bound);
	expect_silence();
}

/* guest -> gateway:external -> the guest's own service, and back. */
static void hairpin(uint32_t to, struct ip_endpoint bound)
{
	(void)world_forward(NAT_PROTOCOL_UDP, bound, at(GUEST, 53));
	guest_udp(at(GUEST, 6000), at(to, 5353), "ask");
	const struct world_heard *heard = must_hear();
	struct ip_endpoint client = { heard->packet.ip_source, heard->packet.port_source };
	assert_int_equal(ip_addr_to_v4(&client.addr), GATEWAY);
	assert_int_equal(heard->packet.port_destination, 53);
	assert_memory_equal(heard->payload, "ask", 3);
	guest_udp(at(GUEST, 53), client, "say");
	expect_heard(at(to, 5353), at(GUEST, 6000), "say");
	expect_silence();
	assert_int_equal(nat_forward_remove(world->nat, NAT_PROTOCOL_UDP, &bound), 0);
}

static void hairpins(void **state)
{
	(void)state;
	hairpin(GATEWAY, at(0, 5353));
	world_pass(400 * NS_PER_S);
	hairpin(HOST_LAN, at(0, 5353));
	world_pass(400 * NS_PER_S);
	hairpin(HOST_OTHER, at(HOST_OTHER, 5353));
	world_pass(400 * NS_PER_S);
	hairpin(GATEWAY, at(HOST_OTHER, 5353));
}

/* Another guest's, too. */
static void hairpin_to_another_guest(void **state)
{
	(void)state;
	(void)world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST_B, 53));
	guest_udp(at(GUEST, 6000), at(GATEWAY, 5353), "ask");
	const struct world_heard *heard = must_hear();
	assert_int_equal(ip_addr_to_v4(&heard->packet.ip_destination), GUEST_B);
	struct ip_endpoint client = { heard->packet.ip_source, heard->packet.port_source };
	guest_udp(at(GUEST_B, 53), client, "say");
	expect_heard(at(GATEWAY, 5353), at(GUEST, 6000), "say");
}

static void hairpin_to_ipv6_alone_is_dropped(void **state)
{
	(void)state;
	(void)world_forward(NAT_PROTOCOL_UDP, at6("::", 5353), at(GUEST, 53));
	guest_udp(at(GUEST, 6000), at(GATEWAY, 5353), "ask");
	expect_silence();
	assert_int_equal(world_drops(DROP_HOST_ACCESS), 1);
	assert_int_equal(udp_flow_count(world->nat), 0);
}

/* The host under two names: the answer shows the newer one. */
static void same_remote_by_two_names(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.host_access = NAT_HOST_ACCESS_LAN;
	world_start(&config);
	guest_udp(at(GUEST, 5000), at(HOST_LAN, 7), "a");
	guest_udp(at(GUEST, 5000), at(GATEWAY, 7), "b");
	expect_sent(at(HOST_LAN, 7), "a");
	int socket = expect_sent(at(HOST_LAN, 7), "b")->socket;
	world_arrives(socket, at(HOST_LAN, 7), HOST_LAN, "c");
	expect_heard(at(GATEWAY, 7), at(GUEST, 5000), "c");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(datagram_and_answer),
		TEST(empty_datagram),
		TEST(header_is_carried),
		TEST(mapping_is_endpoint_independent),
		TEST(ports_of_zero),
		TEST(forbidden_is_said_with_the_own_packet),
		TEST(no_error_about_multicast),
		TEST(host_refuses),
		TEST(too_long_for_the_path),
		TEST(too_long_with_other_errors_waiting),
		TEST(no_descriptor_left),
		TEST(guest_talks_by_its_forward),
		TEST(hairpins),
		TEST(hairpin_to_another_guest),
		TEST(hairpin_to_ipv6_alone_is_dropped),
		cmocka_unit_test_teardown(same_remote_by_two_names, world_teardown),
	};

	return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
