#include "host_rig.h"

static bool is_local(struct rig *rig, const char *text)
{
	struct ip_addr addr;
	assert_true(ip_addr_parse(text, &addr));
	return host_call(rig->host, is_local, &addr);
}

static void test_is_local(void **state)
{
	(void)state;
	static const struct {
		const char *addr;
		bool local;
	} cases[] = {
		{ "127.0.0.1", true },
		{ "127.255.3.4", true },
		{ "::1", true },
		{ "::ffff:127.0.0.1", true },
		{ "0.0.0.0", true },
		{ "::", true },
		{ "203.0.113.99", false },
		{ "8.8.8.8", false },
		{ "2001:db8:ffff::9", false },
		{ "::ffff:203.0.113.99", false },
	};
	struct rig rig;
	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(is_local(&rig, cases[i].addr), cases[i].local);
	rig_done(&rig);
}

/* Runs the loop until the address is what is expected; false after 5 s. */
static bool becomes_local(struct rig *rig, const char *text, bool expected)
{
	uint64_t end = clock_now(&clock_boottime) + 5 * NS_PER_S;
	while (is_local(rig, text) != expected) {
		if (clock_now(&clock_boottime) > end || loop_run_once(rig->loop, 1000) < 0)
			return false;
	}
	return true;
}

/* The same for the default route; NULL: there is none. */
static bool becomes_source(struct rig *rig, enum ip_family family, const char *expected)
{
	uint64_t end = clock_now(&clock_boottime) + 5 * NS_PER_S;
	for (;;) {
		struct ip_addr source;
		char text[IP_ADDR_TEXT_SIZE] = "";
		bool found = host_call(rig->host, default_source, family, &source);
		if (!found && !expected)
			return true;
		if (found && expected && strcmp(ip_addr_format(&source, text), expected) == 0)
			return true;
		if (clock_now(&clock_boottime) > end || loop_run_once(rig->loop, 1000) < 0) {
			(void)fprintf(stderr, "default source is '%s'\n", text);
			return false;
		}
	}
}

static void addresses_live(void)
{
	struct rig rig;
	rig_init(&rig);
	CHECK(!is_local(&rig, "10.9.0.1"));
	rig_ip("link add v0 type veth peer name v1");
	rig_ip("link set v0 up");
	rig_ip("link set v1 up");
	rig_ip("addr add 10.9.0.1/24 dev v0");
	CHECK(becomes_local(&rig, "10.9.0.1", true));
	CHECK(is_local(&rig, "::ffff:10.9.0.1"));
	CHECK(!is_local(&rig, "10.9.0.2"));
	CHECK(!is_local(&rig, "10.9.0.255")); /* broadcast is not an address of ours */
	rig_ip("-6 addr add 2001:db8:9::1/64 dev v0 nodad");
	CHECK(becomes_local(&rig, "2001:db8:9::1", true));
	/* A range that the kernel takes for its own. */
	rig_ip("route add local 10.50.0.0/16 dev lo");
	CHECK(becomes_local(&rig, "10.50.77.78", true));
	CHECK(!is_local(&rig, "10.51.0.1"));
	rig_ip("route del local 10.50.0.0/16 dev lo");
	CHECK(becomes_local(&rig, "10.50.77.78", false));
	rig_ip("addr del 10.9.0.1/24 dev v0");
	CHECK(becomes_local(&rig, "10.9.0.1", false));
	/* Addresses go with their link. */
	rig_ip("addr add 10.9.0.3/24 dev v0");
	CHECK(becomes_local(&rig, "10.9.0.3", true));
	rig_ip("link del v0");
	CHECK(becomes_local(&rig, "10.9.0.3", false));
	rig_done(&rig);
}

static void default_route_live(void)
{
	struct rig rig;
	rig_init(&rig);
	CHECK(becomes_source(&rig, IP_FAMILY_V4, NULL));
	rig_ip("link add v0 type veth peer name v1");
	rig_ip("link add w0 type veth peer name w1");
	rig_ip("link set v0 up");
	rig_ip("link set v1 up");
	rig_ip("link set w0 up");
	rig_ip("link set w1 up");
	rig_ip("addr add 10.9.0.1/24 dev v0");
	/* A second address on the link, in whose subnet the gateway is not. */
	rig_ip("addr add 10.8.0.1/24 dev w0");
	rig_ip("addr add 10.7.0.1/24 dev w0");
	CHECK(becomes_source(&rig, IP_FAMILY_V4, NULL));
	rig_ip("route add default via 10.9.0.2");
	CHECK(becomes_source(&rig, IP_FAMILY_V4, "10.9.0.1"));
	/* A better one, then a worse one. */
	rig_ip("route change default via 10.9.0.2 metric 0");
	rig_ip("route add default via 10.7.0.2 metric 50");
	CHECK(becomes_source(&rig, IP_FAMILY_V4, "10.9.0.1"));
	rig_ip("route del default via 10.9.0.2");
	CHECK(becomes_source(&rig, IP_FAMILY_V4, "10.7.0.1"));
	rig_ip("route replace default dev v0 src 10.9.0.1 metric 50");
	CHECK(becomes_source(&rig, IP_FAMILY_V4, "10.9.0.1"));
	/* Without gateway or source. */
	rig_ip("route replace default dev w0 metric 50");
	CHECK(becomes_source(&rig, IP_FAMILY_V4, "10.8.0.1"));
	/* The kernel says nothing of the routes that go down with a link. */
	rig_ip("link set w0 down");
	CHECK(becomes_source(&rig, IP_FAMILY_V4, NULL));

	CHECK(becomes_source(&rig, IP_FAMILY_V6, NULL));
	rig_ip("-6 addr add 2001:db8:9::1/64 dev v0 nodad");
	rig_ip("-6 route add default via fe80::2 dev v0");
	CHECK(becomes_source(&rig, IP_FAMILY_V6, "2001:db8:9::1"));
	rig_ip("-6 route del default");
	CHECK(becomes_source(&rig, IP_FAMILY_V6, NULL));
	rig_done(&rig);
}

/* More events than the socket's buffer holds: ENOBUFS, and the tables are still right. */
static void events_lost(void)
{
	struct rig rig;
	rig_init(&rig);
	struct host_view *view = &host_real_of(rig.host)->view;
	int small = 1;
	CHECK(setsockopt(view->event_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
	rig_ip("link add v0 type veth peer name v1");
	char command[64];
	for (int i = 1; i <= 40; i++) {
		(void)snprintf(command, sizeof(command), "addr add 10.9.%d.1/24 dev v0", i);
		rig_ip(command);
	}
	int pending = 0;
	socklen_t size = sizeof(pending);
	CHECK(getsockopt(view->event_fd, SOL_SOCKET, SO_ERROR, &pending, &size) == 0);
	CHECK(pending == ENOBUFS); /* which we took away: lose some more */
	rig_ip("addr add 10.9.41.1/24 dev v0");
	CHECK(becomes_local(&rig, "10.9.41.1", true));
	CHECK(is_local(&rig, "10.9.40.1") && is_local(&rig, "10.9.1.1"));
	CHECK(!is_local(&rig, "10.9.42.1"));
	rig_done(&rig);
}

static void test_addresses_live(void **state)
{
	(void)state;
	rig_in_namespace(addresses_live);
}

static void test_default_route_live(void **state)
{
	(void)state;
	rig_in_namespace(default_route_live);
}

static void test_events_lost(void **state)
{
	(void)state;
	rig_in_namespace(events_lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_local),
		cmocka_unit_test(test_addresses_live),
		cmocka_unit_test(test_default_route_live),
		cmocka_unit_test(test_events_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
