#include "host_rig.h"

#include "host/echo_socket.h"
#include "host/watched_socket.h"

#include <linux/capability.h>
#include <netinet/ip_icmp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void allow_ping(void)
{
	CHECK(rig_write_proc("/proc/sys/net/ipv4/ping_group_range", "0 0"));
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };
	CHECK(syscall(SYS_capset, &header, data) == 0);
}

static void ping(enum ip_family family, enum watched_socket_kind kind)
{
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	rig_socket_init(&a, &rig);
	rig_socket_init(&b, &rig);
	uint16_t ident = 0;
	uint16_t other = 0;
	CHECK(host_call(rig.host, echo_open, &a.socket, family, &ident) == 0);
	CHECK(host_call(rig.host, echo_open, &b.socket, family, &other) == 0);
	CHECK(a.socket.real.kind == kind);
	CHECK(ident == a.socket.real.ident);
	if (kind == WATCHED_SOCKET_PING)
		CHECK(ident != other);

	struct host_datagram out = { .remote = rig_loopback(family, 0), .ttl = 33 };
	char odd[] = "odd";
	char data[] = "data";
	struct iovec iov[] = { { odd, 3 }, { data, 4 } };
	CHECK(host_call(rig.host, echo_send, &a.socket, &out, 0xbeef, iov, 2) == 7);
	CHECK(rig_wait(&a, EPOLLIN));
	struct host_datagram in;
	uint16_t sequence = 0;
	char buffer[32];
	CHECK(host_call(rig.host, echo_receive, &a.socket, &in, &sequence, buffer,
			sizeof(buffer)) == 7);
	CHECK(sequence == 0xbeef && in.size == 7 && memcmp(buffer, "odddata", 7) == 0);
	CHECK(ip_addr_equal(&in.remote.addr, &out.remote.addr) && in.remote.port == 0);
	CHECK(ip_addr_equal(&in.local, &out.remote.addr));
	CHECK(in.ttl > 0);
	CHECK(host_call(rig.host, echo_receive, &a.socket, &in, &sequence, buffer,
			sizeof(buffer)) == -EAGAIN);
	/* The other socket was not even woken. */
	CHECK(loop_run_once(rig.loop, 0) == 0);
	CHECK(!(b.events & EPOLLIN));
	CHECK(host_call(rig.host, echo_receive, &b.socket, &in, &sequence, buffer,
			sizeof(buffer)) == -EAGAIN);

	/* Empty, and cut by a small buffer. */
	CHECK(host_call(rig.host, echo_send, &a.socket, &out, 1, NULL, 0) == 0);
	CHECK(rig_wait(&a, EPOLLIN));
	CHECK(host_call(rig.host, echo_receive, &a.socket, &in, &sequence, buffer,
			sizeof(buffer)) == 0);
	CHECK(sequence == 1 && in.size == 0);
	CHECK(host_call(rig.host, echo_send, &a.socket, &out, 2, iov, 2) == 7);
	CHECK(rig_wait(&a, EPOLLIN));
	CHECK(host_call(rig.host, echo_receive, &a.socket, &in, &sequence, buffer, 3) == 3);
	CHECK(sequence == 2 && in.size > 3);

	struct iovec too_many[64] = { { 0 } };
	CHECK(host_call(rig.host, echo_send, &a.socket, &out, 3, too_many, 64) == -EINVAL);
	rig_close(&a);
	rig_close(&b);
	rig_done(&rig);
}

static void ping_both(enum watched_socket_kind kind)
{
	ping(IP_FAMILY_V4, kind);
	ping(IP_FAMILY_V6, kind);
}

static void with_ping_sockets(void)
{
	allow_ping();
	drop_capabilities();
	ping_both(WATCHED_SOCKET_PING);
}

static void with_raw_sockets(void)
{
	/* "1 0" in a new namespace: nobody; but we have CAP_NET_RAW in it. */
	ping_both(WATCHED_SOCKET_RAW_ECHO);
}

struct lines {
	int count;
	char last[256];
};

static void count_line(void *context, enum log_level level, const char *line)
{
	struct lines *lines = context;
	(void)level;
	lines->count++;
	(void)snprintf(lines->last, sizeof(lines->last), "%s", line);
}

static void refused(void)
{
	drop_capabilities();
	struct lines lines = { 0 };
	struct log log = { .write = count_line, .context = &lines, .most = LOG_LEVEL_DEBUG };
	struct rig rig;
	rig_init(&rig);
	struct host *host;
	CHECK(host_real_new(rig.loop, &log, NULL, &host, NULL) == 0);
	struct rig_socket a;
	uint16_t ident;
	rig_socket_init(&a, &rig);
	CHECK(host_call(host, echo_open, &a.socket, IP_FAMILY_V4, &ident) == -EACCES);
	CHECK(host_call(host, echo_open, &a.socket, IP_FAMILY_V6, &ident) == -EACCES);
	CHECK(a.socket.fd == -1);
	CHECK(lines.count == 1 && strstr(lines.last, "net.ipv4.ping_group_range"));
	(void)host_real_free(host);
	rig_done(&rig);
}

/* One echo request with a TTL of 1, and what the router says. */
static void trace(enum watched_socket_kind kind)
{
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket bystander;
	uint16_t ident;
	rig_socket_init(&a, &rig);
	rig_socket_init(&bystander, &rig);
	CHECK(host_call(rig.host, echo_open, &a.socket, IP_FAMILY_V4, &ident) == 0);
	CHECK(host_call(rig.host, echo_open, &bystander.socket, IP_FAMILY_V4, &ident) == 0);
	CHECK(a.socket.real.kind == kind);
	struct host_datagram out = { .remote = rig_endpoint("198.51.100.9", 0), .ttl = 1 };
	char data[] = "trace me";
	struct iovec iov = { data, 8 };
	CHECK(host_call(rig.host, echo_send, &a.socket, &out, 77, &iov, 1) == 8);
	CHECK(rig_wait(&a, EPOLLERR));
	struct host_icmp_error error;
	uint16_t sequence = 0;
	char buffer[32];
	CHECK(host_call(rig.host, error_receive, &a.socket, &error, &sequence, buffer,
			sizeof(buffer)) == 0);
	CHECK(error.type == ICMP_TIME_EXCEEDED && error.code == 0 && sequence == 77);
	struct ip_addr router = rig_endpoint("10.9.0.2", 0).addr;
	CHECK(ip_addr_equal(&error.origin, &router));
	CHECK(ip_endpoint_equal(&error.remote, &out.remote));
	CHECK(error.payload_size == 8 && memcmp(buffer, "trace me", 8) == 0);
	CHECK(host_call(rig.host, error_receive, &a.socket, &error, &sequence, buffer,
			sizeof(buffer)) == -EAGAIN);
	/* A raw socket hears of other people's packets; it must not tell. */
	CHECK(host_call(rig.host, error_receive, &bystander.socket, &error, &sequence, buffer,
			sizeof(buffer)) == -EAGAIN);
	rig_close(&a);
	rig_close(&bystander);
	rig_done(&rig);
}

/* A router on the way says "time exceeded": a namespace of its own behind a veth pair. */
static void time_exceeded(enum watched_socket_kind kind)
{
	/* The child stays in the outer namespace and holds the inner one open. */
	int inner[2];
	int done[2];
	CHECK(pipe2(inner, O_CLOEXEC) == 0 && pipe2(done, O_CLOEXEC) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	char byte = 0;
	if (pid == 0) {
		CHECK(unshare(CLONE_NEWNET) == 0);
		CHECK(write(inner[1], &byte, 1) == 1);
		CHECK(read(done[0], &byte, 1) == 1); /* the veth end has arrived */
		rig_ip("addr add 10.9.0.2/24 dev router");
		rig_ip("link set router up");
		CHECK(rig_write_proc("/proc/sys/net/ipv4/ip_forward", "1"));
		rig_ip("route add default via 10.9.0.1");
		CHECK(write(inner[1], &byte, 1) == 1);
		CHECK(read(done[0], &byte, 1) == 1); /* until the test is over */
		_exit(0);
	}
	CHECK(read(inner[0], &byte, 1) == 1);
	char command[128];
	(void)snprintf(command, sizeof(command),
		       "link add here type veth peer name router netns %d", (int)pid);
	rig_ip(command);
	rig_ip("addr add 10.9.0.1/24 dev here");
	rig_ip("link set here up");
	rig_ip("route add default via 10.9.0.2");
	CHECK(write(done[1], &byte, 1) == 1);
	CHECK(read(inner[0], &byte, 1) == 1);

	trace(kind);
	CHECK(write(done[1], &byte, 1) == 1);
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void time_exceeded_ping(void)
{
	allow_ping();
	time_exceeded(WATCHED_SOCKET_PING);
}

static void time_exceeded_raw(void)
{
	time_exceeded(WATCHED_SOCKET_RAW_ECHO);
}

static void test_ping_sockets(void **state)
{
	(void)state;
	rig_in_namespace(with_ping_sockets);
}

static void test_raw_sockets(void **state)
{
	(void)state;
	rig_in_namespace(with_raw_sockets);
}

static void test_refused(void **state)
{
	(void)state;
	rig_in_namespace(refused);
}

static void test_time_exceeded(void **state)
{
	(void)state;
	rig_in_namespace(time_exceeded_ping);
	rig_in_namespace(time_exceeded_raw);
}

static void test_header(void **state)
{
	(void)state;
	const uint8_t bytes[ECHO_SOCKET_HEADER_SIZE] = { 8, 0, 1, 2, 3, 4, 5, 6 };
	struct echo_header header = echo_header_parse(bytes);
	assert_int_equal(header.type, 8);
	assert_int_equal(header.code, 0);
	assert_int_equal(header.checksum, 0x0102);
	assert_int_equal(header.ident, 0x0304);
	assert_int_equal(header.sequence, 0x0506);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),	      cmocka_unit_test(test_ping_sockets),
		cmocka_unit_test(test_raw_sockets),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_time_exceeded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
