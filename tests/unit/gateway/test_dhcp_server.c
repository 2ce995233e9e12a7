#include "gateway/dhcp_server.h"

#include <string.h>

#include "fixture.h"
#include "gateway/lease_pool.h"
#include "wire/dhcp.h"
#include "wire/writer.h"

/* A client's message; what is zero is left out. */
struct client {
	enum dhcp_type type;
	struct mac_addr mac;   /* chaddr and Ethernet source */
	struct ip_addr ciaddr; /* also the IP source where it is set */
	struct ip_addr requested;
	struct ip_addr server;
	struct ip_addr giaddr;
	uint32_t port;
	bool broadcast_flag;
	bool unicast; /* to the gateway (RENEWING) */
	bool duid;
	bool reply_op;
	struct mac_addr ethernet; /* where it is not chaddr */
};

static const uint8_t duid[] = { 0xff, 1, 2, 3, 4, 0, 2, 0, 0, 0xab, 0x11, 9, 8, 7 };

static void write_addr(struct writer *writer, const struct ip_addr *addr)
{
	writer_u32(writer, ip_addr_is_v4(addr) ? ip_addr_to_v4(addr) : 0);
}

static void write_addr_option(struct writer *writer, uint8_t code, const struct ip_addr *addr)
{
	if (!ip_addr_is_v4(addr))
		return;
	writer_u8(writer, code);
	writer_u8(writer, 4);
	write_addr(writer, addr);
}

static size_t write_client(const struct client *client, uint8_t *bytes, size_t size)
{
	struct writer writer = writer_of(bytes, size);

	writer_u8(&writer, client->reply_op ? DHCP_OP_REPLY : DHCP_OP_REQUEST);
	writer_u8(&writer, 1);
	writer_u8(&writer, 6);
	writer_u8(&writer, 0);
	writer_u32(&writer, 0x12345678);
	writer_u16(&writer, 0);
	writer_u16(&writer, client->broadcast_flag ? 0x8000 : 0);
	write_addr(&writer, &client->ciaddr);
	writer_u32(&writer, 0);
	writer_u32(&writer, 0);
	write_addr(&writer, &client->giaddr);
	writer_bytes(&writer, &client->mac, 6);
	writer_zeroes(&writer, 10 + 64 + 128);
	writer_u32(&writer, 0x63825363);
	if (client->type != DHCP_TYPE_NONE) {
		writer_u8(&writer, DHCP_OPTION_TYPE);
		writer_u8(&writer, 1);
		writer_u8(&writer, (uint8_t)client->type);
	}
	if (client->duid) {
		writer_u8(&writer, DHCP_OPTION_CLIENT_ID);
		writer_u8(&writer, sizeof(duid));
		writer_bytes(&writer, duid, sizeof(duid));
	}
	write_addr_option(&writer, DHCP_OPTION_REQUESTED_IP, &client->requested);
	write_addr_option(&writer, DHCP_OPTION_SERVER_ID, &client->server);
	writer_u8(&writer, DHCP_OPTION_END);
	assert_true(writer_ok(&writer));
	return writer.position;
}

static void send_message(struct fixture *fixture, const struct client *client)
{
	struct ip_endpoint from = { ip_addr_from_v4(0), DHCP_PORT_CLIENT };
	struct ip_endpoint to = { ip_addr_from_v4(INADDR_BROADCAST), DHCP_PORT_SERVER };
	const struct mac_addr *mac =
		mac_addr_is_zero(&client->ethernet) ? &client->mac : &client->ethernet;
	uint8_t bytes[600];
	size_t size = write_client(client, bytes, sizeof(bytes));

	if (ip_addr_is_v4(&client->ciaddr))
		from.addr = client->ciaddr;
	if (client->unicast)
		to.addr = fixture->config.addr;
	fixture_send_udp(fixture, client->port, mac, &from, &to, bytes, size);
}

struct answer {
	struct dhcp_message message;
	struct frame frame;
	uint8_t bytes[600];
	size_t size;
};

/* What came for the message: false when nothing did. */
static bool ask(struct fixture *fixture, const struct client *client, struct answer *ret_answer)
{
	unsigned before = fixture->to_bridge.pushed;

	send_message(fixture, client);
	if (fixture->to_bridge.pushed == before)
		return false;
	assert_int_equal(fixture->to_bridge.pushed, before + 1);
	fixture_frame(&fixture->to_bridge, 0, &ret_answer->frame);
	ret_answer->size = fixture_payload(&fixture->to_bridge, 0, ret_answer->bytes,
					   sizeof(ret_answer->bytes));
	assert_true(dhcp_parse(ret_answer->bytes, ret_answer->size, &ret_answer->message));
	assert_int_equal(ret_answer->message.op, DHCP_OP_REPLY);
	assert_int_equal(ret_answer->message.xid, 0x12345678);
	assert_int_equal(ret_answer->frame.packet.port_source, DHCP_PORT_SERVER);
	assert_int_equal(ret_answer->frame.packet.port_destination, DHCP_PORT_CLIENT);
	assert_true(ip_addr_equal(&ret_answer->frame.packet.ip_source, &fixture->config.addr));
	assert_true(ip_addr_equal(&ret_answer->message.server_id, &fixture->config.addr));
	assert_true(mac_addr_equal(&ret_answer->message.chaddr, &client->mac));
	return true;
}

static void assert_option(const struct answer *answer, uint8_t code, const void *bytes, size_t size)
{
	struct dhcp_bytes value;

	if (!dhcp_find_option(answer->bytes, answer->size, code, &value))
		fail_msg("option %u missing", code);
	assert_int_equal(value.size, size);
	assert_memory_equal(value.bytes, bytes, size);
}

static bool has_option(const struct answer *answer, uint8_t code)
{
	struct dhcp_bytes value;

	return dhcp_find_option(answer->bytes, answer->size, code, &value);
}

static void assert_yiaddr(const struct answer *answer, uint8_t number)
{
	struct ip_addr addr = fixture_addr(number);

	assert_true(ip_addr_equal(&answer->message.yiaddr, &addr));
}

/* DISCOVER, REQUEST in SELECTING. Returns the address's last byte. */
static uint8_t acquire(struct fixture *fixture, struct mac_addr mac, uint32_t port)
{
	struct client client = { .type = DHCP_TYPE_DISCOVER, .mac = mac, .port = port };
	struct answer answer;

	assert_true(ask(fixture, &client, &answer));
	assert_int_equal(answer.message.type, DHCP_TYPE_OFFER);
	client.type = DHCP_TYPE_REQUEST;
	client.server = fixture->config.addr;
	client.requested = answer.message.yiaddr;
	assert_true(ask(fixture, &client, &answer));
	assert_int_equal(answer.message.type, DHCP_TYPE_ACK);
	assert_true(ip_addr_equal(&answer.message.yiaddr, &client.requested));
	return client.requested.octet[3];
}

static void assert_everything_told(const struct answer *answer)
{
	assert_option(answer, DHCP_OPTION_MASK, "\xff\xff\xff\x00", 4);
	assert_option(answer, DHCP_OPTION_ROUTER, "\xac\x10\x09\x01", 4);
	assert_option(answer, DHCP_OPTION_DNS, "\xac\x10\x09\x01", 4);
	assert_option(answer, DHCP_OPTION_DOMAIN, "test", 4);
	assert_option(answer, DHCP_OPTION_MTU, "\x05\xdc", 2);
	assert_option(answer, DHCP_OPTION_BROADCAST, "\xac\x10\x09\xff", 4);
}

static void a_reservation_holds_by_mac(void **state)
{
	struct fixture *fixture = *state;
	/* The client id is a DUID: it says nothing about the MAC (RFC 4361). */
	struct client client = { .type = DHCP_TYPE_DISCOVER, .mac = fixture_mac(2), .duid = true };
	struct ip_addr guest = fixture_addr(2);
	struct answer answer;

	assert_true(ask(fixture, &client, &answer));
	assert_int_equal(answer.message.type, DHCP_TYPE_OFFER);
	assert_yiaddr(&answer, 2);
	assert_everything_told(&answer);
	assert_option(&answer, DHCP_OPTION_HOSTNAME, "Box", 3);
	assert_option(&answer, DHCP_OPTION_LEASE, "\x00\x01\x51\x80", 4);
	assert_option(&answer, DHCP_OPTION_T1, "\x00\x00\xa8\xc0", 4);
	assert_option(&answer, DHCP_OPTION_T2, "\x00\x01\x27\x50", 4);
	assert_option(&answer, DHCP_OPTION_CLIENT_ID, duid, sizeof(duid)); /* RFC 6842 */
	/* Unicast to what it will have (RFC 2131 4.1). */
	assert_true(ip_addr_equal(&answer.frame.packet.ip_destination, &guest));
	assert_true(mac_addr_equal(&answer.frame.packet.mac_destination, &client.mac));
	assert_int_equal(acquire(fixture, fixture_mac(2), 0), 2);
	assert_int_equal(fixture_drops(fixture), 0);
	/* Answers leave with the end of the batch. */
	assert_int_equal(fixture->to_bridge.flushed, 0);
	fixture_advance(fixture, 1);
	assert_int_equal(fixture->to_bridge.flushed, 1);
}

static void the_broadcast_flag_is_honoured(void **state)
{
	struct fixture *fixture = *state;
	struct client client = {
		.type = DHCP_TYPE_DISCOVER,
		.mac = fixture_mac(2),
		.broadcast_flag = true,
	};
	struct answer answer;

	assert_true(ask(fixture, &client, &answer));
	assert_true(answer.message.broadcast);
	assert_int_equal(ip_addr_to_v4(&answer.frame.packet.ip_destination), INADDR_BROADCAST);
	assert_true(mac_addr_equal(&answer.frame.packet.mac_destination, &mac_addr_broadcast));
}

static void renews_and_rebinds(void **state)
{
	struct fixture *fixture = *state;
	struct ip_addr guest = fixture_addr(2);
	struct client client = {
		.type = DHCP_TYPE_REQUEST,
		.mac = fixture_mac(2),
		.ciaddr = guest,
		.broadcast_flag = true, /* ciaddr goes before it */
	};
	struct gateway_neighbour neighbour;
	struct answer answer;

	acquire(fixture, fixture_mac(2), 0);
	fixture_advance(fixture, 10000);
	for (unsigned i = 0; i < 2; i++) {
		client.unicast = i == 0;
		assert_true(ask(fixture, &client, &answer));
		assert_int_equal(answer.message.type, DHCP_TYPE_ACK);
		assert_yiaddr(&answer, 2);
		assert_true(ip_addr_equal(&answer.message.ciaddr, &guest));
		assert_true(ip_addr_equal(&answer.frame.packet.ip_destination, &guest));
		assert_true(mac_addr_equal(&answer.frame.packet.mac_destination, &client.mac));
	}
	assert_int_equal(gateway_neighbours(fixture->gateway, &neighbour, 1), 1);
	assert_true(neighbour.leased);
	assert_int_equal(neighbour.lease_left_s, LEASE_S);
}

static void init_reboot_keeps_the_address(void **state)
{
	struct fixture *fixture = *state;
	struct client client = {
		.type = DHCP_TYPE_REQUEST,
		.mac = fixture_mac(2),
		.requested = fixture_addr(2),
	};
	struct answer answer;

	/* Also when this gateway has never heard of it: it may have been restarted. */
	assert_true(ask(fixture, &client, &answer));
	assert_int_equal(answer.message.type, DHCP_TYPE_ACK);
	assert_yiaddr(&answer, 2);
	client.mac = fixture_mac(9);
	client.requested = fixture_addr(99);
	assert_true(ask(fixture, &client, &answer));
	assert_int_equal(answer.message.type, DHCP_TYPE_ACK);
	assert_yiaddr(&answer, 99);
	/* Dynamic leases survive their port. */
	gateway_port_gone(fixture->gateway, 0);
	assert_true(ask(fixture, &client, &answer));
	assert_yiaddr(&answer, 99);
}

struct wrong {
	const char *name;
	struct client client;
};

/* NAK by broadcast, and whoever gets one can begin anew at once. */
static void wrong_addresses_get_a_nak(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_addr server = fixture->config.addr;
	const struct ip_addr elsewhere = fixture_parse("10.0.0.5");
	const struct wrong table[] = {
		{ "init-reboot, other network", { .requested = elsewhere } },
		{ "init-reboot, reserved for another", { .requested = fixture_addr(2) } },
		{ "init-reboot, the gateway", { .requested = fixture_addr(1) } },
		{ "init-reboot, the network", { .requested = fixture_addr(0) } },
		{ "init-reboot, broadcast", { .requested = fixture_addr(255) } },
		{ "init-reboot, leased to another", { .requested = fixture_addr(3) } },
		{ "rebinding, other network", { .ciaddr = elsewhere } },
		{ "rebinding, leased to another", { .ciaddr = fixture_addr(3) } },
		{ "selecting, not offered", { .requested = fixture_addr(50), .server = server } },
		{ "selecting, reserved", { .requested = fixture_addr(2), .server = server } },
	};

	assert_int_equal(acquire(fixture, fixture_mac(8), 1), 3);
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		struct client client = table[i].client;
		struct answer answer;

		client.type = DHCP_TYPE_REQUEST;
		client.mac = fixture_mac((uint8_t)(100 + i));
		client.port = (uint32_t)i + 2;
		if (!ask(fixture, &client, &answer) || answer.message.type != DHCP_TYPE_NAK)
			fail_msg("%s: no NAK", table[i].name);
		assert_int_equal(ip_addr_to_v4(&answer.frame.packet.ip_destination),
				 INADDR_BROADCAST);
		assert_true(
			mac_addr_equal(&answer.frame.packet.mac_destination, &mac_addr_broadcast));
		assert_true(ip_addr_is_unspecified(&answer.message.yiaddr));
		assert_false(has_option(&answer, DHCP_OPTION_LEASE));
		assert_int_equal(acquire(fixture, client.mac, client.port), 4 + i);
	}
}

/* Who asks for the wrong address does not even hold the one that it might have had. */
static void a_nak_holds_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct client client = {
		.type = DHCP_TYPE_REQUEST,
		.mac = fixture_mac(8),
		.requested = fixture_addr(2),
	};
	struct answer answer;

	assert_true(ask(fixture, &client, &answer));
	assert_int_equal(answer.message.type, DHCP_TYPE_NAK);
	assert_int_equal(acquire(fixture, fixture_mac(9), 1), 3);
}

/* A guest whose reservation says otherwise gets a NAK for what it had, then its own. */
static void a_changed_reservation_wins(void **state)
{
	struct fixture *fixture = *state;
	struct client client = {
		.type = DHCP_TYPE_REQUEST,
		.mac = fixture_mac(2),
		.ciaddr = fixture_addr(40),
		.unicast = true,
	};
	struct answer answer;

	assert_true(ask(fixture, &client, &answer));
	assert_int_equal(answer.message.type, DHCP_TYPE_NAK);
	assert_int_equal(acquire(fixture, fixture_mac(2), 0), 2);
}

static void inform_tells_but_leases_not(void **state)
{
	struct fixture *fixture = *state;
	struct client client = {
		.type = DHCP_TYPE_INFORM,
		.mac = fixture_mac(30),
		.ciaddr = fixture_addr(30),
		.unicast = true,
	};
	struct answer answer;

	assert_true(ask(fixture, &client, &answer));
	assert_int_equal(answer.message.type, DHCP_TYPE_ACK);
	assert_everything_told(&answer);
	assert_true(ip_addr_is_unspecified(&answer.message.yiaddr));
	assert_false(has_option(&answer, DHCP_OPTION_LEASE));
	assert_false(has_option(&answer, DHCP_OPTION_T1));
	assert_false(has_option(&answer, DHCP_OPTION_HOSTNAME)); /* the first reservation's */
	assert_true(ip_addr_equal(&answer.frame.packet.ip_destination, &client.ciaddr));
	client.unicast = false;
	client.ciaddr = fixture_parse("10.0.0.5");
	assert_false(ask(fixture, &client, &answer));
	assert_int_equal(fixture->drops.count[DROP_BAD_DHCP], 1);
}

static void declined_addresses_are_not_given_again(void **state)
{
	struct fixture *fixture = *state;
	struct client client = {
		.type = DHCP_TYPE_DECLINE,
		.mac = fixture_mac(8),
		.requested = fixture_addr(3),
		.server = fixture->config.addr,
	};
	struct answer answer;

	assert_int_equal(acquire(fixture, fixture_mac(8), 1), 3);
	client.mac = fixture_mac(9); /* not its lease */
	assert_false(ask(fixture, &client, &answer));
	assert_int_equal(fixture->drops.count[DROP_BAD_DHCP], 1);
	assert_int_equal(acquire(fixture, fixture_mac(8), 1), 3);
	client.mac = fixture_mac(8);
	assert_false(ask(fixture, &client, &answer));
	assert_int_equal(acquire(fixture, fixture_mac(8), 1), 4);
	assert_int_equal(acquire(fixture, fixture_mac(10), 2), 5);
	/* A reservation is offered again: there is no other address to give. */
	acquire(fixture, fixture_mac(2), 0);
	client.mac = fixture_mac(2);
	client.requested = fixture_addr(2);
	assert_false(ask(fixture, &client, &answer));
	assert_int_equal(acquire(fixture, fixture_mac(2), 0), 2);
	assert_int_equal(fixture->drops.count[DROP_BAD_DHCP], 1);
}

static void released_addresses_are_free(void **state)
{
	struct fixture *fixture = *state;
	struct client client = {
		.type = DHCP_TYPE_RELEASE,
		.mac = fixture_mac(9),
		.ciaddr = fixture_addr(3),
		.server = fixture->config.addr,
		.unicast = true,
		.port = 2,
	};
	struct gateway_neighbour neighbours[4];
	struct answer answer;

	assert_int_equal(acquire(fixture, fixture_mac(8), 1), 3);
	assert_false(ask(fixture, &client, &answer)); /* somebody else's: source guard */
	assert_int_equal(fixture->drops.count[DROP_BAD_SOURCE_ADDRESS], 1);
	assert_int_equal(gateway_neighbours(fixture->gateway, neighbours, 4), 1);
	client.mac = fixture_mac(8);
	client.port = 1;
	assert_false(ask(fixture, &client, &answer));
	assert_int_equal(gateway_neighbours(fixture->gateway, neighbours, 4), 0);
	assert_int_equal(acquire(fixture, fixture_mac(10), 2), 3);
}

static void another_servers_offer_frees_ours(void **state)
{
	struct fixture *fixture = *state;
	struct client client = { .type = DHCP_TYPE_DISCOVER, .mac = fixture_mac(8) };
	struct answer answer;

	assert_true(ask(fixture, &client, &answer));
	assert_yiaddr(&answer, 3);
	client.type = DHCP_TYPE_REQUEST;
	client.server = fixture_addr(200);
	client.requested = fixture_addr(201);
	assert_false(ask(fixture, &client, &answer));
	assert_int_equal(acquire(fixture, fixture_mac(9), 1), 3);
}

/* None is answered, each is counted, and nobody's lease changes. */
static void hostile_messages_are_dropped(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_addr guest = fixture_addr(2);
	const struct ip_addr server = fixture->config.addr;
	const struct wrong table[] = {
		{ "no type", { .type = DHCP_TYPE_NONE } },
		{ "offer", { .type = DHCP_TYPE_OFFER } },
		{ "ack", { .type = DHCP_TYPE_ACK } },
		{ "nak", { .type = DHCP_TYPE_NAK } },
		{ "from a relay", { .type = DHCP_TYPE_DISCOVER, .giaddr = guest } },
		{ "a reply", { .type = DHCP_TYPE_DISCOVER, .reply_op = true } },
		{ "for another MAC",
		  { .type = DHCP_TYPE_DISCOVER, .ethernet = { { 2, 0, 0, 0, 0, 77 } } } },
		{ "request for nothing", { .type = DHCP_TYPE_REQUEST } },
		{ "selecting without an address", { .type = DHCP_TYPE_REQUEST, .server = server } },
		{ "selecting with ciaddr",
		  { .type = DHCP_TYPE_REQUEST,
		    .server = server,
		    .ciaddr = guest,
		    .requested = guest } },
		{ "both addresses",
		  { .type = DHCP_TYPE_REQUEST, .ciaddr = guest, .requested = guest } },
		{ "inform without ciaddr", { .type = DHCP_TYPE_INFORM } },
		{ "decline for another server",
		  { .type = DHCP_TYPE_DECLINE, .requested = guest, .server = guest } },
		{ "decline of what it does not hold",
		  { .type = DHCP_TYPE_DECLINE, .requested = fixture_addr(77), .server = server } },
		{ "release without a server", { .type = DHCP_TYPE_RELEASE, .ciaddr = guest } },
	};

	acquire(fixture, fixture_mac(2), 0);
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		struct client client = table[i].client;
		struct gateway_neighbour neighbour;
		struct answer answer;

		client.mac = fixture_mac(2);
		if (ask(fixture, &client, &answer))
			fail_msg("%s: answered", table[i].name);
		if (fixture->drops.count[DROP_BAD_DHCP] != i + 1)
			fail_msg("%s: not counted", table[i].name);
		assert_int_equal(gateway_neighbours(fixture->gateway, &neighbour, 1), 1);
		assert_true(neighbour.leased);
	}
}

/* Every length of a good message, and random bytes behind a good beginning. */
static void cut_and_broken_messages_do_no_harm(void **state)
{
	struct fixture *fixture = *state;
	const struct client client = { .type = DHCP_TYPE_DISCOVER, .mac = fixture_mac(2) };
	const struct ip_endpoint from = { ip_addr_from_v4(0), DHCP_PORT_CLIENT };
	const struct ip_endpoint to = { ip_addr_from_v4(INADDR_BROADCAST), DHCP_PORT_SERVER };
	uint8_t bytes[600];
	size_t size = write_client(&client, bytes, sizeof(bytes));

	for (size_t i = 0; i < size - 1; i++) {
		fixture_send_udp(fixture, 0, &client.mac, &from, &to, bytes, i);
		if (i < DHCP_FIXED_SIZE + 3)
			assert_int_equal(fixture->drops.count[DROP_BAD_DHCP], i + 1);
	}
	for (unsigned i = 0; i < 2000; i++) {
		write_client(&client, bytes, sizeof(bytes));
		fixture->random.random.fill(&fixture->random.random, bytes + DHCP_FIXED_SIZE, 100);
		fixture_send_udp(fixture, 0, &client.mac, &from, &to, bytes, DHCP_FIXED_SIZE + 100);
	}
	assert_int_equal(acquire(fixture, fixture_mac(2), 0), 2);
}

static void a_guest_cannot_be_a_server(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint from = { fixture_addr(2), DHCP_PORT_SERVER };
	const struct ip_endpoint to = { ip_addr_from_v4(INADDR_BROADCAST), DHCP_PORT_CLIENT };
	const struct ip_endpoint world = { fixture_parse("192.0.2.1"), 68 };
	struct mac_addr mac = fixture_mac(2);

	fixture_send_udp(fixture, 0, &mac, &from, &to, "x", 1);
	fixture_send_udp(fixture, 0, &mac, &from, &world, "x", 1);
	assert_int_equal(fixture->drops.count[DROP_DHCP_SERVER_GUARD], 2);
	assert_int_equal(fixture->to_nat.pushed, 0);
}

static void a_full_network_says_nothing(void **state)
{
	struct fixture *fixture = fixture_new();
	struct client client = { .type = DHCP_TYPE_DISCOVER, .mac = fixture_mac(3), .port = 1 };
	struct answer answer;

	(void)state;
	fixture->config.subnet.length = 30;
	fixture->config.route = false;
	fixture->config.dns = false;
	fixture_start(fixture);
	assert_false(ask(fixture, &client, &answer));
	assert_int_equal(fixture->drops.count[DROP_LEASE_LIMIT], 1);
	client.mac = fixture_mac(2);
	assert_true(ask(fixture, &client, &answer));
	assert_option(&answer, DHCP_OPTION_MASK, "\xff\xff\xff\xfc", 4);
	assert_option(&answer, DHCP_OPTION_BROADCAST, "\xac\x10\x09\x03", 4);
	assert_false(has_option(&answer, DHCP_OPTION_ROUTER));
	assert_false(has_option(&answer, DHCP_OPTION_DNS));
	fixture_free(fixture);
}

static void off_means_silence(void **state)
{
	struct fixture *fixture = fixture_new();
	struct client client = { .type = DHCP_TYPE_DISCOVER, .mac = fixture_mac(2) };
	struct answer answer;

	(void)state;
	fixture->config.dhcp = false;
	fixture_start(fixture);
	assert_false(ask(fixture, &client, &answer));
	assert_int_equal(fixture_drops(fixture), 1);
	fixture_free(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reservation_holds_by_mac),
		TEST(the_broadcast_flag_is_honoured),
		TEST(renews_and_rebinds),
		TEST(init_reboot_keeps_the_address),
		TEST(wrong_addresses_get_a_nak),
		TEST(a_nak_holds_nothing),
		TEST(a_changed_reservation_wins),
		TEST(inform_tells_but_leases_not),
		TEST(declined_addresses_are_not_given_again),
		TEST(released_addresses_are_free),
		TEST(another_servers_offer_frees_ours),
		TEST(hostile_messages_are_dropped),
		TEST(cut_and_broken_messages_do_no_harm),
		TEST(a_guest_cannot_be_a_server),
		cmocka_unit_test(a_full_network_says_nothing),
		cmocka_unit_test(off_means_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
