#include "host_rig.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static void connect_and_accept(enum ip_family family)
{
	struct rig rig;
	rig_init(&rig);
	struct rig_socket listener;
	struct rig_socket a;
	struct rig_socket b;
	rig_socket_init(&listener, &rig);
	rig_socket_init(&a, &rig);
	rig_socket_init(&b, &rig);
	struct ip_endpoint at = rig_loopback(family, 0);
	struct ip_endpoint bound = { 0 };
	struct ip_endpoint peer = { 0 };
	struct ip_endpoint local = { 0 };
	assert_int_equal(host_call(rig.host, tcp_listen, &listener.socket, &at, &bound), 0);
	assert_true(bound.port != 0);
	assert_true(ip_addr_equal(&bound.addr, &at.addr));
	assert_int_equal(
		host_call(rig.host, tcp_accept, &listener.socket, &b.socket, &peer, &local),
		-EAGAIN);

	assert_int_equal(host_call(rig.host, tcp_connect, &a.socket, &bound), 0);
	assert_true(rig_wait(&a, EPOLLOUT));
	assert_int_equal(host_call(rig.host, tcp_result, &a.socket), 0);
	assert_true(rig_wait(&listener, EPOLLIN));
	assert_int_equal(
		host_call(rig.host, tcp_accept, &listener.socket, &b.socket, &peer, &local), 0);
	assert_true(ip_endpoint_equal(&local, &bound));
	struct ip_endpoint own;
	assert_int_equal(host_real_local_endpoint(a.socket.fd, &own), 0);
	assert_true(ip_endpoint_equal(&peer, &own));

	assert_int_equal(option(b.socket.fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(a.socket.fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	host_call(rig.host, keep_alive, &a.socket);
	assert_int_equal(option(a.socket.fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(listener.socket.fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(option(listener.socket.fd, SOL_SOCKET, SO_REUSEPORT), 0);
	assert_int_equal(option(a.socket.fd, SOL_SOCKET, SO_REUSEADDR), 0);
	if (family == IP_FAMILY_V6)
		assert_int_equal(option(listener.socket.fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);

	/* Bytes wake the other side. One short question needs no option, a second one does. */
	char buffer[16];
	assert_int_equal(rig_send(&a, "hello"), 5);
	assert_int_equal(option(a.socket.fd, IPPROTO_TCP, TCP_NODELAY), 0);
	assert_true(rig_wait(&b, EPOLLIN));
	assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), 5);
	assert_memory_equal(buffer, "hello", 5);
	assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), -EAGAIN);

	/* The port is taken while we listen. */
	struct rig_socket second;
	rig_socket_init(&second, &rig);
	assert_int_equal(host_call(rig.host, tcp_listen, &second.socket, &bound, &bound),
			 -EADDRINUSE);
	assert_int_equal(second.socket.fd, -1);

	rig_close(&a);
	rig_close(&b);
	rig_close(&listener);
	/* TIME_WAIT on it does not keep the port: SO_REUSEADDR. */
	assert_int_equal(host_call(rig.host, tcp_listen, &second.socket, &bound, NULL), 0);
	rig_close(&second);
	rig_done(&rig);
}

static void test_connect_v4(void **state)
{
	(void)state;
	connect_and_accept(IP_FAMILY_V4);
}

static void test_connect_v6(void **state)
{
	(void)state;
	connect_and_accept(IP_FAMILY_V6);
}

/* A port that nobody listens on: bound by a socket that does not listen. */
static struct ip_endpoint closed_port(int *ret_fd)
{
	struct ip_endpoint at = rig_loopback(IP_FAMILY_V4, 0);
	struct sockaddr_storage sockaddr;
	socklen_t size = ip_endpoint_to_sockaddr(&at, &sockaddr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sockaddr, size), 0);
	assert_int_equal(host_real_local_endpoint(fd, &at), 0);
	*ret_fd = fd;
	return at;
}

static void test_refused(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	int fd;
	struct ip_endpoint to = closed_port(&fd);
	struct rig_socket a;
	rig_socket_init(&a, &rig);
	int rc = host_call(rig.host, tcp_connect, &a.socket, &to);
	if (rc == 0) {
		assert_true(rig_wait(&a, EPOLLOUT | EPOLLERR));
		assert_int_equal(host_call(rig.host, tcp_result, &a.socket), -ECONNREFUSED);
		/* Asked again, it is still not a success. */
		assert_int_equal(host_call(rig.host, tcp_result, &a.socket), -ENOTCONN);
		rig_close(&a);
	} else {
		assert_int_equal(rc, -ECONNREFUSED);
		assert_int_equal(a.socket.fd, -1);
	}
	fd_close(fd);
	rig_done(&rig);
}

/* A listener whose queue is full drops SYNs: the connection stays undecided. */
static void test_in_progress(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	int fd;
	struct ip_endpoint to = closed_port(&fd);
	assert_int_equal(listen(fd, 0), 0);
	struct rig_socket sockets[8];
	int undecided = 0;
	for (size_t i = 0; i < ARRAY_COUNT(sockets); i++) {
		rig_socket_init(&sockets[i], &rig);
		assert_int_equal(host_call(rig.host, tcp_connect, &sockets[i].socket, &to), 0);
		int rc = host_call(rig.host, tcp_result, &sockets[i].socket);
		assert_true(rc == 0 || rc == -EINPROGRESS);
		undecided += rc == -EINPROGRESS;
	}
	assert_true(undecided > 0);
	for (size_t i = 0; i < ARRAY_COUNT(sockets); i++)
		rig_close(&sockets[i]);
	fd_close(fd);
	rig_done(&rig);
}

static void test_bad_arguments(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	rig_socket_init(&a, &rig);
	struct ip_endpoint nowhere = { .port = 80 };
	struct ip_endpoint broadcast = rig_endpoint("255.255.255.255", 80);
	struct ip_endpoint foreign = rig_endpoint("203.0.113.77", 0);
	assert_true(host_call(rig.host, tcp_connect, &a.socket, &nowhere) < 0);
	assert_true(host_call(rig.host, tcp_listen, &a.socket, &nowhere, NULL) < 0);
	assert_true(host_call(rig.host, tcp_connect, &a.socket, &broadcast) < 0);
	assert_int_equal(host_call(rig.host, tcp_listen, &a.socket, &foreign, NULL),
			 -EADDRNOTAVAIL);
	assert_int_equal(a.socket.fd, -1);
	rig_done(&rig);
}

static void test_reset(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	char buffer[8];
	assert_true(rig_connect_pair(&rig, IP_FAMILY_V4, &a, &b));
	rig.host->ops->reset(rig.host, &a.socket);
	assert_int_equal(a.socket.fd, -1);
	rig.host->ops->reset(rig.host, &a.socket); /* closed: nothing */
	assert_true(rig_wait(&b, EPOLLERR | EPOLLHUP));
	assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), -ECONNRESET);
	assert_int_equal(rig_send(&b, "x"), -EPIPE);
	rig_close(&b);
	rig_done(&rig);
}

/* Without descriptors accept() fails and the connection stays in the queue. */
static void test_accept_without_descriptors(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket listener;
	struct rig_socket a;
	struct rig_socket b;
	rig_socket_init(&listener, &rig);
	rig_socket_init(&a, &rig);
	rig_socket_init(&b, &rig);
	struct ip_endpoint bound;
	struct ip_endpoint at = rig_loopback(IP_FAMILY_V4, 0);
	struct ip_endpoint peer;
	struct ip_endpoint local;
	assert_int_equal(host_call(rig.host, tcp_listen, &listener.socket, &at, &bound), 0);
	assert_int_equal(host_call(rig.host, tcp_connect, &a.socket, &bound), 0);
	assert_true(rig_wait(&listener, EPOLLIN));

	int fds[64];
	size_t count = 0;
	struct rlimit old;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	struct rlimit few = { .rlim_cur = 64, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (count < ARRAY_COUNT(fds) && (fds[count] = dup(0)) >= 0)
		count++;
	int rc = host_call(rig.host, tcp_accept, &listener.socket, &b.socket, &peer, &local);
	for (size_t i = 0; i < count; i++)
		fd_close(fds[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(rc, -EMFILE);
	assert_int_equal(b.socket.fd, -1);
	assert_int_equal(
		host_call(rig.host, tcp_accept, &listener.socket, &b.socket, &peer, &local), 0);
	rig_close(&a);
	rig_close(&b);
	rig_close(&listener);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_v4),
		cmocka_unit_test(test_connect_v6),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_in_progress),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_accept_without_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
