/* One frame a datagram. */
#include "attach_test.h"

static int setup(void **state)
{
	const struct attachment_context context = scene_new();
	struct error err = {};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(attachment_new_datagram(&context, fds[0], &scene->attachment, &err), 0);
	scene->peer_fd = fds[1];
	assert_int_equal(fd_set_nonblocking(scene->peer_fd), 0);
	attachment_start(scene->attachment, TEST_PORT, &scene->ingress);
	return 0;
}

static void guest_sends(size_t size, uint8_t first)
{
	static uint8_t bytes[FRAME_MAX_SIZE];

	fill_frame(bytes, size, first);
	assert_int_equal(send(scene->peer_fd, bytes, size, 0), (ssize_t)size);
}

/* Bytes, or -1 when nothing waits. */
static ssize_t guest_gets(uint8_t *ret_first)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	ssize_t got = recv(scene->peer_fd, bytes, sizeof(bytes), 0);

	*ret_first = bytes[14];
	return got;
}

static void from_the_guest(void **state)
{
	static const struct {
		size_t size;
		enum drop_reason reason; /* DROP_REASON_COUNT = passes */
	} rows[] = {
		{ 14, DROP_REASON_COUNT },
		{ 60, DROP_REASON_COUNT },
		{ TEST_LIMIT, DROP_REASON_COUNT },
		{ 0, DROP_SHORT_FRAME },
		{ 1, DROP_SHORT_FRAME },
		{ 13, DROP_SHORT_FRAME },
		{ TEST_LIMIT + 1, DROP_LONG_FRAME },
		{ 60000, DROP_LONG_FRAME },
	};
	unsigned passed = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t before =
			rows[i].reason < DROP_REASON_COUNT ? scene->drops.count[rows[i].reason] : 0;

		guest_sends(rows[i].size, (uint8_t)i);
		run();
		if (rows[i].reason < DROP_REASON_COUNT) {
			assert_int_equal(scene->drops.count[rows[i].reason], before + 1);
		} else {
			assert_int_equal(scene->sizes[passed], rows[i].size);
			passed++;
		}
		assert_int_equal(scene->received, passed);
	}
	assert_int_equal(scene->last_port, TEST_PORT);
	assert_int_equal(scene->closed, 0);
}

/* Others get their turn between batches, and each batch is flushed. */
static void many_at_once(void **state)
{
	unsigned sent = 0;
	uint8_t bytes[100];

	(void)state;
	while (sent < 1000) {
		fill_frame(bytes, sizeof(bytes), (uint8_t)sent);
		if (send(scene->peer_fd, bytes, sizeof(bytes), 0) < 0) {
			assert_int_equal(errno, EAGAIN);
			run();
			continue;
		}
		sent++;
	}
	run();
	assert_int_equal(scene->received, 1000);
	assert_true(scene->flushed > 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(scene->first[i], (uint8_t)i);
}

static void to_the_guest(void **state)
{
	uint8_t first;

	(void)state;
	push_frame(100, 7);
	push_frame(20, 9); /* padded */
	assert_int_equal(guest_gets(&first), -1);
	flush();
	assert_int_equal(guest_gets(&first), 100);
	assert_int_equal(first, 7);
	assert_int_equal(guest_gets(&first), 60);
	assert_int_equal(first, 9);
	assert_int_equal(guest_gets(&first), -1);
}

/* The kernel queues few: ours holds the rest, keeps the order, and says when there is room. */
static void slow_guest(void **state)
{
	unsigned pushed = 0;
	unsigned got = 0;
	uint8_t first;

	(void)state;
	while (room() > 0) {
		push_frame(1000, (uint8_t)pushed++);
		if (pushed % 16 == 0)
			flush();
	}
	flush();
	assert_true(pushed > 500);
	assert_int_equal(scene->writable, 0);
	while (scene->drops.count[DROP_PORT_FULL] == 0)
		push_frame(1000, (uint8_t)pushed++);
	pushed--; /* the last was lost */
	run();
	for (unsigned rounds = 0; got < pushed; rounds++) {
		assert_true(rounds < 10000);
		while (guest_gets(&first) == 1000)
			assert_int_equal(first, (uint8_t)got++);
		run();
	}
	assert_int_equal(got, pushed);
	assert_int_equal(scene->writable, 1);
	assert_true(room() > 0);
	assert_int_equal(scene->drops.count[DROP_PORT_FULL], 1);
	/* No descriptor is left ready without need. */
	assert_int_equal(loop_run_once(scene->loop, 0), 0);
	push_frame(1000, 1);
	flush();
	assert_int_equal(guest_gets(&first), 1000);
}

static void guest_is_gone(void **state)
{
	(void)state;
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	push_frame(100, 1);
	push_frame(100, 2);
	flush();
	assert_int_equal(scene->closed, 1);
	assert_string_equal(scene->reason, "");
	push_frame(100, 3);
	flush();
	run();
	assert_int_equal(scene->closed, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	assert_int_equal(room(), SIZE_MAX);
}

/* The guest's end goes while we wait for its room. */
static void guest_is_gone_with_a_full_queue(void **state)
{
	(void)state;
	while (room() > 0) {
		push_frame(1000, 0);
		flush();
	}
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	assert_int_equal(scene->closed, 1);
	/* Whoever waits is told, and loses its frames from now on. */
	assert_int_equal(scene->writable, 1);
	assert_int_equal(room(), SIZE_MAX);
}

static void wrong_descriptors(void **state)
{
	const struct attachment_context context = scene_context();
	struct attachment *attachment = NULL;
	struct error err = {};
	int fds[2];
	int inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	const int wrong[] = { fds[0], inet, file, -1 };
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		err = (struct error){};
		assert_int_equal(attachment_new_datagram(&context, wrong[i], &attachment, &err),
				 -EINVAL);
		assert_string_not_equal(err.text, "");
		assert_null(attachment);
		/* Not taken over. */
		if (wrong[i] >= 0)
			assert_int_not_equal(fcntl(wrong[i], F_GETFD), -1);
	}
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
	(void)fd_close(inet);
	(void)fd_close(file);
}

/* Handed back before it was started: the caller closes it. */
static void disowned(void **state)
{
	const struct attachment_context context = scene_context();
	struct attachment *attachment;
	struct error err = {};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(attachment_new_datagram(&context, fds[0], &attachment, &err), 0);
	attachment_disown(attachment);
	attachment_free(attachment);
	assert_int_not_equal(fcntl(fds[0], F_GETFD), -1);
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
	assert_null(attachment_free(NULL));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(from_the_guest),	 TEST(many_at_once),  TEST(to_the_guest),
		TEST(slow_guest),	 TEST(guest_is_gone), TEST(guest_is_gone_with_a_full_queue),
		TEST(wrong_descriptors), TEST(disowned),
	};

	return cmocka_run_group_tests_name("datagram", tests, NULL, NULL);
}
