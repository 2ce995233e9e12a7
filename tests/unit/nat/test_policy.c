/* "What a guest may reach by default", row by row. */
#include "world.h"

#include <stdio.h>

#include "wire/packet_dissect.h"

#define TCP  NAT_PROTOCOL_TCP
#define UDP  NAT_PROTOCOL_UDP
#define ECHO PACKET_IP_PROTOCOL_ICMP
#define PASS DROP_REASON_COUNT

#define NONE NAT_HOST_ACCESS_NONE
#define LAN  NAT_HOST_ACCESS_LAN
#define LOOP NAT_HOST_ACCESS_LOOPBACK

struct row {
	const char *seen;
	uint16_t port;
	uint8_t protocol;
	enum drop_reason reason; /* PASS = reached */
	const char *real;	 /* NULL = as seen */
};

static struct ip_endpoint endpoint_of(const char *text, uint16_t port)
{
	return at6(text, port);
}

static void judge(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		const struct ip_endpoint seen = endpoint_of(row->seen, row->port);
		const struct ip_endpoint wanted =
			row->real ? endpoint_of(row->real, row->port) : seen;
		const struct ip_endpoint untouched = at(1, 1);
		struct ip_endpoint real = untouched;
		enum drop_reason reason = PASS;
		bool passed = policy_resolve(world->nat, row->protocol, &seen, &real, &reason);
		char text[IP_ENDPOINT_TEXT_SIZE];

		if (passed != (row->reason == PASS) || (!passed && reason != row->reason))
			fail_msg("%s: passed %d, %s", ip_endpoint_format(&seen, text), passed,
				 passed ? "" : drop_reason_name(reason));
		if (!ip_endpoint_equal(&real, passed ? &wanted : &untouched))
			fail_msg("row %zu went to %s", i, ip_endpoint_format(&real, text));
	}
}

static void start(enum nat_host_access access)
{
	struct nat_config config = world_config();

	config.host_access = access;
	world_start(&config);
}

static void outside_and_never(void **state)
{
	static const struct row rows[] = {
		{ "203.0.113.5", 80, TCP, PASS, NULL },
		{ "203.0.113.5", 53, UDP, PASS, NULL },
		{ "203.0.113.5", 0, ECHO, PASS, NULL },
		{ "10.0.1.0", 80, TCP, PASS, NULL }, /* beyond the own subnet */
		{ "192.168.1.1", 80, TCP, PASS, NULL },
		{ "0.0.0.0", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "0.255.255.255", 80, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "1.0.0.0", 80, UDP, PASS, NULL },
		{ "127.0.0.1", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "127.255.255.255", 80, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "126.255.255.255", 80, UDP, PASS, NULL },
		{ "128.0.0.0", 80, UDP, PASS, NULL },
		{ "224.0.0.251", 5353, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "239.255.255.255", 1900, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "240.0.0.1", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "255.255.255.255", 67, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "10.0.0.0", 80, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "10.0.0.3", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "10.0.0.255", 80, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "169.254.169.254", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "169.254.0.1", 80, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "169.253.255.255", 80, UDP, PASS, NULL },
		{ "168.63.129.16", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "168.63.129.17", 80, TCP, PASS, NULL },
		{ "100.100.100.200", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "100.100.100.201", 80, TCP, PASS, NULL },
		/* Nothing of IPv6 is a way around these. */
		{ "::", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "::1", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "::ffff:127.0.0.1", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "::ffff:169.254.169.254", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "::ffff:0.0.0.0", 80, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "fe80::1", 80, UDP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "fd00:ec2::254", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
	};

	(void)state;
	start(NONE);
	judge(rows, ARRAY_COUNT(rows));
}

static void metadata_when_allowed(void **state)
{
	static const struct row rows[] = {
		{ "169.254.169.254", 80, TCP, PASS, NULL },
		{ "168.63.129.16", 80, TCP, PASS, NULL },
		{ "100.100.100.200", 80, TCP, PASS, NULL },
		{ "127.0.0.1", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
	};
	struct nat_config config = world_config();

	(void)state;
	config.allow_metadata = true;
	world_start(&config);
	judge(rows, ARRAY_COUNT(rows));
}

static void host_closed(void **state)
{
	static const struct row rows[] = {
		{ "10.0.0.1", 22, TCP, DROP_HOST_ACCESS, NULL },
		{ "10.0.0.1", 5000, UDP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 22, TCP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 0, ECHO, DROP_HOST_ACCESS, NULL },
		{ "192.0.2.1", 22, UDP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.2", 22, TCP, PASS, NULL },
	};

	(void)state;
	start(NONE);
	judge(rows, ARRAY_COUNT(rows));
}

static void host_open_to_the_lan(void **state)
{
	static const struct row rows[] = {
		{ "10.0.0.1", 22, TCP, PASS, "198.51.100.1" },
		{ "10.0.0.1", 5000, UDP, PASS, "198.51.100.1" },
		{ "198.51.100.1", 22, TCP, PASS, NULL },
		{ "198.51.100.1", 0, ECHO, PASS, NULL },
		{ "192.0.2.1", 22, TCP, DROP_HOST_ACCESS, NULL },
		{ "127.0.0.1", 22, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
	};
	static const struct row without_route[] = {
		{ "10.0.0.1", 22, TCP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 22, TCP, DROP_HOST_ACCESS, NULL },
	};

	(void)state;
	start(LAN);
	judge(rows, ARRAY_COUNT(rows));
	world->no_default_route = true;
	judge(without_route, ARRAY_COUNT(without_route));
}

static void host_open_with_loopback(void **state)
{
	static const struct row rows[] = {
		{ "10.0.0.1", 22, TCP, PASS, "127.0.0.1" },
		{ "10.0.0.1", 5000, UDP, PASS, "127.0.0.1" },
		{ "198.51.100.1", 22, TCP, PASS, NULL },
		{ "192.0.2.1", 22, TCP, DROP_HOST_ACCESS, NULL },
		{ "127.0.0.1", 22, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
	};

	(void)state;
	start(LOOP);
	judge(rows, ARRAY_COUNT(rows));
}

static void network_without_nat(void **state)
{
	static const struct row rows[] = {
		{ "203.0.113.5", 80, TCP, DROP_NAT_OFF, NULL },
		{ "203.0.113.5", 80, UDP, DROP_NAT_OFF, NULL },
		{ "203.0.113.5", 0, ECHO, DROP_NAT_OFF, NULL },
		{ "198.51.100.1", 80, TCP, DROP_HOST_ACCESS, NULL },
		{ "169.254.169.254", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		/* Not even a hairpin. */
		{ "10.0.0.1", 2222, TCP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 2222, TCP, DROP_HOST_ACCESS, NULL },
		{ "192.0.2.1", 2222, TCP, DROP_HOST_ACCESS, NULL },
	};
	struct nat_config config = world_config();

	(void)state;
	config.outbound = false;
	world_start(&config);
	(void)world_forward(TCP, at(0, 2222), at(GUEST, 22));
	judge(rows, ARRAY_COUNT(rows));
}

/* What is asked for is given, and no more. */
static void network_without_nat_but_the_host(void **state)
{
	static const struct row rows[] = {
		{ "10.0.0.1", 22, TCP, PASS, "198.51.100.1" },
		{ "192.0.2.1", 22, TCP, DROP_HOST_ACCESS, NULL },
		{ "203.0.113.5", 80, TCP, DROP_NAT_OFF, NULL },
	};
	struct nat_config config = world_config();

	(void)state;
	config.outbound = false;
	config.host_access = LAN;
	world_start(&config);
	judge(rows, ARRAY_COUNT(rows));
}

static void hairpin(void **state)
{
	static const struct row rows[] = {
		{ "10.0.0.1", 2222, TCP, PASS, "127.0.0.1" },
		{ "10.0.0.1", 2222, UDP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 2222, TCP, PASS, NULL },
		{ "192.0.2.1", 2222, TCP, PASS, NULL },
		{ "198.51.100.1", 2222, UDP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 2223, TCP, DROP_HOST_ACCESS, NULL },
		{ "127.0.0.1", 2222, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		/* One address only. */
		{ "10.0.0.1", 5353, UDP, PASS, "192.0.2.1" },
		{ "192.0.2.1", 5353, UDP, PASS, NULL },
		{ "198.51.100.1", 5353, UDP, DROP_HOST_ACCESS, NULL },
		/* IPv6 alone, and both: IPv4 is taken. */
		{ "10.0.0.1", 8080, TCP, PASS, "::1" },
		{ "198.51.100.1", 8080, TCP, DROP_HOST_ACCESS, NULL },
		{ "10.0.0.1", 9090, TCP, PASS, "127.0.0.1" },
		/* On loopback. */
		{ "10.0.0.1", 7070, TCP, PASS, "127.0.0.1" },
		{ "198.51.100.1", 7070, TCP, DROP_HOST_ACCESS, NULL },
	};

	(void)state;
	start(NONE);
	(void)world_forward(TCP, at(0, 2222), at(GUEST, 22));
	(void)world_forward(UDP, at(HOST_OTHER, 5353), at(GUEST, 53));
	(void)world_forward(TCP, at6("::", 8080), at(GUEST, 80));
	(void)world_forward(TCP, at6("::", 9090), at(GUEST, 90));
	(void)world_forward(TCP, at(0, 9090), at(GUEST, 90));
	(void)world_forward(TCP, at(LOOPBACK, 7070), at(GUEST, 70));
	judge(rows, ARRAY_COUNT(rows));
}

/* Rules as the test writes them: what the host offers, and what else is closed. */
struct host_rules {
	uint16_t port;	  /* of the host, whatever address names it; 0 = all */
	uint32_t closed;  /* an address */
	uint16_t hairpin; /* a port closed at the gateway's address, as what is its own */
	unsigned to_host; /* how often it was asked about the host */
	uint8_t protocol; /* of the last such question */
};

static bool host_rules_admit(void *context, const struct nat_question *question)
{
	struct host_rules *rules = context;

	assert_true(question->from_guest);
	if (question->to_host) {
		assert_int_equal(ip_addr_to_v4(&question->remote.addr), GATEWAY);
		rules->to_host++;
		rules->protocol = question->protocol;
		return rules->port == 0 || rules->port == question->remote.port;
	}
	if (ip_addr_to_v4(&question->remote.addr) == GATEWAY)
		return rules->hairpin == 0 || rules->hairpin != question->remote.port;
	return ip_addr_to_v4(&question->remote.addr) != rules->closed;
}

static void start_with_rules(struct host_rules *rules, enum nat_host_access access)
{
	struct nat_config config = world_config();

	config.host_access = access;
	config.admits = host_rules_admit;
	config.admits_context = rules;
	world_start(&config);
}

/* The rules about the host hold for each of its addresses, and those about an address as well. */
static void rules_about_the_host(void **state)
{
	static const struct row rows[] = {
		{ "10.0.0.1", 8080, TCP, PASS, "198.51.100.1" },
		{ "10.0.0.1", 8080, UDP, PASS, "198.51.100.1" },
		{ "10.0.0.1", 22, TCP, DROP_HOST_ACCESS, NULL },
		{ "10.0.0.1", 53, UDP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 8080, TCP, PASS, NULL },
		{ "198.51.100.1", 8080, UDP, PASS, NULL },
		{ "198.51.100.1", 22, TCP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 53, UDP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 0, ECHO, DROP_HOST_ACCESS, NULL },
		{ "192.0.2.1", 8080, TCP, DROP_HOST_ACCESS, NULL },
		{ "203.0.113.5", 22, TCP, PASS, NULL },
	};
	static const struct row closed[] = {
		{ "10.0.0.1", 8080, TCP, PASS, "198.51.100.1" },
		{ "198.51.100.1", 8080, TCP, DROP_FILTERED, NULL },
	};
	struct host_rules rules = { .port = 8080 };

	(void)state;
	start_with_rules(&rules, LAN);
	judge(rows, ARRAY_COUNT(rows));
	assert_int_equal(rules.protocol, TCP); /* the last one asked, of 192.0.2.1 */
	rules.closed = HOST_LAN;
	judge(closed, ARRAY_COUNT(closed));
}

/* Rules open nothing that is closed. */
static void rules_about_a_closed_host(void **state)
{
	static const struct row rows[] = {
		{ "10.0.0.1", 8080, TCP, DROP_HOST_ACCESS, NULL },
		{ "198.51.100.1", 8080, TCP, DROP_HOST_ACCESS, NULL },
	};
	struct host_rules rules = { 0 };

	(void)state;
	start_with_rules(&rules, NONE);
	judge(rows, ARRAY_COUNT(rows));
	assert_int_equal(rules.to_host, 0);
}

/* An own forward is no service of the host's; but what is closed at the gateway's address is closed. */
static void rules_about_hairpins(void **state)
{
	static const struct row rows[] = {
		{ "10.0.0.1", 2222, TCP, PASS, "127.0.0.1" },
		{ "198.51.100.1", 2222, TCP, PASS, NULL },
		{ "192.0.2.1", 2222, TCP, PASS, NULL },
	};
	static const struct row closed[] = {
		{ "10.0.0.1", 2222, TCP, DROP_FILTERED, NULL },
		{ "198.51.100.1", 2222, TCP, DROP_HOST_ACCESS, NULL },
		{ "192.0.2.1", 2222, TCP, DROP_HOST_ACCESS, NULL },
	};
	struct host_rules rules = { .port = 8080 };

	(void)state;
	start_with_rules(&rules, LAN);
	(void)world_forward(TCP, at(0, 2222), at(GUEST, 22));
	judge(rows, ARRAY_COUNT(rows));
	assert_int_equal(rules.to_host, 0);
	rules.hairpin = 2222;
	judge(closed, ARRAY_COUNT(closed));
}

static bool goes_on(uint8_t protocol, const char *seen, uint16_t port, bool narrower)
{
	const struct ip_endpoint endpoint = endpoint_of(seen, port);

	return policy_may_go_on(world->nat, protocol, &endpoint, narrower);
}

/* Other rules about the host, and as much of it is open as before. */
static void flows_to_the_host_under_other_rules(void **state)
{
	static const char *const names[] = { "10.0.0.1", "198.51.100.1" };
	static const uint8_t protocols[] = { TCP, UDP };
	struct host_rules rules = { .port = 9090 };

	(void)state;
	start_with_rules(&rules, LAN);
	(void)world_forward(TCP, at(0, 2222), at(GUEST, 22));
	for (unsigned i = 0; i < 4; i++) {
		assert_true(goes_on(protocols[i / 2], names[i % 2], 9090, false));
		assert_false(goes_on(protocols[i / 2], names[i % 2], 8080, false));
	}
	assert_true(goes_on(TCP, "10.0.0.1", 2222, false));
	assert_true(goes_on(TCP, "192.0.2.1", 2222, false));
	assert_true(goes_on(TCP, "203.0.113.5", 8080, false));
	assert_false(goes_on(ECHO, "198.51.100.1", 0, false));
	rules.hairpin = 2222;
	assert_false(goes_on(TCP, "10.0.0.1", 2222, false));
	assert_false(goes_on(TCP, "192.0.2.1", 2222, false));
	/* The way to the host is no matter of rules, unless less of it is open. */
	world->no_default_route = true;
	assert_true(goes_on(TCP, "10.0.0.1", 9090, false));
	assert_false(goes_on(TCP, "10.0.0.1", 9090, true));
}

static bool belongs_to_other(void *context, const struct ip_addr *addr)
{
	return ip_addr_equal(addr, context);
}

static void other_networks(void **state)
{
	static const struct row rows[] = {
		{ "10.9.9.9", 80, TCP, DROP_FORBIDDEN_DESTINATION, NULL },
		{ "10.9.9.8", 80, TCP, PASS, NULL },
	};
	struct nat_config config = world_config();
	struct ip_addr other;

	(void)state;
	assert_true(ip_addr_parse("10.9.9.9", &other));
	config.belongs_to_other = belongs_to_other;
	config.belongs_context = &other;
	world_start(&config);
	judge(rows, ARRAY_COUNT(rows));
}

static void clients_as_the_guest_sees_them(void **state)
{
	static const struct {
		const char *client;
		const char *seen;
	} rows[] = {
		{ "203.0.113.9", "203.0.113.9" },
		{ "192.168.1.7", "192.168.1.7" },
		{ "127.0.0.1", "10.0.0.1" },
		{ "127.9.9.9", "10.0.0.1" },
		{ "198.51.100.1", "10.0.0.1" },
		{ "192.0.2.1", "10.0.0.1" },
		{ "10.0.0.2", "10.0.0.1" },
		{ "10.0.0.200", "10.0.0.1" },
		{ "10.0.1.1", "10.0.1.1" },
		{ "::1", "10.0.0.1" },
		{ "2001:db8::7", "10.0.0.1" },
		{ "fe80::7", "10.0.0.1" },
		{ "::ffff:203.0.113.9", "203.0.113.9" },
		{ "::ffff:127.0.0.1", "10.0.0.1" },
	};

	(void)state;
	start(NONE);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct ip_endpoint client = endpoint_of(rows[i].client, 4711);
		const struct ip_endpoint wanted = endpoint_of(rows[i].seen, 4711);
		const struct ip_endpoint seen = policy_client_seen(world->nat, &client);

		assert_true(ip_endpoint_equal(&seen, &wanted));
	}
}

static void clients_of_a_guest_without_a_router(void **state)
{
	static const char *const clients[] = { "203.0.113.9", "192.168.1.7", "127.0.0.1",
					       "::1",	      "2001:db8::7", "::ffff:203.0.113.9" };
	struct nat_config config = world_config();

	(void)state;
	config.outbound = false;
	world_start(&config);
	for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
		const struct ip_endpoint client = endpoint_of(clients[i], 4711);
		const struct ip_endpoint wanted = endpoint_of("10.0.0.1", 4711);
		const struct ip_endpoint seen = policy_client_seen(world->nat, &client);

		assert_true(ip_endpoint_equal(&seen, &wanted));
	}
}

#define TEST(function) cmocka_unit_test_teardown(function, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(outside_and_never),
		TEST(metadata_when_allowed),
		TEST(host_closed),
		TEST(host_open_to_the_lan),
		TEST(host_open_with_loopback),
		TEST(network_without_nat),
		TEST(network_without_nat_but_the_host),
		TEST(hairpin),
		TEST(rules_about_the_host),
		TEST(rules_about_a_closed_host),
		TEST(rules_about_hairpins),
		TEST(flows_to_the_host_under_other_rules),
		TEST(other_networks),
		TEST(clients_as_the_guest_sees_them),
		TEST(clients_of_a_guest_without_a_router),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
