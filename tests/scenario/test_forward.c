/* TCP forwards through the whole network (design.md, "Port forwards"). */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rig/rig_one.h"

static const struct rig_config whole = { .seed = 1, .whole = true };

static void start(struct rig_one *one)
{
	rig_one_init(one, &whole);
	rig_guest_announce(&one->rig->guest);
	rig_time_run(&one->rig->time, NS_PER_MS);
	one->guest.end = RIG_APP_END_NEVER;
	one->host.app.end = RIG_APP_END_NEVER;
	one->guest.expect_size = one->host.app.expect_size = RIG_NEVER;
}

static void guest_listens(struct rig_one *one, struct rig_tcp *tcp)
{
	struct ip_endpoint own = rig_guest_endpoint(one->rig, 22);

	rig_tcp_listen(tcp, &one->rig->guest, &own, &one->options, &one->guest);
}

static struct rig_peer *client_comes(struct rig_one *one, struct ip_endpoint from,
				     struct ip_endpoint to)
{
	return rig_host_client(&one->rig->host, &from, &to, &one->host);
}

static const uint8_t loopback6[16] = { [15] = 1 };
static const uint8_t global6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 };

/* The guest sees the client, or the gateway where the client's address would not come back. */
static void test_client_seen(void **state)
{
	const struct {
		struct ip_addr client;
		struct ip_addr bound;
		uint32_t seen;
	} cases[] = {
		{ ip_addr_from_v4(RIG_ADDR_CLIENT), ip_addr_from_v4(RIG_ADDR_HOST),
		  RIG_ADDR_CLIENT },
		{ ip_addr_from_v4(INADDR_LOOPBACK), ip_addr_from_v4(INADDR_LOOPBACK),
		  RIG_ADDR_GATEWAY },
		{ ip_addr_from_v4(RIG_ADDR_HOST), ip_addr_from_v4(RIG_ADDR_HOST),
		  RIG_ADDR_GATEWAY },
		{ ip_addr_from_v4(RIG_ADDR_GUEST), ip_addr_from_v4(RIG_ADDR_HOST),
		  RIG_ADDR_GATEWAY },
		{ ip_addr_from_v6(loopback6), ip_addr_from_v6(loopback6), RIG_ADDR_GATEWAY },
		{ ip_addr_from_v6(global6), ip_addr_from_v6(loopback6), RIG_ADDR_GATEWAY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct rig_one one;
		struct ip_endpoint bound;

		start(&one);
		struct nat_forward forward = {
			.protocol = NAT_PROTOCOL_TCP,
			.external = { cases[i].bound, 2222 },
			.internal = rig_guest_endpoint(one.rig, 22),
		};
		assert_int_equal(nat_forward_add(one.rig->nat, &forward, &bound), 0);
		guest_listens(&one, &one.tcp);
		struct ip_endpoint from = { cases[i].client, 50000 };
		struct rig_peer *peer = client_comes(&one, from, forward.external);
		rig_time_run(&one.rig->time, NS_PER_S);
		assert_false(peer->refused);
		assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
		assert_int_equal(ip_addr_to_v4(&one.tcp.remote.addr), cases[i].seen);
		assert_int_equal(one.tcp.remote.port, 50000);
		rig_one_done(&one);
	}
}

/* Two clients that would be the same to the guest get different ports. */
static void test_same_port_twice(void **state)
{
	struct rig_one one;
	struct rig_tcp second;

	(void)state;
	start(&one);
	rig_forward(one.rig, 2222, 22);
	guest_listens(&one, &one.tcp);
	guest_listens(&one, &second);
	(void)client_comes(&one, rig_endpoint(INADDR_LOOPBACK, 50000),
			   rig_endpoint(INADDR_LOOPBACK, 2222));
	(void)client_comes(&one, rig_endpoint(RIG_ADDR_HOST, 50000),
			   rig_endpoint(RIG_ADDR_HOST, 2222));
	rig_time_run(&one.rig->time, NS_PER_S);
	assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
	assert_int_equal(second.state, RIG_TCP_OPEN);
	assert_int_not_equal(one.tcp.remote.port, second.remote.port);
	rig_one_done(&one);
}

/* A client that comes while the guest is down is held 3 s: in vain, or until it is up. */
static void test_held(void **state)
{
	(void)state;
	for (unsigned in_time = 0; in_time < 2; in_time++) {
		struct rig_one one;

		start(&one);
		rig_forward(one.rig, 2222, 22);
		one.rig->guest.down = true;
		struct rig_peer *peer = client_comes(&one, rig_endpoint(RIG_ADDR_CLIENT, 50000),
						     rig_endpoint(RIG_ADDR_HOST, 2222));
		rig_time_run(&one.rig->time, 1800 * NS_PER_MS);
		assert_false(peer->app.heard_reset);
		guest_listens(&one, &one.tcp);
		one.rig->guest.down = !in_time;
		rig_time_run(&one.rig->time, 2 * NS_PER_S);
		assert_int_equal(peer->app.heard_reset, !in_time);
		assert_int_equal(one.tcp.state, in_time ? RIG_TCP_OPEN : RIG_TCP_CLOSED);
		rig_one_done(&one);
	}
}

/* The guest is up but was never heard, and has its address by reservation: it is found. */
static void test_silent_guest(void **state)
{
	struct rig_one one;

	(void)state;
	rig_one_init(&one, &whole);
	one.guest.end = one.host.app.end = RIG_APP_END_NEVER;
	rig_forward(one.rig, 2222, 22);
	guest_listens(&one, &one.tcp);
	(void)client_comes(&one, rig_endpoint(RIG_ADDR_CLIENT, 50000),
			   rig_endpoint(RIG_ADDR_HOST, 2222));
	rig_time_run(&one.rig->time, 2 * NS_PER_S);
	assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
	rig_one_done(&one);
}

/* Removed while it runs: no new clients; the old connection goes on. Then it may be added again. */
static void test_remove(void **state)
{
	struct rig_one one;
	struct ip_endpoint bound;

	(void)state;
	start(&one);
	one.guest.end = one.host.app.end = RIG_APP_END_AFTER_SENT;
	rig_one_sizes(&one, 100000, 100000);
	one.guest.interval_ns = 10 * NS_PER_MS;
	one.guest.send_chunk = 1000;
	rig_one_accept(&one);
	rig_time_run(&one.rig->time, 100 * NS_PER_MS);
	struct ip_endpoint external = rig_endpoint(0, RIG_ONE_FORWARD);
	struct nat_forward forward = {
		.protocol = NAT_PROTOCOL_TCP,
		.external = external,
		.internal = rig_guest_endpoint(one.rig, 22),
	};
	assert_int_equal(nat_forward_add(one.rig->nat, &forward, &bound), -EEXIST);
	assert_int_equal(nat_forward_remove(one.rig->nat, NAT_PROTOCOL_TCP, &external), 0);
	assert_int_equal(nat_forward_remove(one.rig->nat, NAT_PROTOCOL_TCP, &external), -ENOENT);
	assert_true(client_comes(&one, rig_endpoint(RIG_ADDR_CLIENT, 50001),
				 rig_endpoint(RIG_ADDR_HOST, RIG_ONE_FORWARD))
			    ->refused);
	assert_null(rig_one_finish(&one, 10 * NS_PER_S));
	assert_int_equal(nat_forward_add(one.rig->nat, &forward, &bound), 0);
	rig_one_done(&one);
}

/* The guest leaves and comes back: its clients are told, and new ones get through. */
static void test_reboot(void **state)
{
	struct rig_one one;

	(void)state;
	start(&one);
	rig_forward(one.rig, 2222, 22);
	guest_listens(&one, &one.tcp);
	struct rig_peer *peer = client_comes(&one, rig_endpoint(RIG_ADDR_CLIENT, 50000),
					     rig_endpoint(RIG_ADDR_HOST, 2222));
	rig_time_run(&one.rig->time, NS_PER_S);
	assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
	rig_tcp_done(&one.tcp);
	rig_port_gone(one.rig);
	rig_time_run(&one.rig->time, NS_PER_S);
	assert_true(peer->app.heard_reset);
	assert_null(rig_what_is_left(one.rig));

	int rc = bridge_port_add(one.rig->bridge, &one.rig->port.sink, &one.rig->guest_port,
				 &one.rig->ingress);
	assert_int_equal(rc, 0);
	rig_guest_announce(&one.rig->guest);
	guest_listens(&one, &one.tcp);
	(void)client_comes(&one, rig_endpoint(RIG_ADDR_CLIENT, 50001),
			   rig_endpoint(RIG_ADDR_HOST, 2222));
	rig_time_run(&one.rig->time, NS_PER_S);
	assert_int_equal(one.tcp.state, RIG_TCP_OPEN);
	rig_one_done(&one);
}

/* The guest reaches its own forward by the gateway's address and by the host's. */
static void test_hairpin(void **state)
{
	static const uint32_t addrs[] = { RIG_ADDR_GATEWAY, RIG_ADDR_HOST };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(addrs); i++) {
		struct rig_one one;
		struct rig_tcp client;
		struct rig_app_plan plan = {
			.send_seed = 2, .send_size = 100000, .expect_seed = 1, .expect_size = 50000
		};

		start(&one);
		one.guest = (struct rig_app_plan){
			.send_seed = 1, .send_size = 50000, .expect_seed = 2, .expect_size = 100000
		};
		rig_forward(one.rig, 2222, 22);
		guest_listens(&one, &one.tcp);
		struct ip_endpoint own = rig_guest_endpoint(one.rig, 41000);
		struct ip_endpoint to = rig_endpoint(addrs[i], 2222);
		rig_tcp_connect(&client, &one.rig->guest, &own, &to, &one.options, &plan);
		rig_time_run(&one.rig->time, 10 * NS_PER_S);
		assert_true(rig_tcp_is_content(&client));
		assert_true(rig_tcp_is_content(&one.tcp));
		assert_int_equal(ip_addr_to_v4(&one.tcp.remote.addr), RIG_ADDR_GATEWAY);
		rig_one_done(&one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_seen), cmocka_unit_test(test_same_port_twice),
		cmocka_unit_test(test_held),	    cmocka_unit_test(test_silent_guest),
		cmocka_unit_test(test_remove),	    cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_hairpin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
