/* How many local ports of the host UDP may take, and whose socket gives way. */
#include "world.h"

#include "nat/udp.h"
#include "nat/udp_table.h"

#define MOST 1024
#define KEPT (MOST / 8) /* for who has next to nothing */

static struct udp_table *table(void)
{
	return world->nat->shard.udp;
}

/* The flow table has room for more. */
static void start(uint32_t sockets)
{
	struct nat_config config = world_config();

	config.flow_capacity = 4 * MOST;
	config.udp_socket_capacity = sockets;
	world_start(&config);
}

static void from_port(uint32_t bridge_port, uint32_t guest, uint16_t port)
{
	guest_udp_shaped(at(guest, port), at(REMOTE, 7),
			 (struct world_shape){ .bridge_port = bridge_port, .size = 1 });
}

static void spray(uint32_t bridge_port, uint32_t guest, uint16_t first, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		from_port(bridge_port, guest, (uint16_t)(first + i));
	forget_all();
}

static bool is_open(struct ip_endpoint guest)
{
	const struct udp_mapping *mapping = udp_mapping_find(table(), &guest);

	return mapping && mapping->socket.fd >= 0;
}

/* What rests for 10 s gives way, the oldest first; what is in use does not. */
static void spray_ends_at_the_limit(void **state)
{
	(void)state;
	start(100);
	spray(1, GUEST, 5000, 300);
	assert_int_equal(world->sockets_open, 100);
	assert_int_equal(world_drops(DROP_UDP_PORT_LIMIT), 200);
	assert_int_equal(world_drops(DROP_FLOW_LIMIT), 0);
	/* One that was refused is no flow. */
	assert_int_equal(udp_flow_count(world->nat), 100);
	assert_int_equal(world->nat->budget.used, 100);

	world_pass(9 * NS_PER_S);
	from_port(1, GUEST, 5000);
	assert_int_equal(must_send()->size, 1);
	from_port(1, GUEST, 6000);
	expect_silence();
	world_pass(2 * NS_PER_S);
	from_port(1, GUEST, 6000);
	assert_int_equal(must_send()->size, 1);
	assert_true(is_open(at(GUEST, 5000)));
	assert_false(is_open(at(GUEST, 5001)));
	assert_true(is_open(at(GUEST, 5002)));
	assert_int_equal(world->sockets_open, 100);

	world_pass(310 * NS_PER_S);
	assert_int_equal(world->sockets_open, 0);
	assert_int_equal(table()->sockets.used, 0);
	spray(1, GUEST, 7000, 100);
	assert_int_equal(world->sockets_open, 100);
}

/* Answers count as use, too. */
static void answered_stay(void **state)
{
	(void)state;
	start(100);
	from_port(1, GUEST, 5000);
	int socket = must_send()->socket;
	spray(1, GUEST, 5001, 99);
	world_pass(11 * NS_PER_S);
	world_arrives(socket, at(REMOTE, 7), HOST_LAN, "still there");
	spray(1, GUEST, 6000, 300);
	assert_true(is_open(at(GUEST, 5000)));
	for (uint16_t i = 1; i < 100; i++)
		assert_false(is_open(at(GUEST, (uint16_t)(5000 + i))));
	assert_int_equal(world->sockets_open, 100);
}

static void others_lose_nothing(void **state)
{
	(void)state;
	start(MOST);
	spray(2, GUEST_B, 5000, 10);
	world_pass(60 * NS_PER_S); /* they rest longest of all */
	spray(1, GUEST, 5000, 2 * MOST);
	assert_int_equal(table()->sockets.port_used[1], MOST / 2);
	for (int i = 0; i < 3; i++) {
		world_pass(20 * NS_PER_S);
		spray(1, GUEST, (uint16_t)(10000 + 1000 * i), 1000);
	}
	assert_int_equal(table()->sockets.port_used[1], MOST / 2);
	for (uint16_t i = 0; i < 10; i++)
		assert_true(is_open(at(GUEST_B, (uint16_t)(5000 + i))));
}

/* Somebody who was there alone gives back what another wants now, up to equal parts, even if all of
 * it is in use. */
static void newcomer_gets_its_share(void **state)
{
	(void)state;
	start(MOST);
	spray(1, GUEST, 5000, 2 * MOST);
	assert_int_equal(table()->sockets.port_used[1], MOST - KEPT);
	spray(2, GUEST_B, 5000, MOST);
	assert_int_equal(table()->sockets.port_used[2], (MOST - KEPT) / 2);
	assert_int_equal(table()->sockets.port_used[1], (MOST - KEPT) / 2);
	assert_int_equal(world->sockets_open, MOST - KEPT);
	/* The oldest went, and those of the newcomer stayed. */
	assert_false(is_open(at(GUEST, 5000)));
	assert_true(is_open(at(GUEST, 5000 + MOST - KEPT - 1)));
	assert_true(is_open(at(GUEST_B, 5000)));
	/* Now both have it: nobody pushes the other out. */
	spray(1, GUEST, 20000, MOST);
	assert_int_equal(table()->sockets.port_used[2], (MOST - KEPT) / 2);
}

/* What lives by a forward's socket neither counts nor gives way. */
static void forwards_are_apart(void **state)
{
	(void)state;
	start(1);
	int wildcard = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	int bound = world_forward(NAT_PROTOCOL_UDP, at(HOST_LAN, 5354), at(GUEST, 54));
	from_port(1, GUEST, 53);
	assert_int_equal(must_send()->socket, wildcard);
	world_arrives(bound, at(REMOTE_B, 9), HOST_LAN, "ask");
	forget_all();
	assert_int_equal(table()->sockets.used, 0);
	from_port(1, GUEST, 5000);
	assert_int_equal(must_send()->size, 1);
	world_pass(11 * NS_PER_S);
	from_port(1, GUEST, 5001);
	assert_int_equal(must_send()->size, 1);
	assert_false(is_open(at(GUEST, 5000)));
	assert_non_null(
		udp_mapping_find(table(), &(struct ip_endpoint){ ip_addr_from_v4(GUEST), 53 }));
	guest_udp(at(GUEST, 54), at(REMOTE_B, 9), "answer");
	assert_int_equal(expect_sent(at(REMOTE_B, 9), "answer")->socket, bound);
	/* By the forward's socket it cannot talk to others; with none of its own, it keeps its client. */
	guest_udp(at(GUEST, 54), at(REMOTE, 7), "out");
	expect_silence();
	assert_int_equal(world_drops(DROP_UDP_PORT_LIMIT), 2);
	guest_udp(at(GUEST, 54), at(REMOTE_B, 9), "more");
	assert_int_equal(expect_sent(at(REMOTE_B, 9), "more")->socket, bound);
}

/* What the host refuses does not count. */
static void refused_by_the_host(void **state)
{
	(void)state;
	start(2);
	world->sockets_most = 1;
	spray(1, GUEST, 5000, 10);
	assert_int_equal(world_drops(DROP_SOCKET_LIMIT), 9);
	assert_int_equal(world_drops(DROP_UDP_PORT_LIMIT), 0);
	assert_int_equal(table()->sockets.used, 1);
	world->sockets_most = WORLD_SOCKETS;
	from_port(1, GUEST, 6000);
	assert_int_equal(must_send()->size, 1);
	assert_int_equal(table()->sockets.used, 2);
}

static void port_gone_gives_back(void **state)
{
	(void)state;
	start(MOST);
	spray(1, GUEST, 5000, 100);
	spray(2, GUEST_B, 5000, 100);
	nat_port_gone(world->nat, 1);
	assert_int_equal(table()->sockets.port_used[1], 0);
	assert_int_equal(table()->sockets.used, 100);
	assert_int_equal(world->sockets_open, 100);
}

#define TEST(function) cmocka_unit_test_teardown(function, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(spray_ends_at_the_limit), TEST(answered_stay),	 TEST(others_lose_nothing),
		TEST(newcomer_gets_its_share), TEST(forwards_are_apart), TEST(refused_by_the_host),
		TEST(port_gone_gives_back),
	};

	return cmocka_run_group_tests_name("udp_open", tests, NULL, NULL);
}
