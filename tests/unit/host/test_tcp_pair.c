#include "host/tcp_pair.h"

#include "host_rig.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void check_pair(const int fds[2])
{
	struct linger linger = { .l_onoff = 1 };
	char byte;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFL) & O_NONBLOCK, 0);
		assert_int_equal(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(send(fds[i], "x", 1, MSG_NOSIGNAL), 1);
		assert_int_equal(recv(fds[1 - i], &byte, 1, 0), 1);
	}
	/* half closed, then reset: each is seen as what it is */
	assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
	assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
	assert_int_equal(send(fds[1], "y", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(fds[0], &byte, 1, 0), 1);
	assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	fd_close(fds[1]);
	assert_int_equal(recv(fds[0], &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	fd_close(fds[0]);
}

static unsigned open_descriptors(void)
{
	DIR *stream = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(stream);
	while (readdir(stream))
		count++;
	closedir(stream);
	return count;
}

static void test_pair(void **state)
{
	unsigned before = open_descriptors();
	int fds[2];

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(tcp_pair_new(fds), 0);
		check_pair(fds);
	}
	assert_int_equal(open_descriptors(), before); /* no listener is left over */
}

/* Taken by the host room: how its end is closed is how the far end sees it. */
static void take(struct rig *rig, struct rig_socket *inner, int *ret_outer_fd)
{
	struct ip_endpoint peer;
	struct ip_endpoint own;
	int fds[2];

	rig_socket_init(inner, rig);
	assert_int_equal(tcp_pair_new(fds), 0);
	assert_int_equal(host_call(rig->host, tcp_take, &inner->socket, fds[1], &peer), 0);
	assert_int_equal(host_real_local_endpoint(fds[0], &own), 0);
	assert_true(ip_endpoint_equal(&peer, &own));
	assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	assert_true(rig_wait(inner, EPOLLOUT));
	*ret_outer_fd = fds[0];
}

static void test_taken(void **state)
{
	struct rig_socket inner;
	struct rig rig;
	char byte;
	int fd;

	(void)state;
	rig_init(&rig);
	take(&rig, &inner, &fd);
	assert_int_equal(rig_send(&inner, "a"), 1);
	rig_close(&inner);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	fd_close(fd);

	take(&rig, &inner, &fd);
	host_call(rig.host, reset, &inner.socket);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	fd_close(fd);
	rig_done(&rig);
}

/* What is not read yet when it is closed in order still arrives. */
static void test_slow_reader(void **state)
{
	static char bytes[64 << 10];
	struct rig_socket inner;
	struct rig rig;
	size_t sent = 0;
	size_t got = 0;
	ssize_t n;
	int fd;

	(void)state;
	rig_init(&rig);
	take(&rig, &inner, &fd);
	struct iovec iov = { bytes, sizeof(bytes) };
	while ((n = host_call(rig.host, send, &inner.socket, &iov, 1)) > 0)
		sent += (size_t)n;
	assert_int_equal(n, -EAGAIN);
	assert_int_equal(host_call(rig.host, finish, &inner.socket), 0);
	rig_close(&inner);
	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		got += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(got, sent);
	fd_close(fd);
	rig_done(&rig);
}

/* Killed: the far end must not take it for an end. */
static void test_killed(void **state)
{
	int fds[2];
	char byte;
	int status;

	(void)state;
	assert_int_equal(tcp_pair_new(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rig_socket inner;
		struct ip_endpoint peer;
		struct rig rig;
		rig_init(&rig);
		rig_socket_init(&inner, &rig);
		fd_close(fds[0]);
		CHECK(host_call(rig.host, tcp_take, &inner.socket, fds[1], &peer) == 0);
		CHECK(rig_send(&inner, "a") == 1);
		unlink(rig.resolv_conf);
		unlink(rig.hosts);
		rmdir(rig.directory);
		(void)raise(SIGKILL);
	}
	fd_close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(recv(fds[0], &byte, 1, 0), 1);
	assert_int_equal(recv(fds[0], &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	fd_close(fds[0]);
}

/* Not a connection: refused, and not left open. */
static void test_not_taken(void **state)
{
	struct rig_socket inner;
	struct ip_endpoint peer;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_socket_init(&inner, &rig);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(host_call(rig.host, tcp_take, &inner.socket, fd, &peer), -ENOTCONN);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(inner.socket.fd, -1);
	rig_done(&rig);
}

/* Somebody who connects to whatever listens on loopback in a range of two ports. */
static atomic_bool intruding;
static atomic_uint intruded;

static void *intrude(void *context)
{
	(void)context;
	while (intruding) {
		for (uint16_t port = 40000; port < 40002; port++) {
			struct sockaddr_in to = { .sin_family = AF_INET,
						  .sin_port = htons(port),
						  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
			int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			CHECK(fd >= 0);
			if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ||
			    errno == EINPROGRESS)
				intruded++;
			fd_close(fd);
		}
	}
	return NULL;
}

/* Whoever gets in between does not become an end of the pair. */
static void intruders_are_turned_away(void)
{
	pthread_t thread;
	int made = 0;

	CHECK(rig_write_proc("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003"));
	intruding = true;
	CHECK(pthread_create(&thread, NULL, intrude, NULL) == 0);
	for (int i = 0; i < 3000; i++) {
		struct sockaddr_in near = { 0 };
		struct sockaddr_in far = { 0 };
		socklen_t size = sizeof(near);
		int fds[2];
		int r = tcp_pair_new(fds);

		if (r < 0) { /* the ports are used up by the intruder's */
			CHECK(r == -EADDRINUSE || r == -EADDRNOTAVAIL || r == -EAGAIN);
			continue;
		}
		made++;
		CHECK(getsockname(fds[0], (struct sockaddr *)&near, &size) == 0);
		size = sizeof(far);
		CHECK(getpeername(fds[1], (struct sockaddr *)&far, &size) == 0);
		CHECK(near.sin_port == far.sin_port);
		/* no TIME_WAIT, which would use up the ports */
		struct linger linger = { .l_onoff = 1 };
		CHECK(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
		fd_close(fds[0]);
		fd_close(fds[1]);
	}
	intruding = false;
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(made > 0 && intruded > 0);
}

static void test_intruders(void **state)
{
	(void)state;
	rig_in_namespace(intruders_are_turned_away);
}

static void without_descriptors(void)
{
	int fds[2];
	int next = dup(0);

	CHECK(next >= 0);
	fd_close(next);
	for (rlim_t more = 0; more < 3; more++) {
		struct rlimit limit = { .rlim_cur = (rlim_t)next + more, .rlim_max = 1024 };
		CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		CHECK(tcp_pair_new(fds) == -EMFILE);
		CHECK(dup(0) == (more == 0 ? -1 : next)); /* nothing is left over */
		fd_close(more == 0 ? -1 : next);
	}
}

static void test_without_descriptors(void **state)
{
	(void)state;
	rig_in_namespace(without_descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_intruders),
		cmocka_unit_test(test_without_descriptors),
	};

	alarm(300);
	return cmocka_run_group_tests_name("tcp_pair", tests, NULL, NULL);
}
