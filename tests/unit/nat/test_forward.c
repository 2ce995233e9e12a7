/* Listeners: their table, TCP clients, what happens when descriptors run out. */
#include "world.h"

#include "nat/forward.h"
#include "nat/tcp.h"

#define TCP NAT_PROTOCOL_TCP
#define UDP NAT_PROTOCOL_UDP

static int add(uint8_t protocol, struct ip_endpoint external, struct ip_endpoint *ret_bound)
{
	const struct nat_forward rule = { protocol, external, at(GUEST, 22) };

	return nat_forward_add(world->nat, &rule, ret_bound);
}

static void table_of_forwards(void **state)
{
	struct nat_forward forwards[8];
	struct ip_endpoint bound;
	const struct ip_endpoint external = at(0, 2222);
	const struct ip_endpoint nowhere = at(0, 2223);

	(void)state;
	assert_int_equal(nat_forwards(world->nat, forwards, 8), 0);
	assert_int_equal(add(TCP, external, &bound), 0);
	assert_true(ip_endpoint_equal(&bound, &external));
	assert_int_equal(add(UDP, external, &bound), 0);
	assert_int_equal(add(TCP, at6("::", 2222), &bound), 0);
	assert_int_equal(add(TCP, external, &bound), -EEXIST);
	/* The kernel's word, where only a part of it is the same. */
	assert_int_equal(add(TCP, at(LOOPBACK, 2222), &bound), -EADDRINUSE);
	assert_int_equal(add(1, nowhere, &bound), -EINVAL);
	assert_int_equal(add(TCP, at(0, 0), &bound), 0);
	assert_int_not_equal(bound.port, 0);
	assert_int_equal(add(TCP, bound, &bound), -EEXIST);

	assert_int_equal(nat_forwards(world->nat, forwards, 8), 4);
	assert_int_equal(forwards[0].protocol, TCP);
	assert_int_equal(forwards[1].protocol, UDP);
	assert_int_equal(forwards[2].external.addr.family, IP_FAMILY_V6);
	assert_true(ip_endpoint_equal(&forwards[3].external, &bound));
	assert_int_equal(nat_forwards(world->nat, forwards, 1), 4);

	assert_int_equal(nat_forward_remove(world->nat, TCP, &nowhere), -ENOENT);
	assert_int_equal(nat_forward_remove(world->nat, TCP, &external), 0);
	assert_int_equal(nat_forward_remove(world->nat, TCP, &external), -ENOENT);
	assert_int_equal(nat_forwards(world->nat, forwards, 8), 3);
	assert_int_equal(forwards[0].protocol, UDP);
	assert_int_equal(world->sockets_open, 3);
}

static void no_descriptor_for_a_listener(void **state)
{
	struct ip_endpoint bound;

	(void)state;
	world->sockets_most = 0;
	assert_int_equal(add(TCP, at(0, 2222), &bound), -EMFILE);
	assert_int_equal(add(UDP, at(0, 2222), &bound), -EMFILE);
	assert_int_equal(nat_forwards(world->nat, NULL, 0), 0);
}

static void finding(void **state)
{
	const struct nat_forward *found;
	struct ip_endpoint asked = at(HOST_LAN, 2222);
	struct host_socket *socket;
	const struct ip_endpoint guest = at(GUEST, 53);

	(void)state;
	(void)world_forward(TCP, at(HOST_OTHER, 2222), at(GUEST, 22));
	assert_null(forward_find(world->nat, TCP, &asked));
	(void)world_forward(TCP, at(HOST_LAN, 2222), at(GUEST_B, 22));
	found = forward_find(world->nat, TCP, &asked);
	assert_non_null(found);
	assert_int_equal(ip_addr_to_v4(&found->internal.addr), GUEST_B);
	assert_null(forward_find(world->nat, UDP, &asked));
	assert_null(forward_find_port(world->nat, UDP, 2222));
	assert_non_null(forward_find_port(world->nat, TCP, 2222));

	/* IPv6 carries no guest's own datagrams. */
	(void)world_forward(UDP, at6("::", 5353), guest);
	assert_null(forward_udp_socket(world->nat, &guest, &found));
	int v4 = world_forward(UDP, at(0, 5353), guest);
	socket = forward_udp_socket(world->nat, &guest, &found);
	assert_non_null(socket);
	assert_int_equal(socket->fd, v4);
	assert_int_equal(found->external.port, 5353);
	asked = at(GUEST, 54);
	assert_null(forward_udp_socket(world->nat, &asked, &found));
}

/* --- TCP ---------------------------------------------------------------------------------- */

static struct ip_endpoint hear_syn(struct ip_endpoint to)
{
	const struct world_heard *heard = must_hear();

	assert_int_equal(heard->packet.ip_protocol, PACKET_IP_PROTOCOL_TCP);
	assert_true(ip_addr_equal(&heard->packet.ip_destination, &to.addr));
	assert_int_equal(heard->packet.port_destination, to.port);
	return (struct ip_endpoint){ heard->packet.ip_source, heard->packet.port_source };
}

static void clients_and_how_they_are_seen(void **state)
{
	struct ip_endpoint wanted = at(REMOTE, 4000);
	struct ip_endpoint seen;

	(void)state;
	int v4 = world_forward(TCP, at(0, 2222), at(GUEST, 22));
	int v6 = world_forward(TCP, at6("::", 2222), at(GUEST, 22));
	world_connects(v4, wanted);
	world_run();
	seen = hear_syn(at(GUEST, 22));
	assert_true(ip_endpoint_equal(&seen, &wanted));
	/* All these are the gateway; their ports must not collide. */
	world_connects(v4, at(LOOPBACK, 4000));
	world_connects(v4, at(HOST_LAN, 4000));
	world_connects(v6, at6("2001:db8::7", 4000));
	world_connects(v6, at6("::1", 4000));
	world_run();
	uint16_t ports[4];
	for (size_t i = 0; i < 4; i++) {
		seen = hear_syn(at(GUEST, 22));
		assert_int_equal(ip_addr_to_v4(&seen.addr), GATEWAY);
		ports[i] = seen.port;
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(ports[i], ports[j]);
	}
	assert_int_equal(ports[0], 4000);
	assert_int_equal(tcp_flow_count(world->nat), 5);
}

static void hairpins(void **state)
{
	static const struct {
		uint32_t to;
		uint32_t real;
	} rows[] = { { GATEWAY, LOOPBACK }, { HOST_LAN, HOST_LAN }, { HOST_OTHER, HOST_OTHER } };

	(void)state;
	(void)world_forward(TCP, at(0, 2222), at(GUEST, 22));
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		guest_syn(at(GUEST, (uint16_t)(5000 + i)), at(rows[i].to, 2222));
		const struct world_socket *socket = &world->sockets[world->socket_count - 1];
		struct ip_endpoint wanted = at(rows[i].real, 2222);

		assert_int_equal(socket->kind, WORLD_STREAM);
		assert_true(ip_endpoint_equal(&socket->to, &wanted));
	}
	int before = world->socket_count;
	guest_syn(at(GUEST, 6000), at(GATEWAY, 2223));
	assert_int_equal(world->socket_count, before);
	assert_int_equal(world_drops(DROP_HOST_ACCESS), 1);
}

/* One event for all that wait, and they are taken in turns. */
static void many_clients_at_once(void **state)
{
	(void)state;
	int listener = world_forward(TCP, at(0, 2222), at(GUEST, 22));
	for (uint16_t i = 0; i < 200; i++)
		world_connects(listener, at(REMOTE, (uint16_t)(4000 + i)));
	world_batch();
	assert_in_range(world->accept_calls, 1, 199);
	world_run();
	assert_int_equal(tcp_flow_count(world->nat), 200);
	assert_int_equal(world->ready_calls, 1);
}

/* accept() fails for want of descriptors: it pauses, whatever else happens, and goes on by itself. */
static void accepting_pauses(void **state)
{
	(void)state;
	int listener = world_forward(TCP, at(0, 2222), at(GUEST, 22));
	world->sockets_most = world->sockets_open;
	for (uint16_t i = 0; i < 3; i++)
		world_connects(listener, at(REMOTE, (uint16_t)(4000 + i)));
	world_run();
	assert_int_equal(world->accept_calls, 1);
	assert_int_equal(world_drops(DROP_SOCKET_LIMIT), 1);
	/* Time stands still: neither batches nor more clients make it try again. */
	for (uint16_t i = 0; i < 100; i++) {
		world_connects(listener, at(REMOTE_B, (uint16_t)(4000 + i)));
		world_batch();
	}
	assert_int_equal(world->accept_calls, 1);
	for (int i = 0; i < 10; i++) {
		world->now_ns += 100 * NS_PER_MS;
		world_run();
	}
	assert_in_range(world->accept_calls, 2, 11);
	assert_int_equal(tcp_flow_count(world->nat), 0);
	assert_int_equal(world->nat->budget.used, 0);
	world->sockets_most = WORLD_SOCKETS;
	world->now_ns += 100 * NS_PER_MS;
	world_run();
	assert_int_equal(tcp_flow_count(world->nat), 103);
	/* Nothing is left that would wake us. */
	unsigned calls = world->accept_calls;
	world->now_ns += 200 * NS_PER_MS;
	world_run();
	assert_int_equal(world->accept_calls, calls);
}

static void removed_while_accepting_pauses(void **state)
{
	const struct ip_endpoint external = at(0, 2222);

	(void)state;
	int listener = world_forward(TCP, external, at(GUEST, 22));
	world->sockets_most = world->sockets_open;
	world_connects(listener, at(REMOTE, 4000));
	world_run();
	assert_int_equal(nat_forward_remove(world->nat, TCP, &external), 0);
	world_pass(NS_PER_S);
	assert_int_equal(world->accept_calls, 1);
}

/* No flow left: the client is told, at once. */
static void full_table_resets_clients(void **state)
{
	(void)state;
	int listener = world_forward(TCP, at(0, 2222), at(GUEST, 22));
	for (uint16_t i = 0; i < 256; i++)
		guest_udp(at(GUEST, (uint16_t)(5000 + i)), at(REMOTE, 7), "x");
	forget_all();
	world_connects(listener, at(REMOTE, 4000));
	world_run();
	assert_true(world->sockets[world->socket_count - 1].reset);
	assert_int_equal(world_drops(DROP_FLOW_LIMIT), 1);
	expect_silence();
}

/* Removing stops listening; connections under way go on. */
static void removed_forward_keeps_connections(void **state)
{
	const struct ip_endpoint external = at(0, 2222);

	(void)state;
	int listener = world_forward(TCP, external, at(GUEST, 22));
	world_connects(listener, at(REMOTE, 4000));
	world_run();
	(void)hear_syn(at(GUEST, 22));
	assert_int_equal(nat_forward_remove(world->nat, TCP, &external), 0);
	assert_null(world->sockets[listener].owner);
	assert_int_equal(tcp_flow_count(world->nat), 1);
	/* The port is free again. */
	(void)world_forward(TCP, external, at(GUEST_B, 22));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(table_of_forwards),
		TEST(no_descriptor_for_a_listener),
		TEST(finding),
		TEST(clients_and_how_they_are_seen),
		TEST(hairpins),
		TEST(many_clients_at_once),
		TEST(accepting_pauses),
		TEST(removed_while_accepting_pauses),
		TEST(full_table_resets_clients),
		TEST(removed_forward_keeps_connections),
	};

	return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
