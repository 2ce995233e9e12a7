#include "host_rig.h"

#include <sys/socket.h>

static void open_at(struct rig *rig, struct rig_socket *self, const char *addr,
		    struct ip_endpoint *ret_bound)
{
	struct ip_endpoint at = rig_endpoint(addr, 0);
	rig_socket_init(self, rig);
	assert_int_equal(host_call(rig->host, udp_open, &self->socket, &at, ret_bound), 0);
	assert_true(ret_bound->port != 0);
}

static ssize_t send_text(struct rig_socket *self, const struct host_datagram *datagram,
			 const char *text)
{
	struct iovec iov = { .iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text) };
	return host_call(self->rig->host, udp_send, &self->socket, datagram, &iov, 1);
}

static const struct {
	const char *any;
	const char *loopback;
	const char *other; /* another address of the host, or the same */
} families[] = {
	{ "0.0.0.0", "127.0.0.1", "127.0.0.9" },
	{ "::", "::1", "::1" },
};

/* A datagram brings the address it came to; the answer goes out from there. */
static void test_local_address(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
		struct rig rig;
		rig_init(&rig);
		struct rig_socket server;
		struct rig_socket client;
		struct ip_endpoint server_at;
		struct ip_endpoint client_at;
		open_at(&rig, &server, families[i].any, &server_at);
		open_at(&rig, &client, families[i].any, &client_at);
		assert_true(ip_addr_is_unspecified(&server_at.addr));

		struct host_datagram out = {
			.remote = rig_endpoint(families[i].other, server_at.port),
			.local = rig_endpoint(families[i].loopback, 0).addr,
			.ttl = 7,
			.tos = 0x28,
		};
		assert_int_equal(send_text(&client, &out, "ask"), 3);
		assert_true(rig_wait(&server, EPOLLIN));
		struct host_datagram in;
		char buffer[16];
		assert_int_equal(host_call(rig.host, udp_receive, &server.socket, &in, buffer,
					   sizeof(buffer)),
				 3);
		assert_memory_equal(buffer, "ask", 3);
		assert_int_equal(in.size, 3);
		assert_int_equal(in.ttl, 7);
		assert_int_equal(in.tos, 0x28);
		assert_true(ip_addr_equal(&in.local, &out.remote.addr));
		struct ip_endpoint from = rig_endpoint(families[i].loopback, client_at.port);
		assert_true(ip_endpoint_equal(&in.remote, &from));

		struct host_datagram back = { .remote = in.remote, .local = in.local };
		assert_int_equal(send_text(&server, &back, "answer"), 6);
		assert_true(rig_wait(&client, EPOLLIN));
		assert_int_equal(host_call(rig.host, udp_receive, &client.socket, &in, buffer,
					   sizeof(buffer)),
				 6);
		assert_true(ip_endpoint_equal(&in.remote, &out.remote));
		assert_true(in.ttl > 7);
		assert_int_equal(in.tos, 0);
		assert_int_equal(host_call(rig.host, udp_receive, &client.socket, &in, buffer,
					   sizeof(buffer)),
				 -EAGAIN);
		rig_close(&server);
		rig_close(&client);
		rig_done(&rig);
	}
}

static void test_truncated_and_empty(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	struct ip_endpoint a_at;
	struct ip_endpoint b_at;
	open_at(&rig, &a, "127.0.0.1", &a_at);
	open_at(&rig, &b, "127.0.0.1", &b_at);
	struct host_datagram out = { .remote = b_at };
	assert_int_equal(send_text(&a, &out, "0123456789"), 10);
	assert_int_equal(send_text(&a, &out, ""), 0);
	assert_true(rig_wait(&b, EPOLLIN));
	struct host_datagram in;
	char buffer[4];
	assert_int_equal(host_call(rig.host, udp_receive, &b.socket, &in, buffer, sizeof(buffer)),
			 4);
	assert_int_equal(in.size, 10);
	assert_memory_equal(buffer, "0123", 4);
	assert_int_equal(host_call(rig.host, udp_receive, &b.socket, &in, buffer, sizeof(buffer)),
			 0);
	assert_int_equal(in.size, 0);
	assert_true(ip_endpoint_equal(&in.remote, &a_at));
	rig_close(&a);
	rig_close(&b);
	rig_done(&rig);
}

/* Nobody shares our port, and we share nobody's. */
static void test_exclusive(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	struct ip_endpoint at;
	open_at(&rig, &a, "127.0.0.1", &at);
	rig_socket_init(&b, &rig);
	assert_int_equal(host_call(rig.host, udp_open, &b.socket, &at, NULL), -EADDRINUSE);
	assert_int_equal(b.socket.fd, -1);

	int on = 1;
	struct sockaddr_storage sockaddr;
	socklen_t size = ip_endpoint_to_sockaddr(&at, &sockaddr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sockaddr, size), -1);
	assert_int_equal(errno, EADDRINUSE);
	fd_close(fd);
	rig_close(&a);
	rig_done(&rig);
}

static void test_bad_arguments(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct ip_endpoint at;
	struct ip_endpoint nothing = { 0 };
	rig_socket_init(&a, &rig);
	assert_true(host_call(rig.host, udp_open, &a.socket, &nothing, &at) < 0);
	assert_int_equal(a.socket.fd, -1);
	open_at(&rig, &a, "127.0.0.1", &at);
	struct host_datagram out = { .remote = rig_endpoint("::1", 9) };
	assert_int_equal(send_text(&a, &out, "x"), -EAFNOSUPPORT);
	out = (struct host_datagram){ .remote = at, .local = rig_endpoint("::1", 0).addr };
	assert_int_equal(send_text(&a, &out, "x"), -EAFNOSUPPORT);
	out = (struct host_datagram){ .remote = at, .local = rig_endpoint("203.0.113.7", 0).addr };
	assert_true(send_text(&a, &out, "x") < 0);
	rig_close(&a);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local_address),
		cmocka_unit_test(test_truncated_and_empty),
		cmocka_unit_test(test_exclusive),
		cmocka_unit_test(test_bad_arguments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
