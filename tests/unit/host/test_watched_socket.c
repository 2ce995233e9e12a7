#include "host_rig.h"

#include "host/watched_socket.h"

static bool freed;

static void close_and_free(struct rig_socket *self, uint32_t events)
{
	(void)events;
	rig_close(self);
	memset(self, 0x5a, sizeof(*self));
	free(self);
	freed = true;
}

/* The owner may close and free the socket in its own callback. */
static void test_free_in_callback(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket *a = malloc(sizeof(*a));
	struct rig_socket b;
	assert_non_null(a);
	rig_socket_init(a, &rig);
	rig_socket_init(&b, &rig);
	a->hook = close_and_free;
	assert_int_equal(host_call(rig.host, stream_pair, &a->socket, &b.socket), 0);
	while (!freed)
		assert_int_equal(loop_run_once(rig.loop, 1000), 0);
	/* The peer's end is seen by b. */
	assert_true(rig_wait(&b, EPOLLRDHUP | EPOLLHUP));
	rig_close(&b);
	assert_int_equal(b.socket.fd, -1);
	rig_close(&b); /* twice is nothing */
	rig_done(&rig);
}

static struct rig_socket *other;

static void close_other(struct rig_socket *self, uint32_t events)
{
	(void)self;
	(void)events;
	rig_close(other);
}

static void test_close_another_in_callback(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	rig_socket_init(&a, &rig);
	rig_socket_init(&b, &rig);
	/* Both are ready (writable) in the first batch: whichever runs first closes the other. */
	assert_int_equal(host_call(rig.host, stream_pair, &a.socket, &b.socket), 0);
	other = &b;
	a.hook = close_other;
	assert_true(rig_wait(&a, EPOLLOUT));
	unsigned calls = b.calls;
	assert_int_equal(b.socket.fd, -1);
	assert_int_equal(loop_run_once(rig.loop, 0), 0);
	assert_int_equal(b.calls, calls);
	rig_close(&a);
	rig_done(&rig);
}

static void test_flags(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	assert_true(rig_connect_pair(&rig, IP_FAMILY_V4, &a, &b));
	int fds[] = { a.socket.fd, b.socket.fd };
	for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
		assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	}
	rig_close(&a);
	rig_close(&b);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	rig_done(&rig);
}

/* An fd that the loop cannot watch is closed, and the socket stays as it was. */
static void test_take_fails(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	rig_socket_init(&a, &rig);
	int file_fd = open(rig.hosts, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file_fd >= 0);
	assert_int_equal(
		watched_socket_take(rig.host, &a.socket, WATCHED_SOCKET_TCP, IP_FAMILY_V4, file_fd),
		-EPERM);
	assert_int_equal(a.socket.fd, -1);
	assert_int_equal(fcntl(file_fd, F_GETFD), -1);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_free_in_callback),
		cmocka_unit_test(test_close_another_in_callback),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_take_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
