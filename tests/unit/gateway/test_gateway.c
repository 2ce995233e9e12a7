#include "gateway/gateway.h"

#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "wire/frame_fragment.h"
#include "wire/tcp.h"

/* One UDP datagram, and where it ends up: at NAT, or dropped for a reason. */
struct route {
	const char *name;
	const char *from;
	const char *to;
	uint16_t port;
	uint8_t mac; /* Ethernet source: 02:...:MAC */
	bool to_nat;
	enum drop_reason reason;
};

static const struct route routes[] = {
	{ "reserved guest to the world", "172.16.9.2", "192.0.2.1", 80, 2, true, 0 },
	{ "unreserved guest to the world", "172.16.9.7", "192.0.2.1", 80, 7, true, 0 },
	{ "other port of the gateway", "172.16.9.2", "172.16.9.1", 5353, 2, true, 0 },
	{ "loopback is NAT's to refuse", "172.16.9.2", "127.0.0.1", 80, 2, true, 0 },
	{ "from outside the subnet", "192.0.2.9", "192.0.2.1", 80, 2, false,
	  DROP_BAD_SOURCE_ADDRESS },
	{ "from loopback", "127.0.0.1", "192.0.2.1", 80, 2, false, DROP_BAD_SOURCE_ADDRESS },
	{ "from the gateway's", "172.16.9.1", "192.0.2.1", 80, 2, false, DROP_BAD_SOURCE_ADDRESS },
	{ "from the network's", "172.16.9.0", "192.0.2.1", 80, 2, false, DROP_BAD_SOURCE_ADDRESS },
	{ "from broadcast", "172.16.9.255", "192.0.2.1", 80, 2, false, DROP_BAD_SOURCE_ADDRESS },
	{ "from all ones", "255.255.255.255", "192.0.2.1", 80, 2, false, DROP_BAD_SOURCE_ADDRESS },
	{ "from nowhere", "0.0.0.0", "192.0.2.1", 80, 2, false, DROP_BAD_SOURCE_ADDRESS },
	{ "from nowhere to the gateway", "0.0.0.0", "172.16.9.1", 53, 2, false,
	  DROP_BAD_SOURCE_ADDRESS },
	{ "from a multicast", "224.0.0.1", "192.0.2.1", 80, 2, false, DROP_BAD_SOURCE_ADDRESS },
	{ "from another's reservation", "172.16.9.2", "192.0.2.1", 80, 7, false,
	  DROP_BAD_SOURCE_ADDRESS },
	{ "to another guest", "172.16.9.2", "172.16.9.7", 80, 2, false,
	  DROP_FORBIDDEN_DESTINATION },
	{ "to the network's", "172.16.9.2", "172.16.9.0", 80, 2, false,
	  DROP_FORBIDDEN_DESTINATION },
	{ "to the subnet's broadcast", "172.16.9.2", "172.16.9.255", 80, 2, false,
	  DROP_FORBIDDEN_DESTINATION },
	{ "to all ones", "172.16.9.2", "255.255.255.255", 80, 2, false,
	  DROP_FORBIDDEN_DESTINATION },
	{ "mDNS", "172.16.9.2", "224.0.0.251", 5353, 2, false, DROP_FORBIDDEN_DESTINATION },
};

static void datagrams_find_their_way(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_COUNT(routes); i++) {
		const struct route *route = &routes[i];
		const struct ip_endpoint from = { fixture_parse(route->from), 5000 };
		const struct ip_endpoint to = { fixture_parse(route->to), route->port };
		struct mac_addr mac = fixture_mac(route->mac);
		unsigned to_nat = fixture->to_nat.pushed;
		uint64_t drops = fixture_drops(fixture);
		uint64_t reason = fixture->drops.count[route->reason];

		fixture_send_udp(fixture, route->mac, &mac, &from, &to, "x", 1);
		if (fixture->to_nat.pushed != to_nat + route->to_nat)
			fail_msg("%s: %s NAT", route->name, route->to_nat ? "not at" : "at");
		if (fixture_drops(fixture) != drops + !route->to_nat)
			fail_msg("%s: not counted once", route->name);
		if (!route->to_nat && fixture->drops.count[route->reason] != reason + 1)
			fail_msg("%s: another reason", route->name);
	}
	assert_int_equal(fixture->to_bridge.pushed, 0);
}

/* One good UDP frame of 43 bytes, to be spoilt. */
static size_t good_frame(uint8_t *ret_bytes, size_t capacity)
{
	const struct packet_link link = {
		.source = fixture_mac(2),
		.destination = fixture_mac_gateway,
	};
	const struct ip_endpoint from = { fixture_addr(2), 5000 };
	const struct ip_endpoint to = { fixture_parse("192.0.2.1"), 80 };
	const struct iovec iov = { .iov_base = (void *)(uintptr_t) "x", .iov_len = 1 };
	struct frame frame;
	size_t size;

	assert_true(packet_build_udp(&frame, &link, &from, &to, &iov, 1));
	size = frame_copy(&frame, ret_bytes, capacity);
	assert_int_equal(size, 43);
	return size;
}

static void fix_ip_checksum(uint8_t *ip, size_t size)
{
	uint32_t sum = 0;

	ip[10] = ip[11] = 0;
	for (size_t i = 0; i < size; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static void wrong_checksums_are_dropped(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[64];
	size_t size = good_frame(bytes, sizeof(bytes));

	bytes[size - 1] ^= 1;
	fixture_send_bytes(fixture, 0, bytes, size);
	assert_int_equal(fixture->drops.count[DROP_BAD_L4_CHECKSUM], 1);
	assert_int_equal(fixture->to_nat.pushed, 0);
	bytes[40] = bytes[41] = 0; /* none at all: RFC 768 */
	fixture_send_bytes(fixture, 0, bytes, size);
	assert_int_equal(fixture->to_nat.pushed, 1);
}

static void options_are_not_carried(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[64];
	uint8_t longer[68] = { 0 };
	size_t size = good_frame(bytes, sizeof(bytes));

	memcpy(longer, bytes, 34);
	memset(longer + 34, 1, 4); /* four NOPs */
	memcpy(longer + 38, bytes + 34, size - 34);
	longer[14] = 0x46;
	longer[17] = (uint8_t)(longer[17] + 4);
	fix_ip_checksum(longer + 14, 24);
	fixture_send_bytes(fixture, 0, longer, size + 4);
	assert_int_equal(fixture->drops.count[DROP_IP_OPTIONS], 1);
	assert_int_equal(fixture->to_nat.pushed, 0);
}

static void unknown_protocols_are_dropped(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[64];
	struct frame frame;
	size_t size = good_frame(bytes, sizeof(bytes));

	bytes[23] = 132; /* SCTP */
	fix_ip_checksum(bytes + 14, 20);
	fixture_send_bytes(fixture, 0, bytes, size);
	assert_int_equal(fixture->drops.count[DROP_UNKNOWN_PROTOCOL], 1);
	assert_int_equal(fixture->to_bridge.pushed, 0);
	memcpy(bytes + 30, "\xac\x10\x09\x01", 4);
	fix_ip_checksum(bytes + 14, 20);
	fixture_send_bytes(fixture, 0, bytes, size);
	assert_int_equal(fixture->drops.count[DROP_UNKNOWN_PROTOCOL], 2);
	fixture_frame(&fixture->to_bridge, 0, &frame);
	assert_int_equal(frame.packet.icmp_type, ICMP_TYPE_UNREACHABLE);
	assert_int_equal(frame.packet.icmp_code, ICMP_CODE_PROTOCOL_UNREACHABLE);
}

static void other_ethertypes_are_dropped(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[64] = { 0 };

	good_frame(bytes, sizeof(bytes));
	bytes[12] = 0x81; /* a VLAN tag */
	bytes[13] = 0;
	fixture_send_bytes(fixture, 0, bytes, sizeof(bytes));
	assert_int_equal(fixture->drops.count[DROP_UNKNOWN_ETHERTYPE], 1);
	bytes[12] = 0x86;
	bytes[13] = 0xdd;
	memset(bytes + 14, 0, sizeof(bytes) - 14);
	bytes[14] = 0x60;
	bytes[20] = 59;
	fixture_send_bytes(fixture, 0, bytes, 54);
	assert_int_equal(fixture->drops.count[DROP_IPV6_OFF], 1);
}

/* IP for one host in a frame for all is nobody's (RFC 1122 3.3.6). */
static void unicast_by_broadcast_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[64];
	size_t size = good_frame(bytes, sizeof(bytes));

	memset(bytes, 0xff, 6);
	fixture_send_bytes(fixture, 0, bytes, size);
	assert_int_equal(fixture->drops.count[DROP_FORBIDDEN_DESTINATION], 1);
	assert_int_equal(fixture->to_nat.pushed, 0);
}

static void tcp_to_the_gateway_goes_on(void **state)
{
	struct fixture *fixture = *state;
	const struct packet_link link = {
		.source = fixture_mac(2),
		.destination = fixture_mac_gateway,
		.ttl = 1,
	};
	const struct ip_endpoint from = { fixture_addr(2), 5000 };
	const struct ip_endpoint to = { fixture->config.addr, 53 };
	const struct tcp_header header = { .sequence = 1, .window = 1000 };
	struct frame frame;

	assert_true(packet_build_tcp(&frame, &link, &from, &to, &header, NULL, 0, 0));
	frame_sink_push(gateway_guest_side(fixture->gateway), &frame);
	assert_int_equal(fixture->to_nat.pushed, 1);
	assert_int_equal(fixture->to_bridge.pushed, 0);
}

static void send_fragment(void *context, const struct frame *frame)
{
	fixture_send_frame(context, 4, frame);
}

/* Fragments reach NAT as one packet, checked as one. */
static void fragments_go_on_whole(void **state)
{
	static uint8_t data[30000];
	static uint8_t got[30000];
	struct fixture *fixture = *state;
	const struct packet_link link = {
		.source = fixture_mac(2),
		.destination = fixture_mac_gateway,
		.id = 5,
	};
	const struct ip_endpoint from = { fixture_addr(2), 5000 };
	const struct ip_endpoint to = { fixture_parse("192.0.2.1"), 80 };
	const struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
	struct frame frame;

	fixture->random.random.fill(&fixture->random.random, data, sizeof(data));
	assert_true(packet_build_udp(&frame, &link, &from, &to, &iov, 1));
	assert_int_equal(frame_fragment(&frame, 1500, send_fragment, fixture), 21);
	assert_int_equal(fixture->to_nat.pushed, 1);
	assert_int_equal(fixture_payload(&fixture->to_nat, 0, got, sizeof(got)), sizeof(data));
	assert_memory_equal(got, data, sizeof(data));
	assert_int_equal(fixture_drops(fixture), 0);
}

static void without_nat_it_ends_here(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[64];
	size_t size = good_frame(bytes, sizeof(bytes));

	gateway_set_nat(fixture->gateway, NULL);
	fixture_send_bytes(fixture, 0, bytes, size);
	assert_int_equal(fixture->drops.count[DROP_NAT_OFF], 1);
	frame_sink_flush(gateway_guest_side(fixture->gateway));
}

static void doors_pass_on_flush_and_room(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(frame_sink_room(gateway_nat_side(fixture->gateway), 7), 1007);
	assert_true(frame_sink_room(gateway_guest_side(fixture->gateway), 7) == SIZE_MAX);
	frame_sink_flush(gateway_nat_side(fixture->gateway));
	assert_int_equal(fixture->to_bridge.flushed, 1);
	frame_sink_flush(gateway_guest_side(fixture->gateway));
	assert_int_equal(fixture->to_nat.flushed, 1);
}

static void dns_off_goes_on(void **state)
{
	struct fixture *fixture = fixture_new();
	const struct ip_endpoint from = { fixture_addr(2), 5000 };
	const struct ip_endpoint to = { fixture_addr(1), 53 };
	struct mac_addr mac = fixture_mac(2);

	(void)state;
	fixture->config.dns = false;
	fixture_start(fixture);
	assert_null(gateway_dns_stream(fixture->gateway));
	fixture_send_udp(fixture, 0, &mac, &from, &to, "x", 1);
	assert_int_equal(fixture->to_nat.pushed, 1);
	fixture_free(fixture);
}

static void bad_configs_are_refused(void **state)
{
	struct fixture *fixture = *state;
	const struct gateway_context context = {
		.loop = fixture->loop,
		.random = &fixture->random.random,
		.drops = &fixture->drops,
		.to_bridge = &fixture->to_bridge.sink,
	};
	struct gateway_config config = fixture->config;
	struct gateway *gateway = NULL;

	assert_int_equal(gateway_new(&config, &context, &gateway), -EINVAL); /* DNS, no host */
	config.dns = false;
	config.mtu = 575;
	assert_int_equal(gateway_new(&config, &context, &gateway), -EINVAL);
	config.mtu = 576;
	config.reservation_count = GATEWAY_MAX_RESERVATIONS + 1;
	assert_int_equal(gateway_new(&config, &context, &gateway), -EINVAL);
	assert_null(gateway);
	config.reservation_count = 0;
	assert_int_equal(gateway_new(&config, &context, &gateway), 0);
	assert_null(gateway_free(gateway));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(datagrams_find_their_way),	    TEST(wrong_checksums_are_dropped),
		TEST(options_are_not_carried),	    TEST(unknown_protocols_are_dropped),
		TEST(other_ethertypes_are_dropped), TEST(unicast_by_broadcast_is_dropped),
		TEST(tcp_to_the_gateway_goes_on),   TEST(fragments_go_on_whole),
		TEST(without_nat_it_ends_here),	    TEST(doors_pass_on_flush_and_room),
		cmocka_unit_test(dns_off_goes_on),  TEST(bad_configs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
