/* UDP through the whole network: mapping, filtering, errors, forwards (design.md, "UDP and ICMP";
 * RFC 4787). */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig/rig.h"

#define OTHER	   0xcb007106 /* 203.0.113.6 */
#define GUEST_PORT 5000

struct lab {
	struct rig *rig;
	struct rig_udp_server server;
	struct rig_udp_server other;
	/* What the guest heard last */
	uint64_t heard;
	struct packet packet;
	size_t size;
	uint8_t data[2048];
};

static void guest_heard(void *context, const struct packet *packet, const uint8_t *payload,
			size_t size)
{
	struct lab *lab = context;

	lab->heard++;
	lab->packet = *packet;
	lab->size = size;
	memcpy(lab->data, payload, size < sizeof(lab->data) ? size : sizeof(lab->data));
}

static struct lab *lab_new(const struct rig_config *config)
{
	struct lab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	lab->rig = rig_new(config);
	lab->rig->guest.packet = guest_heard;
	lab->rig->guest.context = lab;
	lab->server = (struct rig_udp_server){
		.at = rig_endpoint(RIG_ADDR_SERVER, 7),
		.echo = true,
		.icmp_type = -1,
		.delay_ns = NS_PER_MS,
	};
	lab->other = lab->server;
	lab->other.at = rig_endpoint(OTHER, 0);
	rig_host_add_udp_server(&lab->rig->host, &lab->server);
	rig_host_add_udp_server(&lab->rig->host, &lab->other);
	rig_guest_announce(&lab->rig->guest);
	rig_time_run(&lab->rig->time, NS_PER_MS);
	return lab;
}

static void lab_free(struct lab *lab)
{
	assert_int_equal(lab->rig->guest.bad_frames, 0);
	rig_free(lab->rig);
	free(lab);
}

static void say(struct lab *lab, uint32_t addr, uint16_t port, const void *bytes, size_t size)
{
	struct ip_endpoint own = rig_guest_endpoint(lab->rig, GUEST_PORT);
	struct ip_endpoint to = rig_endpoint(addr, port);

	rig_guest_send_udp(&lab->rig->guest, &own, &to, bytes, size);
	rig_time_run(&lab->rig->time, 10 * NS_PER_MS);
}

static const struct rig_config whole = { .seed = 1, .whole = true };

static void test_echo(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 1472 };
	uint8_t bytes[1472];

	(void)state;
	rig_pattern(3, 0, bytes, sizeof(bytes));
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		struct lab *lab = lab_new(&whole);

		say(lab, RIG_ADDR_SERVER, 7, bytes, sizes[i]);
		assert_int_equal(lab->heard, 1);
		assert_int_equal(lab->size, sizes[i]);
		assert_memory_equal(lab->data, bytes, sizes[i]);
		assert_int_equal(ip_addr_to_v4(&lab->packet.ip_source), RIG_ADDR_SERVER);
		assert_int_equal(lab->packet.port_source, 7);
		assert_int_equal(lab->packet.port_destination, GUEST_PORT);
		/* Not gone before its time, and gone then. */
		rig_time_run(&lab->rig->time, 290 * NS_PER_S);
		assert_string_equal(rig_what_is_left(lab->rig), "a UDP or ICMP flow");
		rig_time_run(&lab->rig->time, 30 * NS_PER_S);
		assert_null(rig_what_is_left(lab->rig));
		lab_free(lab);
	}
}

/* A question and its answer on port 53 do not hold a socket for 5 minutes. */
static void test_question(void **state)
{
	struct lab *lab = lab_new(&whole);

	(void)state;
	say(lab, OTHER, 53, "question", 8);
	assert_int_equal(lab->heard, 1);
	rig_time_run(&lab->rig->time, 12 * NS_PER_S);
	assert_null(rig_what_is_left(lab->rig));
	lab_free(lab);
}

/* RFC 4787 4.1: whoever is asked sees the same endpoint. */
static void test_mapping_is_endpoint_independent(void **state)
{
	struct lab *lab = lab_new(&whole);

	(void)state;
	say(lab, RIG_ADDR_SERVER, 7, "a", 1);
	say(lab, OTHER, 9, "b", 1);
	assert_int_equal(lab->heard, 2);
	assert_true(ip_endpoint_equal(&lab->server.last_from, &lab->other.last_from));
	lab_free(lab);
}

static void filtering(bool independent, uint32_t from, uint16_t port, bool passes)
{
	struct rig_config config = whole;

	config.endpoint_independent = independent;
	struct lab *lab = lab_new(&config);
	struct ip_endpoint stranger = rig_endpoint(from, port);
	say(lab, RIG_ADDR_SERVER, 7, "a", 1);
	uint64_t before = lab->heard;
	assert_true(rig_host_datagram(&lab->rig->host, &stranger, &lab->server.last_from, "x", 1));
	rig_time_run(&lab->rig->time, 10 * NS_PER_MS);
	assert_int_equal(lab->heard - before, passes);
	if (!passes)
		assert_int_equal(lab->rig->drops.count[DROP_UDP_PEER], 1);
	lab_free(lab);
}

static void test_filtering(void **state)
{
	(void)state;
	filtering(false, RIG_ADDR_SERVER, 7, true);
	filtering(false, RIG_ADDR_SERVER, 8, true); /* address-dependent */
	filtering(false, OTHER, 7, false);
	filtering(true, OTHER, 7, true);
}

/* An ICMP error from the world comes to the guest with its own packet as the quote. */
static void test_unreachable(void **state)
{
	struct lab *lab = lab_new(&whole);

	(void)state;
	lab->server.icmp_type = 3;
	lab->server.icmp_code = 3;
	lab->server.error = ECONNREFUSED;
	say(lab, RIG_ADDR_SERVER, 7, "hello", 5);
	assert_int_equal(lab->heard, 1);
	assert_int_equal(lab->packet.ip_protocol, PACKET_IP_PROTOCOL_ICMP);
	assert_int_equal(lab->packet.icmp_type, 3);
	assert_int_equal(lab->packet.icmp_code, 3);
	assert_int_equal(ip_addr_to_v4(&lab->packet.ip_source), RIG_ADDR_SERVER);
	/* Behind the 8 bytes: the guest's IP and UDP headers. */
	assert_true(lab->size >= 28);
	struct reader reader = reader_of(lab->data, lab->size);
	reader_skip(&reader, 12);
	assert_int_equal(reader_u32(&reader), RIG_ADDR_GUEST);
	assert_int_equal(reader_u32(&reader), RIG_ADDR_SERVER);
	assert_int_equal(reader_u16(&reader), GUEST_PORT);
	assert_int_equal(reader_u16(&reader), 7);

	/* The pending error does not eat the next datagram. */
	lab->server.icmp_type = -1;
	say(lab, RIG_ADDR_SERVER, 7, "again", 5);
	assert_int_equal(lab->heard, 2);
	assert_int_equal(lab->packet.ip_protocol, PACKET_IP_PROTOCOL_UDP);
	lab_free(lab);
}

/* Path MTU discovery: too long with DF is told to the guest, with the MTU. */
static void test_path_mtu(void **state)
{
	struct lab *lab = lab_new(&whole);
	uint8_t bytes[1472] = {};

	(void)state;
	lab->rig->host.path_mtu = 1400;
	say(lab, RIG_ADDR_SERVER, 7, bytes, sizeof(bytes));
	assert_int_equal(lab->heard, 1);
	assert_int_equal(lab->packet.icmp_type, 3);
	assert_int_equal(lab->packet.icmp_code, 4);
	say(lab, RIG_ADDR_SERVER, 7, bytes, 1372);
	assert_int_equal(lab->heard, 2);
	assert_int_equal(lab->packet.ip_protocol, PACKET_IP_PROTOCOL_UDP);
	lab_free(lab);
}

/* More than the guest's MTU comes in fragments. */
static void test_long_datagram(void **state)
{
	struct lab *lab = lab_new(&whole);
	uint8_t bytes[4000];

	(void)state;
	rig_pattern(4, 0, bytes, sizeof(bytes));
	say(lab, RIG_ADDR_SERVER, 7, "a", 1);
	uint64_t before = lab->rig->guest.heard_count;
	assert_true(rig_host_datagram(&lab->rig->host, &lab->server.at, &lab->server.last_from,
				      bytes, sizeof(bytes)));
	rig_time_run(&lab->rig->time, 10 * NS_PER_MS);
	size_t total = 0;
	for (uint64_t i = before; i < lab->rig->guest.heard_count; i++) {
		const struct rig_heard *heard = rig_guest_heard(&lab->rig->guest, i);

		assert_true(heard->packet.ip_is_fragment);
		assert_int_equal(heard->packet.ip_fragment_offset, total);
		total += heard->packet.ip_total_size - 20U;
	}
	assert_int_equal(total, sizeof(bytes) + 8);
	lab_free(lab);
}

/* --- super-frames ------------------------------------------------------------------------- */

#define SUPER_SIZE 29500
#define SUPER_EACH 1000

/* What was said and what came back, each cut as it was cut. */
struct talk {
	uint8_t bytes[SUPER_SIZE];
	uint64_t server_heard;
	size_t server_size;
	uint64_t guest_heard;
	size_t guest_size;
};

static void talk_check(const struct talk *talk, size_t at, const uint8_t *bytes, size_t size)
{
	size_t left = SUPER_SIZE - at;

	assert_in_range(at, 0, SUPER_SIZE - 1);
	assert_int_equal(size, left < SUPER_EACH ? left : SUPER_EACH);
	assert_memory_equal(bytes, talk->bytes + at, size);
}

static void talk_server_heard(struct rig_udp_server *server, const struct ip_endpoint *from,
			      const struct host_datagram *datagram, const uint8_t *bytes,
			      size_t size)
{
	struct talk *talk = server->context;

	(void)from;
	assert_true(datagram->dont_fragment);
	assert_int_equal(datagram->ttl, 63);
	talk_check(talk, talk->server_size, bytes, size);
	talk->server_size += size;
	talk->server_heard++;
}

static void talk_guest_heard(void *context, const struct packet *packet, const uint8_t *payload,
			     size_t size)
{
	struct talk *talk = context;

	assert_int_equal(packet->ip_protocol, PACKET_IP_PROTOCOL_UDP);
	assert_int_equal(packet->ip_ttl, 60);
	assert_int_equal(ip_addr_to_v4(&packet->ip_source), RIG_ADDR_SERVER);
	talk_check(talk, talk->guest_size, payload, size);
	talk->guest_size += size;
	talk->guest_heard++;
}

/* A guest with USO says 30 datagrams in one frame; they leave as 30, come back as 30, and reach the
 * guest as 30, whether the host's kernel puts them together on the way (UDP_GRO) or not. */
static void test_super_frames(void **state)
{
	(void)state;
	for (int coalesces = 0; coalesces < 2; coalesces++) {
		struct lab *lab = lab_new(&whole);
		struct rig *rig = lab->rig;
		struct ip_endpoint own = rig_guest_endpoint(rig, GUEST_PORT);
		static struct talk talk;

		talk = (struct talk){};
		rig_pattern(9, 0, talk.bytes, sizeof(talk.bytes));
		rig->host.coalesces = coalesces;
		rig->guest.packet = talk_guest_heard;
		rig->guest.context = &talk;
		lab->server.heard = talk_server_heard;
		lab->server.context = &talk;
		uint64_t pushed = rig->port.pushed;
		rig_send_udp_super(rig, &own, &lab->server.at, talk.bytes, SUPER_SIZE, SUPER_EACH);
		rig_time_run(&rig->time, 10 * NS_PER_MS);
		assert_int_equal(talk.server_heard, 30);
		assert_int_equal(talk.guest_heard, 30);
		assert_int_equal(talk.guest_size, SUPER_SIZE);
		assert_int_equal(rig->host.messages, coalesces ? 1 : 30);
		assert_int_equal(rig->port.pushed, pushed + 1);
		assert_int_equal(rig->port.refused, 0);
		lab_free(lab);
	}
}

/* Too long for the way: each of them is told so, with its own header. */
static void test_super_frame_path_mtu(void **state)
{
	struct lab *lab = lab_new(&whole);
	struct ip_endpoint own = rig_guest_endpoint(lab->rig, GUEST_PORT);
	uint8_t bytes[4100] = {};

	(void)state;
	lab->rig->host.path_mtu = 1000;
	rig_send_udp_super(lab->rig, &own, &lab->server.at, bytes, sizeof(bytes), 1400);
	rig_time_run(&lab->rig->time, 10 * NS_PER_MS);
	assert_int_equal(lab->heard, 3);
	assert_int_equal(lab->packet.icmp_type, 3);
	assert_int_equal(lab->packet.icmp_code, 4);
	struct reader reader = reader_of(lab->data, lab->size);
	reader_skip(&reader, 2);
	assert_int_equal(reader_u16(&reader), 20 + 8 + 1300); /* the quoted header's length */
	assert_int_equal(lab->server.datagrams, 0);
	assert_int_equal(lab->rig->drops.count[DROP_SOCKET_ERROR], 3);
	lab_free(lab);
}

struct client {
	struct rig_udp_server at; /* as the world sees the client: where answers arrive */
	uint8_t answer[64];
	size_t size;
};

static void client_heard(struct rig_udp_server *server, const struct ip_endpoint *from,
			 const struct host_datagram *datagram, const uint8_t *bytes, size_t size)
{
	struct client *client = server->context;

	(void)from;
	(void)datagram;
	client->size = size;
	memcpy(client->answer, bytes,
	       size < sizeof(client->answer) ? size : sizeof(client->answer));
}

static void add_forward(struct lab *lab, uint16_t external, uint16_t internal)
{
	struct nat_forward forward = {
		.protocol = NAT_PROTOCOL_UDP,
		.external = rig_endpoint(0, external),
		.internal = rig_guest_endpoint(lab->rig, internal),
	};
	struct ip_endpoint bound;

	assert_int_equal(nat_forward_add(lab->rig->nat, &forward, &bound), 0);
	assert_int_equal(bound.port, external);
}

/* A client asks a forward: the guest sees the client, the client sees the external port. */
static void test_forward(void **state)
{
	struct lab *lab = lab_new(&whole);
	struct client client = { .at = { .at = rig_endpoint(RIG_ADDR_CLIENT, 6000),
					 .icmp_type = -1,
					 .heard = client_heard } };
	struct ip_endpoint external = rig_endpoint(RIG_ADDR_HOST, 5353);

	(void)state;
	client.at.context = &client;
	rig_host_add_udp_server(&lab->rig->host, &client.at);
	add_forward(lab, 5353, GUEST_PORT);
	assert_true(rig_host_datagram(&lab->rig->host, &client.at.at, &external, "ask", 3));
	rig_time_run(&lab->rig->time, 10 * NS_PER_MS);
	assert_int_equal(lab->heard, 1);
	assert_int_equal(ip_addr_to_v4(&lab->packet.ip_source), RIG_ADDR_CLIENT);
	assert_int_equal(lab->packet.port_source, 6000);
	assert_int_equal(lab->packet.port_destination, GUEST_PORT);
	say(lab, RIG_ADDR_CLIENT, 6000, "answer", 6);
	assert_int_equal(client.size, 6);
	assert_int_equal(client.at.last_from.port, 5353);

	/* ... and what the guest asks by itself leaves by the external port, too. */
	say(lab, RIG_ADDR_SERVER, 7, "own", 3);
	assert_int_equal(lab->server.last_from.port, 5353);
	lab_free(lab);
}

/* A flood of endpoints stays inside its share and goes away by itself. */
static void test_flood(void **state)
{
	struct lab *lab = lab_new(&whole);
	struct nat_statistics statistics;
	struct ip_endpoint to = rig_endpoint(RIG_ADDR_SERVER, 7);

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		struct ip_endpoint own = rig_guest_endpoint(lab->rig, (uint16_t)(1 + i));

		rig_guest_send_udp(&lab->rig->guest, &own, &to, "x", 1);
		if (i % 50 == 0)
			rig_time_run(&lab->rig->time, NS_PER_MS);
	}
	rig_time_run(&lab->rig->time, NS_PER_S);
	nat_get_statistics(lab->rig->nat, &statistics);
	assert_in_range(statistics.udp_flows, 1, 256);
	/* What was used a moment ago is not thrown out, what rests is. */
	rig_time_run(&lab->rig->time, 11 * NS_PER_S);
	uint64_t before = lab->heard;
	say(lab, RIG_ADDR_SERVER, 7, "me, too", 7);
	assert_int_equal(lab->heard, before + 1);
	rig_time_run(&lab->rig->time, 400 * NS_PER_S);
	assert_null(rig_what_is_left(lab->rig));
	lab_free(lab);
}

static void test_port_gone(void **state)
{
	struct lab *lab = lab_new(&whole);

	(void)state;
	say(lab, RIG_ADDR_SERVER, 7, "a", 1);
	rig_port_gone(lab->rig);
	assert_null(rig_what_is_left(lab->rig));
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_mapping_is_endpoint_independent),
		cmocka_unit_test(test_filtering),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_path_mtu),
		cmocka_unit_test(test_long_datagram),
		cmocka_unit_test(test_super_frames),
		cmocka_unit_test(test_super_frame_path_mtu),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_port_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
