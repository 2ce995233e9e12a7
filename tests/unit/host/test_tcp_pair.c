#include "host/tcp_pair.h"

#include "host_rig.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <stdatomic.h>
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
		cmocka_unit_test(test_intruders),
		cmocka_unit_test(test_without_descriptors),
	};

	alarm(60);
	return cmocka_run_group_tests_name("tcp_pair", tests, NULL, NULL);
}
