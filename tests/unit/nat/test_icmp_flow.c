/* Echo: identifiers, what passes as an answer, errors, and how many flows there may be. */
#include "world.h"

#include "nat/icmp_flow.h"
#include "nat/udp.h"

static void expect_reply(uint32_t from, uint32_t to, uint16_t ident, uint16_t sequence,
			 const char *text)
{
	const struct world_heard *heard = must_hear();

	assert_int_equal(heard->packet.ip_protocol, PACKET_IP_PROTOCOL_ICMP);
	assert_int_equal(heard->icmp.type, ICMP_TYPE_ECHO_REPLY);
	assert_int_equal(heard->icmp.identifier, ident);
	assert_int_equal(heard->icmp.sequence, sequence);
	assert_int_equal(ip_addr_to_v4(&heard->packet.ip_source), from);
	assert_int_equal(ip_addr_to_v4(&heard->packet.ip_destination), to);
	assert_int_equal(heard->payload_size, strlen(text));
	assert_memory_equal(heard->payload, text, strlen(text));
}

static void identifier_is_put_back(void **state)
{
	(void)state;
	guest_echo(GUEST, REMOTE, 77, 1);
	const struct world_sent *sent = must_send();
	assert_int_equal(ip_addr_to_v4(&sent->datagram.remote.addr), REMOTE);
	assert_int_equal(sent->sequence, 1);
	assert_int_equal(sent->size, 56);
	assert_int_equal(sent->datagram.ttl, 63);
	assert_int_not_equal(world->sockets[sent->socket].ident, 77);
	world_echo_reply(sent->socket, REMOTE, 1, "pong");
	expect_reply(REMOTE, GUEST, 77, 1, "pong");
	assert_int_equal(icmp_flow_count(world->nat), 1);
	expect_silence();
}

/* The same identifier of two guests, two of one guest: four sockets, answers apart. */
static void flows_are_apart(void **state)
{
	static const struct {
		uint32_t guest;
		uint16_t ident;
	} rows[] = { { GUEST, 1 }, { GUEST, 2 }, { GUEST_B, 1 }, { GUEST_B, 2 } };
	int sockets[4];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		guest_echo(rows[i].guest, REMOTE, rows[i].ident, 9);
		sockets[i] = must_send()->socket;
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(sockets[i], sockets[j]);
	}
	for (size_t i = 4; i-- > 0;) {
		world_echo_reply(sockets[i], REMOTE, 9, "pong");
		expect_reply(REMOTE, rows[i].guest, rows[i].ident, 9, "pong");
	}
	/* One ping(8) to two hosts uses one. */
	guest_echo(GUEST, REMOTE_B, 1, 10);
	assert_int_equal(must_send()->socket, sockets[0]);
}

static void only_awaited_answers_pass(void **state)
{
	(void)state;
	guest_echo(GUEST, REMOTE, 77, 5);
	int socket = must_send()->socket;
	world_echo_reply(socket, REMOTE, 6, "other sequence");
	world_echo_reply(socket, REMOTE_B, 5, "other address");
	expect_silence();
	assert_int_equal(world_drops(DROP_NO_FLOW), 2);
	world_echo_reply(socket, REMOTE, 5, "right");
	expect_reply(REMOTE, GUEST, 77, 5, "right");
	/* The last 32 requests are awaited. */
	for (uint16_t i = 0; i < 32; i++)
		guest_echo(GUEST, REMOTE, 77, (uint16_t)(100 + i));
	world_echo_reply(socket, REMOTE, 100, "first");
	expect_reply(REMOTE, GUEST, 77, 100, "first");
	world_echo_reply(socket, REMOTE, 5, "too old");
	assert_null(next_heard());
}

static void long_answer_comes_in_fragments(void **state)
{
	static char text[4001];
	size_t got = 0;
	unsigned count = 0;
	bool more = true;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	guest_echo(GUEST, REMOTE, 77, 5);
	world_echo_reply(must_send()->socket, REMOTE, 5, text);
	for (; more; count++) {
		const struct world_heard *heard = must_hear();

		assert_int_equal(heard->packet.ip_fragment_offset, got);
		more = heard->packet.ip_more_fragments;
		got += (size_t)heard->packet.ip_total_size - 20;
	}
	assert_int_equal(got, 4008);
	assert_int_equal(count, 3);
}

/* traceroute: the router's error with the guest's own request as quote. */
static void errors_of_the_way(void **state)
{
	static const struct {
		uint32_t origin;
		uint8_t type;
		uint8_t code;
		uint32_t mtu;
		uint32_t seen_origin;
	} rows[] = {
		{ ROUTER, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_TTL_EXCEEDED, 0, ROUTER },
		{ ROUTER, ICMP_TYPE_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, 1400, ROUTER },
		{ REMOTE, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROTOCOL_UNREACHABLE, 0, REMOTE },
		{ HOST_LAN, ICMP_TYPE_UNREACHABLE, ICMP_CODE_HOST_UNREACHABLE, 0, GATEWAY },
		{ GUEST_B, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_TTL_EXCEEDED, 0, GATEWAY },
	};

	(void)state;
	guest_echo_shaped(GUEST, REMOTE, 77, 5, (struct world_shape){ .ttl = 2, .size = 12 });
	const struct world_sent *sent = must_send();
	int socket = sent->socket;
	assert_int_equal(sent->datagram.ttl, 1);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct host_icmp_error error = {
			.remote = at(REMOTE, 0),
			.origin = ip_addr_from_v4(rows[i].origin),
			.type = rows[i].type,
			.code = rows[i].code,
			.mtu = rows[i].mtu,
			.error = rows[i].mtu > 0 ? EMSGSIZE : EHOSTUNREACH,
			.payload_size = 12,
		};

		world_fails(socket, &error, 5, "abcdefghijkl", 12);
		const struct world_heard *heard =
			expect_error(rows[i].seen_origin, rows[i].type, rows[i].code, REMOTE);
		struct reader reader = reader_of(heard->quote.payload, heard->quote.payload_size);
		struct icmp_header header;

		assert_int_equal(heard->icmp.mtu, rows[i].mtu);
		assert_int_equal(heard->quote.ip.protocol, PACKET_IP_PROTOCOL_ICMP);
		assert_int_equal(heard->quote.ip.total_size, 20 + 8 + 12);
		assert_true(icmp_parse(&reader, &header));
		assert_int_equal(header.type, ICMP_TYPE_ECHO_REQUEST);
		assert_int_equal(header.identifier, 77);
		assert_int_equal(header.sequence, 5);
		assert_int_equal(reader_left(&reader), 12);
	}
	/* Of requests that nobody made. */
	const struct host_icmp_error error = {
		.remote = at(REMOTE, 0),
		.origin = ip_addr_from_v4(ROUTER),
		.type = ICMP_TYPE_TIME_EXCEEDED,
	};
	world_fails(socket, &error, 6, NULL, 0);
	expect_silence();
}

static void too_long_for_the_path(void **state)
{
	(void)state;
	world->path_mtu = 1280;
	guest_echo_shaped(GUEST, REMOTE, 77, 5,
			  (struct world_shape){ .dont_fragment = true, .size = 1400 });
	const struct world_heard *heard = expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE,
						       ICMP_CODE_FRAGMENTATION_NEEDED, REMOTE);
	struct reader reader = reader_of(heard->quote.payload, heard->quote.payload_size);
	struct icmp_header header;

	assert_int_equal(heard->icmp.mtu, 1280);
	assert_int_equal(heard->quote.ip.total_size, 1428);
	assert_true(icmp_parse(&reader, &header));
	assert_int_equal(header.identifier, 77);
	assert_int_equal(header.sequence, 5);
	expect_silence();
	guest_echo_shaped(GUEST, REMOTE, 77, 6, (struct world_shape){ .size = 1400 });
	assert_int_equal(must_send()->size, 1400);
}

static void host_refuses(void **state)
{
	static const struct {
		int error;
		int code;
		enum drop_reason reason;
	} rows[] = {
		{ -ENETUNREACH, ICMP_CODE_NET_UNREACHABLE, DROP_SOCKET_ERROR },
		{ -EHOSTUNREACH, ICMP_CODE_HOST_UNREACHABLE, DROP_SOCKET_ERROR },
		{ -EACCES, ICMP_CODE_ADMIN_PROHIBITED, DROP_SOCKET_ERROR },
		{ -EAGAIN, -1, DROP_SOCKET_FULL },
		{ -EINVAL, -1, DROP_SOCKET_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t before = world_drops(rows[i].reason);

		world->send_error = rows[i].error;
		guest_echo(GUEST, REMOTE, 77, 1);
		assert_int_equal(world_drops(rows[i].reason), before + 1);
		if (rows[i].code >= 0)
			expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE, (uint8_t)rows[i].code, REMOTE);
		expect_silence();
	}
}

static void forbidden(void **state)
{
	(void)state;
	guest_echo(GUEST, HOST_LAN, 77, 1);
	expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE, ICMP_CODE_ADMIN_PROHIBITED, HOST_LAN);
	assert_int_equal(world_drops(DROP_HOST_ACCESS), 1);
	guest_echo(GUEST, 0xe0000001, 77, 1);
	expect_silence();
	assert_int_equal(icmp_flow_count(world->nat), 0);
}

static void other_types_are_not_carried(void **state)
{
	static const uint8_t types[] = { ICMP_TYPE_ECHO_REPLY,
					 ICMP_TYPE_UNREACHABLE,
					 ICMP_TYPE_REDIRECT,
					 ICMP_TYPE_TIME_EXCEEDED,
					 13,
					 255 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
		const struct icmp_header header = { .type = types[i] };

		guest_icmp(GUEST, REMOTE, &header);
	}
	assert_int_equal(world_drops(DROP_ICMP_TYPE), ARRAY_COUNT(types));
	expect_silence();
}

/* It leaves nothing behind, and is no guest's loss. */
static void ping_is_tried(void **state)
{
	uint16_t before = world->next_port;

	(void)state;
	nat_try_ping(world->nat);
	assert_int_equal(world->next_port, before + 1);
	assert_int_equal(world->nat->budget.used, 0);
	world->no_echo = true;
	nat_try_ping(world->nat);
	assert_int_equal(world_drops(DROP_PING_OFF), 0);
	/* Where nothing goes out, there is nothing to be said. */
	world->nat->config.outbound = false;
	world->no_echo = false;
	nat_try_ping(world->nat);
	assert_int_equal(world->next_port, before + 1);
}

static void ping_not_allowed_here(void **state)
{
	(void)state;
	world->no_echo = true;
	guest_echo(GUEST, REMOTE, 77, 1);
	guest_echo(GUEST, REMOTE, 77, 2);
	assert_int_equal(world_drops(DROP_PING_OFF), 2);
	assert_int_equal(icmp_flow_count(world->nat), 0);
	assert_int_equal(world->nat->budget.used, 0);
	assert_null(next_sent());
	/* And a flow as soon as it is. */
	world->no_echo = false;
	guest_echo(GUEST, REMOTE, 77, 3);
	assert_int_equal(must_send()->sequence, 3);
}

static void no_descriptor_left(void **state)
{
	(void)state;
	world->sockets_most = 0;
	guest_echo(GUEST, REMOTE, 77, 1);
	assert_int_equal(world_drops(DROP_SOCKET_LIMIT), 1);
	assert_int_equal(icmp_flow_count(world->nat), 0);
	assert_int_equal(world->nat->budget.used, 0);
}

/* RFC 5508 3.2: 60 s at least. */
static void idle_for_60_s(void **state)
{
	(void)state;
	guest_echo(GUEST, REMOTE, 77, 1);
	world_pass(59 * NS_PER_S);
	guest_echo(GUEST, REMOTE, 77, 2);
	world_pass(59 * NS_PER_S);
	assert_int_equal(icmp_flow_count(world->nat), 1);
	world_pass(2 * NS_PER_S);
	assert_int_equal(icmp_flow_count(world->nat), 0);
	assert_int_equal(world->sockets_open, 0);
	assert_int_equal(world->nat->budget.used, 0);
}

static void from_port(uint32_t bridge_port, uint32_t guest, uint16_t ident)
{
	guest_echo_shaped(guest, REMOTE, ident, 1,
			  (struct world_shape){ .bridge_port = bridge_port, .size = 8 });
}

/* A flood of identifiers takes only its own port's flows away. */
static void flood_of_identifiers(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.flow_capacity = 4096;
	world_start(&config);
	from_port(2, GUEST_B, 1);
	int other = must_send()->socket;
	for (uint16_t i = 0; i < 2000; i++) {
		from_port(1, GUEST, i);
		forget_all();
	}
	assert_int_equal(world->nat->budget.port_used[1], 512);
	assert_int_equal(icmp_flow_count(world->nat), 513);
	assert_int_equal(world_drops(DROP_FLOW_LIMIT), 2000 - 512);
	world_echo_reply(other, REMOTE, 1, "still there");
	expect_reply(REMOTE, GUEST_B, 1, 1, "still there");
	nat_port_gone(world->nat, 1);
	assert_int_equal(icmp_flow_count(world->nat), 1);
	assert_int_equal(world->sockets_open, 1);
	/* The first of them is one of the newest again. */
	from_port(1, GUEST, 3);
	assert_int_equal(icmp_flow_count(world->nat), 2);
}

/* Where the network has no flow left, echo has none either, and takes nobody's. */
static void full_network(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 256; i++)
		guest_udp(at(GUEST, (uint16_t)(5000 + i)), at(REMOTE, 7), "x");
	guest_echo(GUEST, REMOTE, 77, 1);
	assert_int_equal(world_drops(DROP_FLOW_LIMIT), 1);
	assert_int_equal(icmp_flow_count(world->nat), 0);
	assert_int_equal(udp_flow_count(world->nat), 256);
}

/* One event for all of them. */
static void many_answers_at_once(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 30; i++)
		guest_echo(GUEST, REMOTE, 77, i);
	int socket = last_sender();
	struct host_socket *owner = world->sockets[socket].owner;
	void (*ready)(struct host_socket * socket, uint32_t events) = owner->ready;
	forget_all();
	owner->ready = NULL; /* nobody is told yet */
	for (uint16_t i = 0; i < 30; i++)
		world_echo_reply(socket, REMOTE, i, "pong");
	expect_silence();
	owner->ready = ready;
	ready(owner, EPOLLIN);
	for (uint16_t i = 0; i < 30; i++)
		expect_reply(REMOTE, GUEST, 77, i, "pong");
}

#define TEST(function)	   cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)
#define TEST_OWN(function) cmocka_unit_test_teardown(function, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identifier_is_put_back),
		TEST(flows_are_apart),
		TEST(only_awaited_answers_pass),
		TEST(long_answer_comes_in_fragments),
		TEST(errors_of_the_way),
		TEST(too_long_for_the_path),
		TEST(host_refuses),
		TEST(forbidden),
		TEST(other_types_are_not_carried),
		TEST(ping_is_tried),
		TEST(ping_not_allowed_here),
		TEST(no_descriptor_left),
		TEST(idle_for_60_s),
		TEST_OWN(flood_of_identifiers),
		TEST(full_network),
		TEST(many_answers_at_once),
	};

	return cmocka_run_group_tests_name("icmp_flow", tests, NULL, NULL);
}
