#include "host_rig.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

static const enum ip_family families[] = { IP_FAMILY_V4, IP_FAMILY_V6 };

static void open_udp(struct rig *rig, enum ip_family family, struct rig_socket *self,
		     struct ip_endpoint *ret_bound)
{
	struct ip_endpoint at = rig_loopback(family, 0);
	rig_socket_init(self, rig);
	assert_int_equal(host_call(rig->host, udp_open, &self->socket, &at, ret_bound), 0);
}

/* A port of loopback that is closed for sure: it was ours a moment ago. */
static struct ip_endpoint closed_port(struct rig *rig, enum ip_family family)
{
	struct rig_socket gone;
	struct ip_endpoint at;
	open_udp(rig, family, &gone, &at);
	rig_close(&gone);
	return at;
}

static ssize_t send_text(struct rig_socket *self, const struct ip_endpoint *to, const char *text)
{
	struct host_datagram out = { .remote = *to };
	struct iovec iov = { .iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text) };
	return host_call(self->rig->host, udp_send, &self->socket, &out, &iov, 1);
}

static int next_error(struct rig_socket *self, struct host_icmp_error *ret_error, char *buffer,
		      size_t size)
{
	return host_call(self->rig->host, error_receive, &self->socket, ret_error, NULL, buffer,
			 size);
}

static void test_port_unreachable(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
		struct rig rig;
		rig_init(&rig);
		struct rig_socket a;
		struct ip_endpoint a_at;
		struct ip_endpoint to = closed_port(&rig, families[i]);
		struct host_icmp_error error;
		char buffer[16];
		open_udp(&rig, families[i], &a, &a_at);
		assert_int_equal(next_error(&a, &error, buffer, sizeof(buffer)), -EAGAIN);
		assert_int_equal(send_text(&a, &to, "question"), 8);
		assert_true(rig_wait(&a, EPOLLERR));
		assert_int_equal(next_error(&a, &error, buffer, sizeof(buffer)), 0);
		assert_true(ip_endpoint_equal(&error.remote, &to));
		assert_true(ip_addr_equal(&error.origin, &to.addr));
		assert_int_equal(error.error, ECONNREFUSED);
		assert_int_equal(error.mtu, 0);
		if (families[i] == IP_FAMILY_V4) {
			assert_int_equal(error.type, ICMP_DEST_UNREACH);
			assert_int_equal(error.code, ICMP_PORT_UNREACH);
		} else {
			assert_int_equal(error.type, ICMP6_DST_UNREACH);
			assert_int_equal(error.code, ICMP6_DST_UNREACH_NOPORT);
		}
		assert_int_equal(error.payload_size, 8);
		assert_memory_equal(buffer, "question", 8);
		assert_int_equal(next_error(&a, &error, buffer, sizeof(buffer)), -EAGAIN);
		/* The pending error is gone too. */
		int pending = -1;
		socklen_t size = sizeof(pending);
		assert_int_equal(getsockopt(a.socket.fd, SOL_SOCKET, SO_ERROR, &pending, &size), 0);
		assert_int_equal(pending, 0);
		rig_close(&a);
		rig_done(&rig);
	}
}

/* Somebody else's ICMP error neither stops a send nor a receive, and stays in the queue. */
static void test_pending_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
		struct rig rig;
		rig_init(&rig);
		struct rig_socket a;
		struct rig_socket b;
		struct ip_endpoint a_at;
		struct ip_endpoint b_at;
		struct ip_endpoint dead = closed_port(&rig, families[i]);
		struct host_icmp_error error;
		struct host_datagram in;
		char buffer[16];
		open_udp(&rig, families[i], &a, &a_at);
		open_udp(&rig, families[i], &b, &b_at);

		assert_int_equal(send_text(&a, &dead, "lost"), 4);
		assert_true(rig_wait(&a, EPOLLERR));
		/* Without the second try this would be ECONNREFUSED. */
		assert_int_equal(send_text(&a, &b_at, "fine"), 4);
		assert_true(rig_wait(&b, EPOLLIN));

		assert_int_equal(send_text(&a, &dead, "lost"), 4);
		assert_true(rig_wait(&a, EPOLLERR));
		assert_int_equal(send_text(&b, &a_at, "reply"), 5);
		assert_int_equal(
			host_call(rig.host, udp_receive, &a.socket, &in, buffer, sizeof(buffer)),
			5);
		assert_int_equal(next_error(&a, &error, buffer, sizeof(buffer)), 0);
		assert_true(ip_endpoint_equal(&error.remote, &dead));
		assert_int_equal(next_error(&a, &error, NULL, 0), 0);
		assert_int_equal(error.payload_size, 0);
		assert_int_equal(next_error(&a, &error, buffer, sizeof(buffer)), -EAGAIN);
		rig_close(&a);
		rig_close(&b);
		rig_done(&rig);
	}
}

/* A datagram with DF that is larger than the link's MTU (65536 on loopback is larger than UDP can
 * be, so the namespace's is made smaller). */
static void fragmentation_needed(void)
{
	rig_ip("link set lo mtu 1400");
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct ip_endpoint at = rig_loopback(IP_FAMILY_V4, 0);
	rig_socket_init(&a, &rig);
	CHECK(host_call(rig.host, udp_open, &a.socket, &at, &at) == 0);
	static char block[2000];
	struct iovec iov = { .iov_base = block, .iov_len = sizeof(block) };
	struct host_datagram out = { .remote = at, .dont_fragment = true };
	CHECK(host_call(rig.host, udp_send, &a.socket, &out, &iov, 1) == -EMSGSIZE);
	struct host_icmp_error error;
	CHECK(host_call(rig.host, error_receive, &a.socket, &error, NULL, NULL, 0) == 0);
	CHECK(error.error == EMSGSIZE && error.mtu == 1400);
	CHECK(error.origin.family == IP_FAMILY_NONE);
	CHECK(ip_addr_equal(&error.remote.addr, &at.addr));
	/* One entry for one datagram. */
	CHECK(host_call(rig.host, error_receive, &a.socket, &error, NULL, NULL, 0) == -EAGAIN);
	/* Without DF the same one goes, in fragments. */
	out.dont_fragment = false;
	CHECK(host_call(rig.host, udp_send, &a.socket, &out, &iov, 1) == (ssize_t)sizeof(block));
	CHECK(rig_wait(&a, EPOLLIN));
	struct host_datagram in;
	CHECK(host_call(rig.host, udp_receive, &a.socket, &in, block, sizeof(block)) ==
	      (ssize_t)sizeof(block));
	rig_close(&a);
	rig_done(&rig);
}

static void test_fragmentation_needed(void **state)
{
	(void)state;
	rig_in_namespace(fragmentation_needed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port_unreachable),
		cmocka_unit_test(test_pending_error),
		cmocka_unit_test(test_fragmentation_needed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
