#include "host_rig.h"

#include "host/resolv_conf.h"

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *servers; /* separated by blanks */
	} cases[] = {
		{ "", "" },
		{ "nameserver 192.0.2.1\n", "192.0.2.1:53" },
		{ "nameserver 192.0.2.1", "192.0.2.1:53" },
		{ "\tnameserver\t192.0.2.1\t# why\n", "192.0.2.1:53" },
		{ "nameserver 192.0.2.1;no comment here\n", "" },
		{ "nameserver 192.0.2.1 ; ignored\r\n", "192.0.2.1:53" },
		{ "# nameserver 192.0.2.1\n; nameserver 192.0.2.2\n", "" },
		{ "search example.org\noptions edns0\nnameserver ::1\n", "[::1]:53" },
		{ "nameserver fe80::1%eth0\nnameserver 192.0.2.2\n",
		  "[fe80::1]:53%eth0 192.0.2.2:53" },
		{ "nameserver fe80::1%2\nnameserver fe80::1%eth1\n", "[fe80::1]:53%2" },
		{ "nameserver fe80::1%\nnameserver fe80::1%a-name-too-long-for-it\n", "" },
		{ "nameserver 192.0.2.1%eth0\nnameserver 2001:db8::1%eth0\n", "" },
		{ "nameserver\nnameserver \nnameservers 192.0.2.1\n", "" },
		{ "nameserver 192.0.2.256\nnameserver host\nnameserver 1\n", "" },
		{ "NAMESERVER 192.0.2.1\n", "" },
		{ "nameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver 192.0.2.3\n",
		  "192.0.2.1:53 192.0.2.3:53" },
		{ "nameserver 0000000000000000000000000000000000000000000000000000000001\n", "" },
		{ "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
		  "nameserver 192.0.2.4\nnameserver 192.0.2.5\nnameserver 192.0.2.6\n"
		  "nameserver 192.0.2.7\nnameserver 192.0.2.8\nnameserver 192.0.2.9\n",
		  "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53 192.0.2.4:53 192.0.2.5:53 192.0.2.6:53 "
		  "192.0.2.7:53 192.0.2.8:53" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct resolv_conf_server server[RESOLV_CONF_MAX];
		size_t count = resolv_conf_parse(text_view_of(cases[i].text), server);
		char text[RESOLV_CONF_MAX *
			  (IP_ENDPOINT_TEXT_SIZE + 1 + RESOLV_CONF_INTERFACE_SIZE)] = "";
		for (size_t k = 0; k < count; k++) {
			char one[IP_ENDPOINT_TEXT_SIZE];
			if (k)
				strcat(text, " ");
			strcat(text, ip_endpoint_format(&server[k].at, one));
			if (server[k].interface[0] != '\0')
				strcat(strcat(text, "%"), server[k].interface);
		}
		assert_string_equal(text, cases[i].servers);
	}
}

/* Through the host: what changes is seen after 100 ms of the loop's time. */
static void test_change(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct ip_endpoint server[RESOLV_CONF_MAX];
	assert_int_equal(host_call(rig.host, resolvers, server, RESOLV_CONF_MAX), 0);
	rig_write_file(rig.resolv_conf, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n");
	while (host_call(rig.host, resolvers, server, RESOLV_CONF_MAX) == 0)
		assert_int_equal(loop_run_once(rig.loop, 20), 0);
	assert_int_equal(host_call(rig.host, resolvers, server, RESOLV_CONF_MAX), 2);
	struct ip_endpoint expected = rig_endpoint("192.0.2.53", 53);
	assert_true(ip_endpoint_equal(&server[0], &expected));
	assert_int_equal(host_call(rig.host, resolvers, server, 1), 1);
	assert_int_equal(host_call(rig.host, resolvers, NULL, 0), 0);
	assert_int_equal(unlink(rig.resolv_conf), 0);
	while (host_call(rig.host, resolvers, server, RESOLV_CONF_MAX) != 0)
		assert_int_equal(loop_run_once(rig.loop, 20), 0);
	rig_done(&rig);
}

/* Two writes of equal size within one tick of the file system's clock: the second is seen too. */
static void test_quick_second_write(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct resolv_conf conf;
	struct ip_endpoint server[RESOLV_CONF_MAX];
	uint64_t now = 0;
	rig_write_file(rig.resolv_conf, "nameserver 192.0.2.1\n");
	assert_int_equal(resolv_conf_init(&conf, rig.resolv_conf), 0);
	assert_int_equal(resolv_conf_servers(&conf, now, server, RESOLV_CONF_MAX), 1);
	rig_write_file(rig.resolv_conf, "nameserver 192.0.2.2\n");
	now += FILE_CHANGE_CHECK_NS;
	assert_int_equal(resolv_conf_servers(&conf, now, server, RESOLV_CONF_MAX), 1);
	struct ip_endpoint expected = rig_endpoint("192.0.2.2", 53);
	assert_true(ip_endpoint_equal(&server[0], &expected));
	resolv_conf_done(&conf);
	rig_done(&rig);
}

/* A home router's resolver may have no other address: queries reach it by both protocols. */
static void ask_link_local(void)
{
	struct rig rig;
	struct rig_socket server;
	struct rig_socket client;
	struct rig_socket listener;
	struct rig_socket stream;
	struct ip_endpoint resolver[RESOLV_CONF_MAX];
	struct ip_endpoint at = rig_endpoint("::", 0);
	struct ip_endpoint bound;
	struct ip_endpoint any;
	struct host_datagram in;
	char question[] = "ask";
	struct iovec iov = { .iov_base = question, .iov_len = 3 };
	char buffer[16];

	rig_ip("address add fe80::53/64 dev lo nodad");
	rig_init(&rig);
	rig_write_file(rig.resolv_conf, "nameserver fe80::53%lo\n");
	while (host_call(rig.host, resolvers, resolver, RESOLV_CONF_MAX) != 1)
		CHECK(loop_run_once(rig.loop, 20) == 0);
	rig_socket_init(&server, &rig);
	rig_socket_init(&client, &rig);
	rig_socket_init(&listener, &rig);
	rig_socket_init(&stream, &rig);
	CHECK(host_call(rig.host, udp_open, &server.socket, &at, &bound) == 0);
	CHECK(host_call(rig.host, udp_open, &client.socket, &at, &any) == 0);
	struct host_datagram out = { .remote = { resolver[0].addr, bound.port } };
	/* A datagram may be lost, here while the new namespace settles; whoever asks asks again. */
	bool heard = false;
	for (int i = 0; i < 3 && !heard; i++) {
		CHECK(host_call(rig.host, udp_send, &client.socket, &out, &iov, 1) == 3);
		heard = rig_wait(&server, EPOLLIN);
	}
	CHECK(heard);
	CHECK(host_call(rig.host, udp_receive, &server.socket, &in, buffer, sizeof(buffer)) == 3);
	CHECK(host_call(rig.host, udp_send, &server.socket,
			&(struct host_datagram){ .remote = { resolver[0].addr, any.port } }, &iov,
			1) == 3);
	/* The answer comes from whom was asked, as the engine knows it. */
	CHECK(rig_wait(&client, EPOLLIN));
	CHECK(host_call(rig.host, udp_receive, &client.socket, &in, buffer, sizeof(buffer)) == 3);
	CHECK(ip_endpoint_equal(&in.remote, &out.remote));

	CHECK(host_call(rig.host, tcp_listen, &listener.socket, &at, &bound) == 0);
	out.remote.port = bound.port;
	CHECK(host_call(rig.host, tcp_connect, &stream.socket, &out.remote) == 0);
	CHECK(rig_wait(&stream, EPOLLOUT));
	CHECK(host_call(rig.host, tcp_result, &stream.socket) == 0);
	rig_done(&rig);
}

static void test_link_local(void **state)
{
	(void)state;
	rig_in_namespace(ask_link_local);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_quick_second_write),
		cmocka_unit_test(test_link_local),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
