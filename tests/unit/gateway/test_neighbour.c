#include "gateway/neighbour.h"

#include <string.h>

#include "fixture.h"

static void send_arp(struct fixture *fixture, uint32_t port, uint16_t operation,
		     struct mac_addr ethernet, struct mac_addr sender_mac, struct ip_addr sender,
		     struct ip_addr target)
{
	const struct arp_message message = {
		.operation = operation,
		.sender_mac = sender_mac,
		.sender_ip = sender,
		.target_ip = target,
	};
	struct frame frame;

	assert_true(packet_build_arp(&frame, &ethernet, &mac_addr_broadcast, &message));
	fixture_send_frame(fixture, port, &frame);
}

/* A guest announces its address as an honest one does. */
static void announce(struct fixture *fixture, uint32_t port, uint8_t mac, uint8_t addr)
{
	send_arp(fixture, port, ARP_OPERATION_REQUEST, fixture_mac(mac), fixture_mac(mac),
		 fixture_addr(addr), fixture_addr(addr));
}

/* NAT sends something to 172.16.9.NUMBER. */
static void send_to(struct fixture *fixture, uint8_t number)
{
	const struct packet_link link = { .ttl = 0 };
	const struct ip_endpoint from = { fixture_parse("192.0.2.1"), 80 };
	const struct ip_endpoint to = { fixture_addr(number), 4000 };
	const struct iovec iov = { .iov_base = (void *)(uintptr_t) "hello", .iov_len = 5 };
	struct frame frame;

	assert_true(packet_build_udp(&frame, &link, &from, &to, &iov, 1));
	frame_sink_push(gateway_nat_side(fixture->gateway), &frame);
}

static bool reaches(struct fixture *fixture, uint8_t number, uint8_t mac)
{
	unsigned before = fixture->to_bridge.pushed;
	struct mac_addr want = fixture_mac(mac);
	struct frame frame;

	send_to(fixture, number);
	if (fixture->to_bridge.pushed == before)
		return false;
	fixture_frame(&fixture->to_bridge, 0, &frame);
	if (frame.packet.kind != PACKET_IPV4)
		return false;
	assert_true(mac_addr_equal(&frame.packet.mac_source, &fixture_mac_gateway));
	return mac_addr_equal(&frame.packet.mac_destination, &want);
}

static void parse_last_arp(struct fixture *fixture, struct frame *frame,
			   struct arp_message *message)
{
	struct reader reader;

	fixture_frame(&fixture->to_bridge, 0, frame);
	assert_int_equal(frame->packet.kind, PACKET_ARP);
	reader = reader_of(frame->header, frame->header_size);
	reader_skip(&reader, FRAME_ETHERNET_SIZE);
	assert_true(arp_parse(&reader, message));
}

static void answers_for_the_gateway_only(void **state)
{
	struct fixture *fixture = *state;
	struct arp_message reply;
	struct mac_addr guest_mac = fixture_mac(2);
	struct ip_addr guest = fixture_addr(2);
	struct frame frame;

	send_arp(fixture, 0, ARP_OPERATION_REQUEST, guest_mac, guest_mac, guest, fixture_addr(1));
	assert_int_equal(fixture->to_bridge.pushed, 1);
	parse_last_arp(fixture, &frame, &reply);
	assert_int_equal(reply.operation, ARP_OPERATION_REPLY);
	assert_true(mac_addr_equal(&reply.sender_mac, &fixture_mac_gateway));
	assert_true(ip_addr_equal(&reply.sender_ip, &fixture->config.addr));
	assert_true(mac_addr_equal(&reply.target_mac, &guest_mac));
	assert_true(ip_addr_equal(&reply.target_ip, &guest));
	assert_true(mac_addr_equal(&frame.packet.mac_destination, &guest_mac));
	/* Other guests answer for themselves, and nobody for the world. */
	send_arp(fixture, 0, ARP_OPERATION_REQUEST, guest_mac, guest_mac, guest, fixture_addr(3));
	send_arp(fixture, 0, ARP_OPERATION_REQUEST, guest_mac, guest_mac, guest,
		 fixture_parse("192.0.2.1"));
	assert_int_equal(fixture->to_bridge.pushed, 1);
	/* "Is somebody here .1?" (RFC 5227) */
	send_arp(fixture, 0, ARP_OPERATION_REQUEST, guest_mac, guest_mac, ip_addr_from_v4(0),
		 fixture_addr(1));
	assert_int_equal(fixture->to_bridge.pushed, 2);
	assert_int_equal(fixture_drops(fixture), 0);
}

static void lies_are_not_believed(void **state)
{
	struct fixture *fixture = *state;
	struct mac_addr mac = fixture_mac(9);
	const uint8_t senders[] = { 0, 1, 2, 255 }; /* network, gateway, reserved, broadcast */

	for (size_t i = 0; i < ARRAY_COUNT(senders); i++)
		send_arp(fixture, 1, ARP_OPERATION_REPLY, mac, mac, fixture_addr(senders[i]),
			 fixture_addr(1));
	send_arp(fixture, 1, ARP_OPERATION_REQUEST, mac, mac, fixture_parse("10.0.0.1"),
		 fixture_addr(1));
	send_arp(fixture, 1, ARP_OPERATION_REQUEST, mac, fixture_mac(2), fixture_addr(2),
		 fixture_addr(1));
	send_arp(fixture, 1, ARP_OPERATION_REPLY, mac, mac, ip_addr_from_v4(0), fixture_addr(1));
	assert_int_equal(fixture->drops.count[DROP_BAD_ARP], ARRAY_COUNT(senders) + 3);
	assert_int_equal(fixture->to_bridge.pushed, 0);
	assert_int_equal(gateway_neighbours(fixture->gateway, NULL, 0), 0);
	assert_true(reaches(fixture, 2, 2));
}

static void short_arp_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct mac_addr mac = fixture_mac(2);
	uint8_t bytes[60];
	struct frame frame;
	const struct arp_message message = {
		.operation = ARP_OPERATION_REQUEST,
		.sender_mac = mac,
		.sender_ip = fixture_addr(2),
		.target_ip = fixture_addr(1),
	};

	assert_true(packet_build_arp(&frame, &mac, &mac_addr_broadcast, &message));
	assert_true(frame_copy(&frame, bytes, sizeof(bytes)) >= 42);
	for (size_t size = FRAME_ETHERNET_SIZE; size < 42; size++) {
		uint8_t exact[42];

		memcpy(exact, bytes, size);
		fixture_send_bytes(fixture, 0, exact, size);
	}
	assert_int_equal(fixture->to_bridge.pushed, 0);
	assert_int_equal(fixture->drops.count[DROP_BAD_ARP], 28);
}

static void reservations_need_no_learning(void **state)
{
	struct fixture *fixture = *state;

	assert_true(reaches(fixture, 2, 2));
	gateway_port_gone(fixture->gateway, 0);
	assert_true(reaches(fixture, 2, 2));
	assert_int_equal(fixture_drops(fixture), 0);
}

/* Asks by broadcast, once a second; the answer opens the way, and the port's end closes it. */
static void unknown_guests_are_asked_for(void **state)
{
	struct fixture *fixture = *state;
	struct arp_message request;
	struct ip_addr guest = fixture_addr(7);
	struct frame frame;

	for (unsigned i = 0; i < 20; i++) {
		send_to(fixture, 7);
		fixture_advance(fixture, 45);
	}
	assert_int_equal(fixture->drops.count[DROP_NO_NEIGHBOUR], 20);
	assert_int_equal(fixture->to_bridge.pushed, 1);
	parse_last_arp(fixture, &frame, &request);
	assert_int_equal(request.operation, ARP_OPERATION_REQUEST);
	assert_true(ip_addr_equal(&request.target_ip, &guest));
	assert_true(mac_addr_equal(&frame.packet.mac_destination, &mac_addr_broadcast));
	assert_int_equal(fixture->to_bridge.flushed, 1);
	fixture_advance(fixture, 200);
	send_to(fixture, 7);
	assert_int_equal(fixture->to_bridge.pushed, 2);
	send_arp(fixture, 3, ARP_OPERATION_REPLY, fixture_mac(7), fixture_mac(7), guest,
		 fixture_addr(1));
	assert_true(reaches(fixture, 7, 7));
	gateway_port_gone(fixture->gateway, 3);
	assert_false(reaches(fixture, 7, 7));
	/* What can be no guest is not asked for. */
	fixture_advance(fixture, 2000);
	fixture->to_bridge.pushed = 0;
	send_to(fixture, 0);
	send_to(fixture, 1);
	send_to(fixture, 255);
	assert_int_equal(fixture->to_bridge.pushed, 0);
}

static void packets_teach_too(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint from = { fixture_addr(9), 5000 };
	const struct ip_endpoint to = { fixture_parse("192.0.2.1"), 80 };
	struct mac_addr mac = fixture_mac(9);

	fixture_send_udp(fixture, 1, &mac, &from, &to, "x", 1);
	assert_true(reaches(fixture, 9, 9));
}

/* The last speaker changes nothing: neither a learnt address nor a reserved one moves. */
static void addresses_are_not_taken_over(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint to = { fixture_parse("192.0.2.1"), 80 };
	struct mac_addr mac = fixture_mac(66);
	const uint8_t victims[] = { 2, 9 };

	announce(fixture, 1, 9, 9);
	announce(fixture, 2, 66, 66);
	for (size_t i = 0; i < ARRAY_COUNT(victims); i++) {
		const struct ip_endpoint from = { fixture_addr(victims[i]), 5000 };

		announce(fixture, 2, 66, victims[i]);
		fixture_send_udp(fixture, 2, &mac, &from, &to, "x", 1);
		assert_true(reaches(fixture, victims[i], victims[i]));
	}
	assert_int_equal(fixture->drops.count[DROP_BAD_ARP], 2);
	assert_int_equal(fixture->drops.count[DROP_BAD_SOURCE_ADDRESS], 2);
	assert_int_equal(fixture->to_nat.pushed, 0);
}

static void lists_who_is_there(void **state)
{
	struct fixture *fixture = *state;
	struct gateway_neighbour neighbours[4];
	struct ip_addr reserved = fixture_addr(2);
	struct ip_addr learnt = fixture_addr(9);

	assert_int_equal(gateway_neighbours(fixture->gateway, neighbours, 4), 0);
	announce(fixture, 0, 2, 2); /* reserved, but it never asked for it */
	announce(fixture, 1, 9, 9);
	assert_int_equal(gateway_neighbours(fixture->gateway, neighbours, 4), 2);
	assert_true(ip_addr_equal(&neighbours[0].addr, &reserved));
	assert_false(neighbours[0].leased);
	assert_true(ip_addr_equal(&neighbours[1].addr, &learnt));
	assert_false(neighbours[1].leased);
	memset(neighbours, 0, sizeof(neighbours));
	assert_int_equal(gateway_neighbours(fixture->gateway, neighbours, 1), 2);
	assert_int_equal(neighbours[1].addr.family, IP_FAMILY_NONE);
	gateway_port_gone(fixture->gateway, 0);
	gateway_port_gone(fixture->gateway, 1);
	assert_int_equal(gateway_neighbours(fixture->gateway, neighbours, 4), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_for_the_gateway_only), TEST(lies_are_not_believed),
		TEST(short_arp_is_dropped),	    TEST(reservations_need_no_learning),
		TEST(unknown_guests_are_asked_for), TEST(packets_teach_too),
		TEST(addresses_are_not_taken_over), TEST(lists_who_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
