#include "host_rig.h"

#include "host/datagram.h"
#include "host/watched_socket.h"

#include <sys/socket.h>

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

/* A socket that is not in the loop: this file needs none. */
static struct ip_endpoint open_plain(enum ip_family family, struct host_socket *socket_)
{
	struct ip_endpoint at = rig_loopback(family, 0);
	struct sockaddr_storage sockaddr;
	socklen_t size = ip_endpoint_to_sockaddr(&at, &sockaddr);
	host_socket_init(socket_, NULL);
	socket_->fd = socket(sockaddr.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socket_->real.kind = WATCHED_SOCKET_UDP;
	socket_->real.family = (uint8_t)family;
	assert_true(socket_->fd >= 0);
	assert_int_equal(datagram_configure(socket_->fd, family), 0);
	assert_int_equal(bind(socket_->fd, (struct sockaddr *)&sockaddr, size), 0);
	assert_int_equal(host_real_local_endpoint(socket_->fd, &at), 0);
	return at;
}

/* DF is told to the kernel when it changes, both ways. */
static void test_dont_fragment(void **state)
{
	(void)state;
	static const struct {
		enum ip_family family;
		int level;
		int name;
		int off;
		int on;
	} cases[] = {
		{ IP_FAMILY_V4, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO },
		{ IP_FAMILY_V6, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT,
		  IPV6_PMTUDISC_DO },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct host_socket socket_;
		struct host_datagram out = { .remote = open_plain(cases[i].family, &socket_) };
		assert_int_equal(option(socket_.fd, cases[i].level, cases[i].name), cases[i].off);
		for (int round = 0; round < 4; round++) {
			out.dont_fragment = round % 2 == 0;
			assert_int_equal(datagram_send(&socket_, &out, out.remote.port, 0, NULL, 0),
					 0);
			assert_int_equal(option(socket_.fd, cases[i].level, cases[i].name),
					 out.dont_fragment ? cases[i].on : cases[i].off);
		}
		socket_.fd = fd_close(socket_.fd);
	}
}

static void test_ttl_and_tos(void **state)
{
	(void)state;
	static const struct {
		enum ip_family family;
		uint8_t ttl;
		uint8_t tos;
	} cases[] = {
		{ IP_FAMILY_V4, 1, 0 },	   { IP_FAMILY_V4, 255, 0xff }, { IP_FAMILY_V4, 64, 2 },
		{ IP_FAMILY_V6, 1, 0xb8 }, { IP_FAMILY_V6, 255, 0xff }, { IP_FAMILY_V6, 64, 0 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct host_socket socket_;
		struct host_datagram out = {
			.remote = open_plain(cases[i].family, &socket_),
			.ttl = cases[i].ttl,
			.tos = cases[i].tos,
		};
		struct host_datagram in;
		char byte = 'x';
		struct iovec iov = { &byte, 1 };
		out.local = out.remote.addr;
		assert_int_equal(datagram_send(&socket_, &out, out.remote.port, 0, &iov, 1), 1);
		assert_int_equal(datagram_receive(&socket_, &in, &iov, 1), 1);
		assert_int_equal(in.ttl, cases[i].ttl);
		assert_int_equal(in.tos, cases[i].tos);
		assert_true(ip_addr_equal(&in.local, &out.local));
		assert_int_equal(datagram_receive(&socket_, &in, &iov, 1), -EAGAIN);
		socket_.fd = fd_close(socket_.fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dont_fragment),
		cmocka_unit_test(test_ttl_and_tos),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
