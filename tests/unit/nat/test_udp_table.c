/* How long mappings last, how many there may be, and who gives way. */
#include "world.h"

#include "nat/udp.h"
#include "nat/udp_table.h"

static struct udp_table *table(void)
{
	return world->nat->shard.udp;
}

static bool is_mapped(struct ip_endpoint guest)
{
	return udp_mapping_find(table(), &guest) != NULL;
}

/* --- time --------------------------------------------------------------------------------- */

static void idle_for_300_s(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int socket = must_send()->socket;
	world_pass(299 * NS_PER_S);
	assert_true(is_mapped(at(GUEST, 5000)));
	world_pass(2 * NS_PER_S);
	assert_false(is_mapped(at(GUEST, 5000)));
	assert_null(world->sockets[socket].owner);
	assert_int_equal(world->nat->budget.used, 0);
	assert_int_equal(table()->by_seen.used, 0);
	assert_int_equal(table()->by_real.used, 0);
}

/* RFC 4787 4.3: what goes out keeps it; so does what comes in. */
static void both_directions_keep_it(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int socket = must_send()->socket;
	for (int i = 0; i < 3; i++) {
		world_pass(200 * NS_PER_S);
		guest_udp(at(GUEST, 5000), at(REMOTE, 7), "out");
		world_pass(200 * NS_PER_S);
		world_arrives(socket, at(REMOTE, 7), HOST_LAN, "in");
	}
	assert_true(is_mapped(at(GUEST, 5000)));
	/* What is not let in does not. */
	world_pass(250 * NS_PER_S);
	world_arrives(socket, at(REMOTE_B, 7), HOST_LAN, "stranger");
	world_pass(60 * NS_PER_S);
	assert_false(is_mapped(at(GUEST, 5000)));
}

static bool admit_all(void *context, const struct nat_question *question)
{
	(void)context;
	(void)question;
	return true;
}

/* Whom the guest asked once cannot keep the way to it open. */
static void under_rules_the_guest_keeps_it(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.admits = admit_all;
	world_start(&config);
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
	int socket = must_send()->socket;
	for (int i = 0; i < 2; i++) {
		world_pass(200 * NS_PER_S);
		guest_udp(at(GUEST, 5000), at(REMOTE, 7), "out");
	}
	for (int i = 0; i < 2; i++) {
		world_pass(140 * NS_PER_S);
		world_arrives(socket, at(REMOTE, 7), HOST_LAN, "in");
	}
	assert_true(is_mapped(at(GUEST, 5000)));
	world_pass(21 * NS_PER_S);
	assert_false(is_mapped(at(GUEST, 5000)));
}

static void question_lasts_10_s(void **state)
{
	(void)state;
	guest_udp(at(GUEST, 5000), at(REMOTE, 53), "q");
	world_pass(9 * NS_PER_S);
	assert_true(is_mapped(at(GUEST, 5000)));
	world_pass(2 * NS_PER_S);
	assert_false(is_mapped(at(GUEST, 5000)));

	guest_udp(at(GUEST, 5001), at(REMOTE, 53), "q");
	world_pass(5 * NS_PER_S);
	world_arrives(last_sender(), at(REMOTE, 53), HOST_LAN, "a");
	world_pass(9 * NS_PER_S);
	assert_true(is_mapped(at(GUEST, 5001)));
	world_pass(2 * NS_PER_S);
	assert_false(is_mapped(at(GUEST, 5001)));
}

static void more_than_a_question_lasts(void **state)
{
	(void)state;
	/* Two questions to one, */
	guest_udp(at(GUEST, 5000), at(REMOTE, 53), "q");
	guest_udp(at(GUEST, 5000), at(REMOTE, 53), "q");
	/* one to each of two, */
	guest_udp(at(GUEST, 5001), at(REMOTE, 53), "q");
	guest_udp(at(GUEST, 5001), at(REMOTE_B, 53), "q");
	/* two answers, */
	guest_udp(at(GUEST, 5002), at(REMOTE, 53), "q");
	world_arrives(last_sender(), at(REMOTE, 53), HOST_LAN, "a");
	world_arrives(last_sender(), at(REMOTE, 53), HOST_LAN, "a");
	/* a server. */
	(void)world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	guest_udp(at(GUEST, 53), at(REMOTE, 53), "q");
	world_pass(100 * NS_PER_S);
	assert_true(is_mapped(at(GUEST, 5000)));
	assert_true(is_mapped(at(GUEST, 5001)));
	assert_true(is_mapped(at(GUEST, 5002)));
	assert_true(is_mapped(at(GUEST, 53)));
	world_pass(201 * NS_PER_S);
	assert_int_equal(udp_flow_count(world->nat), 0);
}

/* --- number ------------------------------------------------------------------------------- */

static void from_port(uint32_t bridge_port, uint32_t guest, uint16_t port)
{
	guest_udp_shaped(at(guest, port), at(REMOTE, 7),
			 (struct world_shape){ .bridge_port = bridge_port, .size = 1 });
}

/* A full table: what rests gives way, what is in use does not. */
static void full_table(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 256; i++)
		from_port(1, GUEST, (uint16_t)(5000 + i));
	assert_int_equal(udp_flow_count(world->nat), 256);
	from_port(1, GUEST, 6000);
	assert_int_equal(udp_flow_count(world->nat), 256);
	assert_false(is_mapped(at(GUEST, 6000)));
	assert_int_equal(world_drops(DROP_FLOW_LIMIT), 1);
	world_pass(11 * NS_PER_S);
	from_port(1, GUEST, 5000);
	from_port(1, GUEST, 6000);
	assert_true(is_mapped(at(GUEST, 6000)));
	assert_true(is_mapped(at(GUEST, 5000)));
	assert_false(is_mapped(at(GUEST, 5001)));
	assert_int_equal(udp_flow_count(world->nat), 256);
	assert_int_equal(world->sockets_open, 256);
	assert_int_equal(world_drops(DROP_FLOW_LIMIT), 2);
}

/* One guest's flood takes neither what another has nor what it needs. */
static void ports_have_shares(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.flow_capacity = 1024;
	world_start(&config);
	for (uint16_t i = 0; i < 10; i++)
		from_port(2, GUEST_B, (uint16_t)(5000 + i));
	world_pass(60 * NS_PER_S); /* B's rest longest of all */
	for (uint16_t i = 0; i < 2000; i++)
		from_port(1, GUEST, (uint16_t)(5000 + i));
	assert_int_equal(world->nat->budget.port_used[1], 512);
	for (uint16_t i = 0; i < 10; i++)
		assert_true(is_mapped(at(GUEST_B, (uint16_t)(5000 + i))));
	world_pass(20 * NS_PER_S);
	from_port(1, GUEST, 9000);
	assert_true(is_mapped(at(GUEST, 9000)));
	assert_false(is_mapped(at(GUEST, 5000)));
	assert_true(is_mapped(at(GUEST_B, 5000)));
	for (uint16_t i = 0; i < 300; i++)
		from_port(2, GUEST_B, (uint16_t)(6000 + i));
	assert_int_equal(world->nat->budget.port_used[2], 310);
}

static void newcomer_finds_room(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.flow_capacity = 1024;
	world_start(&config);
	for (uint16_t i = 0; i < 2000; i++)
		from_port(1, GUEST, (uint16_t)(5000 + i));
	assert_int_equal(world->nat->budget.port_used[1], 1024 - 128);
	for (uint16_t i = 0; i < BUDGET_PORT_MIN; i++)
		from_port(2, GUEST_B, (uint16_t)(5000 + i));
	assert_int_equal(world->nat->budget.port_used[2], BUDGET_PORT_MIN);
}

static void port_gone_ends_its_flows(void **state)
{
	(void)state;
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	from_port(1, GUEST, 5000);
	from_port(2, GUEST_B, 5000);
	/* Made by a client; then the guest answers, and so has a port. */
	world_arrives(forward, at(REMOTE, 1234), HOST_LAN, "ask");
	from_port(1, GUEST, 53);
	assert_int_equal(udp_flow_count(world->nat), 3);
	nat_port_gone(world->nat, 1);
	assert_int_equal(udp_flow_count(world->nat), 1);
	assert_true(is_mapped(at(GUEST_B, 5000)));
	assert_int_equal(world->sockets_open, 2);
	world_pass(400 * NS_PER_S);
	assert_int_equal(world->sockets_open, 1);
}

/* --- peers -------------------------------------------------------------------------------- */

static void oldest_peer_makes_room(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < UDP_PEERS_OWN; i++)
		guest_udp(at(GUEST, 5000), at(REMOTE + i, 7), "x");
	assert_int_equal(world_drops(DROP_UDP_PEER_LIMIT), 0);
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), "again");
	guest_udp(at(GUEST, 5000), at(REMOTE + 1000, 7), "one more");
	assert_int_equal(world_drops(DROP_UDP_PEER_LIMIT), 1);
	int socket = last_sender();
	forget_all();
	world_arrives(socket, at(REMOTE + 1, 7), HOST_LAN, "pushed out");
	expect_silence();
	world_arrives(socket, at(REMOTE, 7), HOST_LAN, "used since");
	expect_heard(at(REMOTE, 7), at(GUEST, 5000), "used since");
	assert_int_equal(table()->by_seen.used, UDP_PEERS_OWN);
	assert_int_equal(table()->peer_extra.used, UDP_PEERS_OWN - 1);
}

/* Many clients of a forward do not push out those the guest talks to, nor the other way round. */
static void kinds_of_peers_are_apart(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.flow_capacity = 8192;
	config.port_capacity = 1;
	world_start(&config);
	int forward = world_forward(NAT_PROTOCOL_UDP, at(HOST_LAN, 5353), at(GUEST, 53));
	guest_udp(at(GUEST, 53), at(REMOTE, 7), "out");
	int own = must_send()->socket;
	for (uint32_t i = 0; i < 1000; i++)
		world_arrives(forward, at(REMOTE + 1 + i, 99), HOST_LAN, "ask");
	forget_all();
	world_arrives(own, at(REMOTE, 7), HOST_LAN, "in");
	expect_heard(at(REMOTE, 7), at(GUEST, 53), "in");
	for (uint32_t i = 0; i < UDP_PEERS_OWN; i++)
		guest_udp(at(GUEST, 53), at(REMOTE + 5000 + i, 7), "out");
	forget_all();
	guest_udp(at(GUEST, 53), at(REMOTE + 1, 99), "say");
	assert_int_equal(expect_sent(at(REMOTE + 1, 99), "say")->socket, forward);
	assert_int_equal(world_drops(DROP_UDP_PEER_LIMIT), 1);
}

static void clients_of_a_forward_are_bounded(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.flow_capacity = 8192;
	config.port_capacity = 1;
	world_start(&config);
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	for (uint32_t i = 0; i < UDP_PEERS_FORWARD + 10; i++) {
		world_arrives(forward, at(REMOTE + i, 99), HOST_LAN, "ask");
		forget_all();
	}
	assert_int_equal(world_drops(DROP_UDP_PEER_LIMIT), 10);
	assert_int_equal(table()->by_seen.used, UDP_PEERS_FORWARD);
	/* Old ones go without counting: nobody waits for them. */
	for (int i = 0; i < 4; i++) {
		world_pass(100 * NS_PER_S);
		world_arrives(forward, at(REMOTE + 20, 99), HOST_LAN, "ask");
	}
	world_arrives(forward, at(REMOTE_B, 77), HOST_LAN, "new");
	assert_int_equal(world_drops(DROP_UDP_PEER_LIMIT), 10);
	assert_int_equal(table()->by_seen.used, 2);
}

/* The pool of peers is no larger than it is, but every mapping has one, whoever has the others. */
static void each_mapping_has_a_peer(void **state)
{
	struct nat_config config = world_config();

	(void)state;
	config.flow_capacity = 128;
	world_start(&config);
	for (uint32_t mapping = 0; mapping < 4; mapping++)
		for (uint32_t i = 0; i < 60; i++)
			guest_udp(at(GUEST, (uint16_t)(5000 + mapping)), at(REMOTE + i, 7), "x");
	assert_int_equal(table()->peer_extra.used, 128);
	assert_true(world_drops(DROP_UDP_PEER_LIMIT) > 0);
	forget_all();
	for (uint16_t i = 0; i < 60; i++) {
		struct ip_endpoint guest = at(GUEST_B, (uint16_t)(6000 + i));

		guest_udp(guest, at(REMOTE, 7), "one");
		expect_sent(at(REMOTE, 7), "one");
		/* The second takes the first one's place. */
		guest_udp(guest, at(REMOTE_B, 7), "two");
		world_arrives(expect_sent(at(REMOTE_B, 7), "two")->socket, at(REMOTE_B, 7),
			      HOST_LAN, "back");
		expect_heard(at(REMOTE_B, 7), guest, "back");
	}
}

/* Against a list kept by the test. */
static void random_operations(void **state)
{
	struct nat_config config = world_config();
	struct random_seeded random;

	(void)state;
	config.flow_capacity = 48;
	world_start(&config);
	random_seeded_init(&random, 23);
	int forward = world_forward(NAT_PROTOCOL_UDP, at(0, 5353), at(GUEST, 53));
	for (int i = 0; i < 20000; i++) {
		uint32_t guest = GUEST + random_below(&random.random, 3);
		uint16_t port = (uint16_t)(5000 + random_below(&random.random, 30));
		uint32_t remote = REMOTE + random_below(&random.random, 20);
		uint32_t what = random_below(&random.random, 100);

		if (what < 60) {
			guest_udp_shaped(at(guest, port), at(remote, 7),
					 (struct world_shape){ .bridge_port = guest - GUEST + 1 });
		} else if (what < 80) {
			world_arrives(forward, at(remote, port), HOST_LAN, "c");
		} else if (what < 95) {
			guest_udp(at(GUEST, 53), at(remote, port), "a");
		} else if (what < 98) {
			world_pass(random_below(&random.random, 20) * NS_PER_S);
		} else if (what < 99) {
			nat_port_gone(world->nat, guest - GUEST + 1);
		} else {
			const struct ip_endpoint external = at(0, 5353);

			assert_int_equal(
				nat_forward_remove(world->nat, NAT_PROTOCOL_UDP, &external), 0);
			forward = world_forward(NAT_PROTOCOL_UDP, external, at(GUEST, 53));
		}
		if (world->socket_count > WORLD_SOCKETS - 100)
			break;
		forget_all();
		assert_int_equal(udp_flow_count(world->nat), world->nat->budget.used);
		assert_int_equal(table()->by_seen.used, table()->by_real.used);
		assert_true(table()->by_seen.used <=
			    udp_flow_count(world->nat) + table()->peer_extra.used);
	}
	world_pass(400 * NS_PER_S);
	assert_int_equal(udp_flow_count(world->nat), 0);
	assert_int_equal(world->nat->budget.used, 0);
	assert_int_equal(table()->peer_extra.used, 0);
	assert_int_equal(table()->by_seen.used, 0);
	assert_int_equal(world->sockets_open, 1);
}

#define TEST(function)	   cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)
#define TEST_OWN(function) cmocka_unit_test_teardown(function, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(idle_for_300_s),
		TEST(both_directions_keep_it),
		TEST_OWN(under_rules_the_guest_keeps_it),
		TEST(question_lasts_10_s),
		TEST(more_than_a_question_lasts),
		TEST(full_table),
		TEST_OWN(ports_have_shares),
		TEST_OWN(newcomer_finds_room),
		TEST(port_gone_ends_its_flows),
		TEST(oldest_peer_makes_room),
		TEST_OWN(kinds_of_peers_are_apart),
		TEST_OWN(clients_of_a_forward_are_bounded),
		TEST_OWN(each_mapping_has_a_peer),
		TEST_OWN(random_operations),
	};

	return cmocka_run_group_tests_name("udp_table", tests, NULL, NULL);
}
