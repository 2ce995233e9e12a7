/* A host-only network as a whole: what a guest tries that is told nothing of a way out, and tries all the same. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig/rig_one.h"
#include "wire/dns.h"
#include "wire/dns_name.h"

#define RESOLVER    0xcb007135 /* 203.0.113.53 */
#define NOT_HOST    0xc0000209 /* 192.0.2.9, on no link of the host */
#define SILENCE_NS  (2 * NS_PER_S)
#define CLIENT_PORT 50000

/* What the guest heard that is not TCP. */
struct heard {
	unsigned datagrams;
	unsigned replies;
	unsigned prohibited;
	struct dns_message answer; /* of the last datagram */
	uint8_t bytes[512];
};

static void guest_heard(void *context, const struct packet *packet, const uint8_t *payload,
			size_t size)
{
	struct heard *heard = context;

	if (packet->ip_protocol == PACKET_IP_PROTOCOL_UDP) {
		heard->datagrams++;
		assert_in_range(size, DNS_HEADER_SIZE, sizeof(heard->bytes));
		memcpy(heard->bytes, payload, size);
		assert_true(dns_parse(heard->bytes, size, &heard->answer));
	} else if (packet->icmp_type == 0) {
		heard->replies++;
	} else if (packet->icmp_type == 3 && packet->icmp_code == 13) {
		heard->prohibited++;
	}
}

/* A world that answers everything, so that silence comes from the network alone. */
struct world {
	struct rig_one one;
	struct rig_server servers;
	struct rig_udp_server resolver;
	struct heard heard;
};

static struct world *world_new(bool host_only)
{
	const struct rig_config config = { .seed = 1, .whole = true, .host_only = host_only };
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	rig_one_init(&world->one, &config);
	struct rig *rig = world->one.rig;
	rig->guest.packet = guest_heard;
	rig->guest.context = &world->heard;
	rig->host.resolver[0] = rig_endpoint(RESOLVER, DNS_PORT);
	rig->host.resolver_count = 1;
	world->servers.plan = world->one.host; /* at any address and port */
	rig_host_add_server(&rig->host, &world->servers);
	world->resolver.icmp_type = -1;
	rig_host_add_udp_server(&rig->host, &world->resolver);
	rig_guest_announce(&rig->guest);
	rig_time_run(&rig->time, NS_PER_MS);
	world->one.guest.end = world->one.host.app.end = RIG_APP_END_NEVER;
	world->one.guest.expect_size = world->one.host.app.expect_size = RIG_NEVER;
	return world;
}

static void world_free(struct world *world)
{
	assert_int_equal(world->one.rig->guest.bad_frames, 0);
	rig_one_done(&world->one);
	free(world);
}

static uint64_t drops_of(const struct world *world, enum drop_reason reason)
{
	return world->one.rig->drops.count[reason];
}

/* From a port of its own each time. */
static enum rig_tcp_state call(struct world *world, uint32_t addr, uint16_t port)
{
	static uint16_t own_port = RIG_ONE_PORT;
	struct rig *rig = world->one.rig;
	struct ip_endpoint own = rig_guest_endpoint(rig, own_port++);
	struct ip_endpoint to = rig_endpoint(addr, port);

	rig_tcp_connect(&world->one.tcp, &rig->guest, &own, &to, &world->one.options,
			&world->one.guest);
	rig_time_run(&rig->time, 100 * NS_PER_MS);
	enum rig_tcp_state state = world->one.tcp.state;
	rig_tcp_done(&world->one.tcp);
	return state;
}

static void say(struct world *world, uint32_t addr, uint16_t port, const void *bytes, size_t size)
{
	struct rig *rig = world->one.rig;
	struct ip_endpoint own = rig_guest_endpoint(rig, 5000);
	struct ip_endpoint to = rig_endpoint(addr, port);

	rig_guest_send_udp(&rig->guest, &own, &to, bytes, size);
	rig_time_run(&rig->time, 100 * NS_PER_MS);
}

static void ping(struct world *world, uint32_t addr)
{
	struct rig *rig = world->one.rig;
	struct ip_addr to = ip_addr_from_v4(addr);

	rig_guest_send_echo(&rig->guest, &to, 9, 1, 64, "x", 1);
	rig_time_run(&rig->time, 100 * NS_PER_MS);
}

static size_t question_of(const char *name, uint16_t type, uint8_t ret_bytes[512])
{
	struct writer writer = writer_of(ret_bytes, 512);
	uint8_t wire_name[DNS_NAME_MAX];
	uint8_t name_size;

	assert_true(dns_name_from_text(name, wire_name, &name_size));
	writer_u16(&writer, 77);
	writer_u16(&writer, 0x0100);
	writer_u16(&writer, 1);
	writer_zeroes(&writer, 6);
	writer_bytes(&writer, wire_name, name_size);
	writer_u16(&writer, type);
	writer_u16(&writer, DNS_CLASS_IN);
	assert_true(writer_ok(&writer));
	return writer.position;
}

static void ask(struct world *world, const char *name, uint16_t type)
{
	uint8_t bytes[512];

	say(world, RIG_ADDR_GATEWAY, DNS_PORT, bytes, question_of(name, type, bytes));
}

/* No socket was made for it, nobody was asked. */
static void assert_nothing_left(const struct world *world)
{
	assert_int_equal(world->servers.connections, 0);
	assert_int_equal(world->resolver.datagrams, 0);
	assert_int_equal(world->one.rig->host.flight_count, 0);
	assert_null(rig_what_is_left(world->one.rig));
}

static const uint32_t places[] = {
	RIG_ADDR_SERVER, RIG_ADDR_CLIENT, RESOLVER,   NOT_HOST,
	0x08080808,	 0x0a000001,	  0xc0a80001, /* 8.8.8.8, 10.0.0.1, 192.168.0.1 */
};

/* That the world does answer is shown with the very same rig. */
static void test_the_world_answers(void **state)
{
	struct world *world = world_new(false);

	(void)state;
	assert_int_equal(call(world, RIG_ADDR_SERVER, 80), RIG_TCP_OPEN);
	ping(world, RIG_ADDR_SERVER);
	assert_int_equal(world->heard.replies, 1);
	ask(world, "leak.example.org", DNS_TYPE_A);
	assert_int_equal(world->servers.connections, 1);
	assert_int_equal(world->resolver.datagrams, 1);
	world_free(world);
}

static void test_nothing_leaves(void **state)
{
	struct world *world = world_new(true);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		assert_int_equal(call(world, places[i], 80), RIG_TCP_RESET);
		assert_int_equal(call(world, places[i], DNS_PORT), RIG_TCP_RESET);
		say(world, places[i], 443, "x", 1);
		say(world, places[i], DNS_PORT, "x", 1);
		say(world, places[i], 123, "x", 1); /* NTP */
		ping(world, places[i]);
		assert_int_equal(drops_of(world, DROP_NAT_OFF), 6 * (i + 1));
		assert_int_equal(world->heard.prohibited, 4 * (i + 1));
	}
	assert_int_equal(world->heard.replies, 0);
	assert_int_equal(world->heard.datagrams, 0);
	assert_nothing_left(world);
	world_free(world);
}

/* The host itself is no way out: neither by the gateway's address nor by its own. */
static void test_host_is_closed(void **state)
{
	struct world *world = world_new(true);

	(void)state;
	assert_int_equal(call(world, RIG_ADDR_GATEWAY, 80), RIG_TCP_RESET);
	assert_int_equal(call(world, RIG_ADDR_HOST, 80), RIG_TCP_RESET);
	say(world, RIG_ADDR_GATEWAY, 123, "x", 1);
	say(world, RIG_ADDR_HOST, 123, "x", 1);
	ping(world, RIG_ADDR_HOST);
	assert_int_equal(drops_of(world, DROP_HOST_ACCESS), 5);
	assert_int_equal(world->heard.replies, 0);
	assert_nothing_left(world);
	ping(world, RIG_ADDR_GATEWAY);
	assert_int_equal(world->heard.replies, 1);
	world_free(world);
}

/* What is said in a name goes nowhere. */
static void test_names(void **state)
{
	static const char *const outside[] = {
		"leak.example.org",	    "org",     ".", "box.internal.org",
		"5.113.0.203.in-addr.arpa", "internal"
	};
	struct world *world = world_new(true);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(outside); i++) {
		ask(world, outside[i], i % 2 ? DNS_TYPE_AAAA : DNS_TYPE_A);
		assert_int_equal(world->heard.datagrams, i + 1);
		assert_int_equal(world->heard.answer.rcode, DNS_RCODE_REFUSED);
		assert_int_equal(world->heard.answer.answer_count, 0);
		assert_int_equal(world->heard.answer.id, 77);
		assert_int_equal(drops_of(world, DROP_DNS_OUTSIDE), i + 1);
	}
	ask(world, "host.internal", DNS_TYPE_A);
	assert_int_equal(world->heard.answer.rcode, DNS_RCODE_NOERROR);
	assert_int_equal(world->heard.answer.answer_count, 1);
	ask(world, "1.77.168.192.in-addr.arpa", DNS_TYPE_PTR);
	assert_int_equal(world->heard.answer.answer_count, 1);
	assert_int_equal(drops_of(world, DROP_DNS_OUTSIDE), ARRAY_COUNT(outside));
	rig_time_run(&world->one.rig->time, SILENCE_NS);
	assert_nothing_left(world);
	/* By TCP: the gateway takes the connection itself. */
	assert_int_equal(call(world, RIG_ADDR_GATEWAY, DNS_PORT), RIG_TCP_OPEN);
	assert_int_equal(world->servers.connections, 0);
	world_free(world);
}

/* Clients of a forward are the gateway to a guest that has no router, whoever they are; and it cannot call
 * itself by way of the host. */
static void test_forward(void **state)
{
	static const uint32_t clients[] = { RIG_ADDR_CLIENT, INADDR_LOOPBACK, RIG_ADDR_HOST };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
		struct world *world = world_new(true);
		struct rig_one *one = &world->one;
		struct ip_endpoint own = rig_guest_endpoint(one->rig, 22);
		struct ip_endpoint from = rig_endpoint(clients[i], CLIENT_PORT);
		struct ip_endpoint to = rig_endpoint(
			clients[i] == INADDR_LOOPBACK ? INADDR_LOOPBACK : RIG_ADDR_HOST, 2222);

		rig_forward(one->rig, 2222, 22);
		assert_int_equal(call(world, RIG_ADDR_GATEWAY, 2222), RIG_TCP_RESET);
		assert_int_equal(call(world, RIG_ADDR_HOST, 2222), RIG_TCP_RESET);
		assert_int_equal(drops_of(world, DROP_HOST_ACCESS), 2);
		rig_one_sizes(one, 1000, 1000);
		one->guest.end = one->host.app.end = RIG_APP_END_AFTER_SENT;
		rig_tcp_listen(&one->tcp, &one->rig->guest, &own, &one->options, &one->guest);
		one->peer = rig_host_client(&one->rig->host, &from, &to, &one->host);
		assert_true(rig_one_is_open(one));
		assert_int_equal(ip_addr_to_v4(&one->tcp.remote.addr), RIG_ADDR_GATEWAY);
		assert_int_equal(one->tcp.remote.port, CLIENT_PORT);
		assert_null(rig_one_finish(one, 10 * NS_PER_S));
		world_free(world);
	}
}

static void test_datagrams_of_a_forward(void **state)
{
	const struct ip_endpoint client = rig_endpoint(RIG_ADDR_CLIENT, CLIENT_PORT);
	const struct ip_endpoint at = rig_endpoint(RIG_ADDR_HOST, 5353);
	struct world *world = world_new(true);
	struct rig *rig = world->one.rig;
	uint8_t bytes[512];

	(void)state;
	struct nat_forward forward = {
		.protocol = NAT_PROTOCOL_UDP,
		.external = rig_endpoint(0, 5353),
		.internal = rig_guest_endpoint(rig, 5000),
	};
	struct ip_endpoint bound;
	assert_int_equal(nat_forward_add(rig->nat, &forward, &bound), 0);
	size_t size = question_of("box.internal", DNS_TYPE_A, bytes);
	assert_true(rig_host_datagram(&rig->host, &client, &at, bytes, size));
	rig_time_run(&rig->time, 10 * NS_PER_MS);
	assert_int_equal(world->heard.datagrams, 1);
	const struct rig_heard *heard = rig_guest_heard(&rig->guest, rig->guest.heard_count - 1);
	assert_int_equal(ip_addr_to_v4(&heard->packet.ip_source), RIG_ADDR_GATEWAY);
	/* The answer reaches the client, and a word to the client's own address does not. */
	say(world, RIG_ADDR_GATEWAY, heard->packet.port_source, "x", 1);
	assert_int_equal(world->resolver.datagrams, 1);
	assert_int_equal(rig->host.flight_count, 1 + 1);
	say(world, RIG_ADDR_CLIENT, CLIENT_PORT, "x", 1);
	assert_int_equal(world->resolver.datagrams, 1);
	assert_int_equal(drops_of(world, DROP_NAT_OFF), 1);
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_world_answers),
		cmocka_unit_test(test_nothing_leaves),
		cmocka_unit_test(test_host_is_closed),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_datagrams_of_a_forward),
	};

	return cmocka_run_group_tests_name("host_only", tests, NULL, NULL);
}
