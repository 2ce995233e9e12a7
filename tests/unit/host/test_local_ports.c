#include "host_rig.h"

#include "host/local_ports.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		uint32_t count; /* 0 = refused */
	} cases[] = {
		{ "32768\t60999\n", 28232 },
		{ "32768 60999", 28232 },
		{ "  1024\t \t65535  \n", 64512 },
		{ "5000\t5000\n", 1 },
		{ "", 0 },
		{ "\n", 0 },
		{ "32768\n", 0 },
		{ "60999\t32768\n", 0 },
		{ "0\t60999\n", 0 },
		{ "1\t65536\n", 0 },
		{ "-1\t100\n", 0 },
		{ "1\t2\t3\n", 0 },
		{ "1\t2\n3\t4\n", 0 },
		{ "1\n2\n", 0 },
		{ "0x10\t100\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t count = 0;

		assert_int_equal(local_ports_parse(text_view_of(cases[i].text), &count),
				 cases[i].count > 0);
		assert_int_equal(count, cases[i].count);
	}
}

static void test_pause(void **state)
{
	struct local_ports ports = {};

	(void)state;
	assert_true(local_ports_may_ask(&ports, IP_FAMILY_V4, 0));
	local_ports_ended(&ports, IP_FAMILY_V4, NS_PER_S);
	assert_false(local_ports_may_ask(&ports, IP_FAMILY_V4, NS_PER_S));
	assert_false(
		local_ports_may_ask(&ports, IP_FAMILY_V4, NS_PER_S + LOCAL_PORTS_PAUSE_NS - 1));
	assert_true(local_ports_may_ask(&ports, IP_FAMILY_V4, NS_PER_S + LOCAL_PORTS_PAUSE_NS));
	assert_true(local_ports_may_ask(&ports, IP_FAMILY_V6, NS_PER_S));
	local_ports_ended(&ports, IP_FAMILY_V6, NS_PER_S);
	assert_false(local_ports_may_ask(&ports, IP_FAMILY_V6, NS_PER_S + 1));
}

static void count_of_the_namespace(void)
{
	CHECK(rig_write_proc("/proc/sys/net/ipv4/ip_local_port_range", "50000 50099"));
	CHECK(local_ports_count() == 100);
	CHECK(rig_write_proc("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535"));
	CHECK(local_ports_count() == 64512);
}

static int open_any(struct rig *rig, struct rig_socket *self, const char *addr, uint16_t port)
{
	const struct ip_endpoint at = rig_endpoint(addr, port);
	struct ip_endpoint bound;

	rig_socket_init(self, rig);
	return host_call(rig->host, udp_open, &self->socket, &at, &bound);
}

/* All are taken: the kernel says so once, and is asked again after a while. */
static void sockets_when_none_is_left(void)
{
	struct rig_socket sockets[4];
	struct rig_socket more;
	struct rig rig;

	CHECK(rig_write_proc("/proc/sys/net/ipv4/ip_local_port_range", "50000 50003"));
	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_COUNT(sockets); i++)
		CHECK(open_any(&rig, &sockets[i], "0.0.0.0", 0) == 0);
	CHECK(open_any(&rig, &more, "0.0.0.0", 0) == -EADDRINUSE);
	CHECK(more.socket.fd == -1);
	rig_close(&sockets[0]);
	/* One is free again, but the loop's time has not moved. */
	CHECK(open_any(&rig, &more, "0.0.0.0", 0) == -EADDRINUSE);
	CHECK(open_any(&rig, &more, "0.0.0.0", 60000) == 0);
	rig_close(&more);
	CHECK(open_any(&rig, &more, "::", 0) == 0);
	rig_close(&more);
	/* That a port was asked for by its number and is taken says nothing of the others. */
	CHECK(open_any(&rig, &more, "::", 50001) == 0);
	struct rig_socket same;
	CHECK(open_any(&rig, &same, "::", 50001) == -EADDRINUSE);
	CHECK(open_any(&rig, &same, "::", 0) == 0);
	rig_close(&same);
	rig_close(&more);

	uint64_t end = loop_now(rig.loop) + LOCAL_PORTS_PAUSE_NS;
	while (loop_now(rig.loop) < end)
		CHECK(loop_run_once(rig.loop, 10) >= 0);
	CHECK(open_any(&rig, &more, "0.0.0.0", 0) == 0);
	rig_close(&more);
	for (size_t i = 1; i < ARRAY_COUNT(sockets); i++)
		rig_close(&sockets[i]);
	rig_done(&rig);
}

static void test_count(void **state)
{
	(void)state;
	rig_in_namespace(count_of_the_namespace);
}

static void test_none_left(void **state)
{
	(void)state;
	rig_in_namespace(sockets_when_none_is_left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_none_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
