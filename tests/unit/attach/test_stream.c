/* QEMU's framing, however the kernel cuts it. */
#include "attach_test.h"

#include <sys/resource.h>

static int setup(void **state)
{
	const struct attachment_context context = scene_new();
	struct error err = {};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(attachment_new_stream(&context, fds[0], &scene->attachment, &err), 0);
	scene->peer_fd = fds[1];
	assert_int_equal(fd_set_nonblocking(scene->peer_fd), 0);
	attachment_start(scene->attachment, TEST_PORT, &scene->ingress);
	return 0;
}

/* Length and frame. Returns the size of both. */
static size_t build(uint8_t *bytes, size_t size, uint8_t first)
{
	const uint8_t length[4] = { (uint8_t)(size >> 24), (uint8_t)(size >> 16),
				    (uint8_t)(size >> 8), (uint8_t)size };

	memcpy(bytes, length, 4);
	fill_frame(bytes + 4, size, first);
	return size + 4;
}

static void guest_writes(const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t done = send(scene->peer_fd, bytes, size, MSG_NOSIGNAL);

		if (done < 0) {
			assert_int_equal(errno, EAGAIN);
			run();
			continue;
		}
		bytes += done;
		size -= (size_t)done;
	}
}

/* Reads what has come, checks the framing, returns how many frames there were. `expected` counts
 * the first byte of each. */
static unsigned guest_reads(uint8_t *expected)
{
	static uint8_t bytes[1 << 21];
	static size_t filled;
	unsigned frames = 0;
	ssize_t got;

	if (!expected) { /* forget */
		filled = 0;
		return 0;
	}
	while ((got = recv(scene->peer_fd, bytes + filled, sizeof(bytes) - filled, 0)) > 0)
		filled += (size_t)got;
	size_t done = 0;
	while (filled - done >= 4) {
		size_t size = (size_t)bytes[done] << 24 | (size_t)bytes[done + 1] << 16 |
			      (size_t)bytes[done + 2] << 8 | bytes[done + 3];

		assert_in_range(size, 60, TEST_LIMIT);
		if (filled - done - 4 < size)
			break;
		assert_int_equal(bytes[done + 4 + 14], *expected);
		(*expected)++;
		frames++;
		done += 4 + size;
	}
	memmove(bytes, bytes + done, filled - done);
	filled -= done;
	return frames;
}

/* --- from the guest ----------------------------------------------------------------------- */

static void cut_anywhere(void **state)
{
	uint8_t bytes[400];
	size_t size = build(bytes, 60, 1);

	(void)state;
	size += build(bytes + size, 14, 2);
	size += build(bytes + size, 200, 3);
	for (size_t cut = 0; cut <= size; cut++) {
		unsigned before = scene->received;

		guest_writes(bytes, cut);
		run();
		guest_writes(bytes + cut, size - cut);
		run();
		assert_int_equal(scene->received, before + 3);
		assert_int_equal(scene->sizes[before], 60);
		assert_int_equal(scene->sizes[before + 1], 14);
		assert_int_equal(scene->sizes[before + 2], 200);
		scene->received = 0;
	}
	for (size_t i = 0; i < size; i++) { /* byte by byte */
		guest_writes(bytes + i, 1);
		run();
	}
	assert_int_equal(scene->received, 3);
	assert_int_equal(scene->closed, 0);
}

static void many_in_one_read(void **state)
{
	static uint8_t bytes[1 << 20];
	size_t size = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		size += build(bytes + size, 14 + i % 300, (uint8_t)i);
	guest_writes(bytes, size);
	run();
	assert_int_equal(scene->received, 3000);
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(scene->sizes[i], 14 + i % 300);
	/* One flush a read. */
	assert_true(scene->flushed < 200);
	assert_int_equal(scene->last_port, TEST_PORT);
}

static void length(uint32_t size, bool good)
{
	static uint8_t bytes[TEST_LIMIT + 8];
	unsigned before = scene->received;

	if (good) {
		guest_writes(bytes, build(bytes, size, 5));
	} else {
		const uint8_t prefix[4] = { (uint8_t)(size >> 24), (uint8_t)(size >> 16),
					    (uint8_t)(size >> 8), (uint8_t)size };
		guest_writes(bytes, build(bytes, 100, 1)); /* this one still passes */
		guest_writes(prefix, sizeof(prefix));
	}
	run();
	assert_int_equal(scene->received, before + 1);
	assert_int_equal(scene->closed, good ? 0 : 1);
	assert_int_equal(scene->drops.count[DROP_BAD_STREAM_LENGTH], good ? 0 : 1);
}

static void length_14(void **state)
{
	(void)state;
	length(14, true);
}

static void length_limit(void **state)
{
	(void)state;
	length(TEST_LIMIT, true);
}

static void length_0(void **state)
{
	(void)state;
	length(0, false);
	assert_non_null(strstr(scene->reason, "length"));
	/* Only this port: what is pushed to it is dropped, nothing else happens. */
	push_frame(100, 1);
	flush();
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	assert_int_equal(room(), SIZE_MAX);
	run();
	assert_int_equal(scene->closed, 1);
}

static void length_13(void **state)
{
	(void)state;
	length(13, false);
}

static void length_beyond_limit(void **state)
{
	(void)state;
	length(TEST_LIMIT + 1, false);
}

static void length_most(void **state)
{
	(void)state;
	length(UINT32_MAX, false);
}

static void length_negative(void **state)
{
	(void)state;
	length(UINT32_C(0x80000000), false);
}

/* What cannot be dissected costs that frame alone. */
static void bad_frame_in_a_good_length(void **state)
{
	uint8_t bytes[200];
	size_t size = build(bytes, 60, 0);

	(void)state;
	bytes[4 + 12] = 0x08; /* says it is IPv4 */
	bytes[4 + 13] = 0x00;
	size += build(bytes + size, 100, 7);
	guest_writes(bytes, size);
	run();
	assert_int_equal(scene->received, 1);
	assert_int_equal(scene->drops.count[DROP_BAD_IP_HEADER], 1);
	assert_int_equal(scene->closed, 0);
}

static void guest_leaves(void **state)
{
	uint8_t bytes[200];

	(void)state;
	guest_writes(bytes, build(bytes, 100, 7) - 1); /* in the middle of a frame */
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	assert_int_equal(scene->closed, 1);
	assert_string_equal(scene->reason, "");
	assert_int_equal(scene->received, 0);
}

/* --- to the guest ------------------------------------------------------------------------- */

static void to_the_guest(void **state)
{
	uint8_t expected = 7;

	(void)state;
	guest_reads(NULL);
	push_frame(100, 7);
	push_frame(20, 8);
	push_frame(TEST_LIMIT, 9);
	assert_int_equal(guest_reads(&expected), 0);
	flush();
	assert_int_equal(guest_reads(&expected), 3);
}

static void super_frame_to_the_guest(void **state)
{
	static uint8_t payload[60000];
	const struct packet_link link = {};
	const struct ip_endpoint from = { ip_addr_from_v4(0xcb007105), 80 };
	const struct ip_endpoint to = { ip_addr_from_v4(0x0a000002), 4000 };
	const struct tcp_header header = { .flags = TCP_ACK };
	struct iovec part = { payload, sizeof(payload) };
	uint8_t expected = 0x45; /* of the IP header */
	unsigned frames = 0;
	struct frame frame;

	(void)state;
	guest_reads(NULL);
	assert_true(packet_build_tcp(&frame, &link, &from, &to, &header, &part, 1, 1460));
	frame_sink_push(attachment_sink(scene->attachment), &frame);
	flush();
	for (int i = 0; i < 100 && frames < 42; i++) {
		/* Each begins with the same byte. */
		uint8_t bytes[4];
		ssize_t got = recv(scene->peer_fd, bytes, 4, 0);

		if (got < 0) {
			run();
			continue;
		}
		assert_int_equal(got, 4);
		size_t size = (size_t)bytes[2] << 8 | bytes[3];
		uint8_t whole[TEST_LIMIT];
		assert_true(size <= sizeof(whole));
		assert_int_equal(recv(scene->peer_fd, whole, size, MSG_WAITALL), (ssize_t)size);
		assert_int_equal(whole[14], expected);
		frames++;
	}
	assert_int_equal(frames, (60000 + 1459) / 1460);
}

static void slow_guest(void **state)
{
	unsigned pushed = 0;
	unsigned got = 0;
	uint8_t expected = 0;

	(void)state;
	guest_reads(NULL);
	while (room() > 0) {
		push_frame(1000, (uint8_t)pushed++);
		if (pushed % 16 == 0)
			flush();
	}
	flush();
	assert_int_equal(scene->writable, 0);
	while (scene->drops.count[DROP_PORT_FULL] == 0)
		push_frame(1000, (uint8_t)pushed++);
	pushed--;
	run();
	for (unsigned rounds = 0; got < pushed; rounds++) {
		assert_true(rounds < 10000);
		got += guest_reads(&expected);
		run();
	}
	assert_int_equal(got, pushed);
	assert_int_equal(scene->writable, 1);
	assert_true(room() > 0);
	/* And from there on as before. */
	push_frame(1000, expected);
	flush();
	assert_int_equal(guest_reads(&expected), 1);
}

static void guest_leaves_with_a_full_queue(void **state)
{
	(void)state;
	while (room() > 0) {
		push_frame(1000, 0);
		flush();
	}
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	assert_int_equal(scene->closed, 1);
	flush();
	run();
	assert_int_equal(scene->closed, 1);
	assert_int_equal(room(), SIZE_MAX);
}

/* It may still send; and nobody wakes us up about a socket that can take nothing ever. */
static void guest_reads_no_more(void **state)
{
	static uint8_t bytes[1 << 16];

	(void)state;
	while (room() > 0) {
		push_frame(1000, 0);
		flush();
	}
	assert_int_equal(scene->writable, 0);
	assert_int_equal(shutdown(scene->peer_fd, SHUT_RD), 0);
	while (recv(scene->peer_fd, bytes, sizeof(bytes), 0) > 0)
		;
	run();
	assert_int_equal(scene->closed, 0);
	assert_int_equal(scene->writable, 1);
	assert_int_equal(room(), SIZE_MAX);
	uint64_t gone = scene->drops.count[DROP_PORT_GONE];
	push_frame(1000, 0);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], gone + 1);
	flush();
	length_14(state);
	uint64_t began_ns = clock_now(&clock_boottime);
	assert_int_equal(loop_run_once(scene->loop, 20), 0);
	assert_true(clock_now(&clock_boottime) - began_ns >= 19 * NS_PER_MS);
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	assert_int_equal(scene->closed, 1);
}

/* --- a listening socket ------------------------------------------------------------------- */

static struct sockaddr_un listen_name;
static socklen_t listen_name_size;

static int listening(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Autobind: an abstract name of the kernel's choice (unix(7)). */
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 4), 0);
	listen_name_size = sizeof(listen_name);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&listen_name, &listen_name_size), 0);
	return fd;
}

static int setup_listening(void **state)
{
	const struct attachment_context context = scene_new();
	struct error err = {};

	(void)state;
	assert_int_equal(attachment_new_stream(&context, listening(), &scene->attachment, &err), 0);
	attachment_start(scene->attachment, TEST_PORT, &scene->ingress);
	return 0;
}

static int front_end(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&listen_name, listen_name_size), 0);
	assert_int_equal(fd_set_nonblocking(fd), 0);
	return fd;
}

static void one_front_end_after_the_other(void **state)
{
	uint8_t bytes[200];
	uint8_t expected = 1;

	(void)state;
	guest_reads(NULL);
	/* Nobody there: frames go nowhere, and nobody waits. */
	push_frame(100, 9);
	flush();
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	assert_int_equal(room(), SIZE_MAX);
	for (int i = 0; i < 3; i++) {
		scene->peer_fd = front_end();
		run();
		guest_writes(bytes, build(bytes, 100, 7));
		run();
		assert_int_equal(scene->received, i + 1);
		push_frame(100, expected);
		flush();
		assert_int_equal(guest_reads(&expected), 1);
		/* It leaves in the middle of a frame, and with frames waiting for it. */
		guest_writes(bytes, 50);
		run();
		push_frame(100, 99);
		scene->peer_fd = fd_close(scene->peer_fd);
		run();
		assert_int_equal(scene->closed, 0);
	}
	assert_int_equal(scene->log_lines, 0);
}

static void second_front_end_waits(void **state)
{
	uint8_t bytes[200];

	(void)state;
	scene->peer_fd = front_end();
	run();
	int second = front_end();
	size_t size = build(bytes, 100, 7);
	assert_int_equal(send(second, bytes, size, 0), (ssize_t)size);
	run();
	assert_int_equal(scene->received, 0);
	guest_writes(bytes, size);
	run();
	assert_int_equal(scene->received, 1);
	(void)fd_close(scene->peer_fd);
	run();
	assert_int_equal(scene->received, 2);
	scene->peer_fd = second;
}

/* A bad length ends the connection; the next front end is welcome. */
static void bad_front_end(void **state)
{
	static const uint8_t zero[4] = { 0 };
	uint8_t bytes[200];

	(void)state;
	scene->peer_fd = front_end();
	run();
	guest_writes(zero, sizeof(zero));
	run();
	assert_int_equal(recv(scene->peer_fd, bytes, 1, 0), 0);
	(void)fd_close(scene->peer_fd);
	assert_int_equal(scene->drops.count[DROP_BAD_STREAM_LENGTH], 1);
	assert_int_equal(scene->log_lines, 1);
	assert_int_equal(scene->closed, 0);
	scene->peer_fd = front_end();
	run();
	guest_writes(bytes, build(bytes, 100, 7));
	run();
	assert_int_equal(scene->received, 1);
}

static void sources_do_not_wait_for_one_who_left(void **state)
{
	(void)state;
	scene->peer_fd = front_end();
	run();
	while (room() > 0) {
		push_frame(1000, 0);
		flush();
	}
	assert_int_equal(scene->writable, 0);
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	assert_int_equal(scene->writable, 1);
	assert_int_equal(room(), SIZE_MAX);
	/* The next one gets nothing of it. */
	uint8_t byte;
	scene->peer_fd = front_end();
	run();
	assert_int_equal(recv(scene->peer_fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(room() > 0 && room() < SIZE_MAX);
}

/* No descriptor: accepting pauses and goes on by itself. */
static void no_descriptor_left(void **state)
{
	struct rlimit limit;
	struct rlimit none;
	uint8_t bytes[200];

	(void)state;
	scene->peer_fd = front_end();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 100; i++)
		run();
	uint64_t refused = scene->drops.count[DROP_SOCKET_LIMIT];
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(refused, 1);
	guest_writes(bytes, build(bytes, 100, 7));
	run();
	assert_int_equal(scene->received, 0);
	scene->now_ns += 200 * NS_PER_MS;
	run();
	assert_int_equal(scene->received, 1);
}

/* Freed in the pause. */
static void freed_while_accepting_pauses(void **state)
{
	struct rlimit limit;
	struct rlimit none;

	(void)state;
	scene->peer_fd = front_end();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	run();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	scene->attachment = attachment_free(scene->attachment);
	scene->now_ns += NS_PER_S;
	run();
	assert_int_equal(timers_next(loop_timers(scene->loop)), TIMER_UNSET);
}

static void wrong_descriptors(void **state)
{
	const struct attachment_context context = scene_context();
	struct attachment *attachment = NULL;
	struct error err = {};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(attachment_new_stream(&context, fds[0], &attachment, &err), -EINVAL);
	assert_string_not_equal(err.text, "");
	assert_int_equal(attachment_new_stream(&context, -1, &attachment, &err), -EINVAL);
	assert_null(attachment);
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
	/* Handed back. */
	int fd = listening();
	assert_int_equal(attachment_new_stream(&context, fd, &attachment, &err), 0);
	attachment_disown(attachment);
	attachment_free(attachment);
	assert_int_not_equal(fcntl(fd, F_GETFD), -1);
	(void)fd_close(fd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, scene_teardown)
#define TEST_LISTENING(function)                                                                   \
	cmocka_unit_test_setup_teardown(function, setup_listening, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cut_anywhere),
		TEST(many_in_one_read),
		TEST(length_14),
		TEST(length_limit),
		TEST(length_0),
		TEST(length_13),
		TEST(length_beyond_limit),
		TEST(length_most),
		TEST(length_negative),
		TEST(bad_frame_in_a_good_length),
		TEST(guest_leaves),
		TEST(to_the_guest),
		TEST(super_frame_to_the_guest),
		TEST(slow_guest),
		TEST(guest_leaves_with_a_full_queue),
		TEST(guest_reads_no_more),
		TEST_LISTENING(one_front_end_after_the_other),
		TEST_LISTENING(second_front_end_waits),
		TEST_LISTENING(bad_front_end),
		TEST_LISTENING(sources_do_not_wait_for_one_who_left),
		TEST_LISTENING(no_descriptor_left),
		TEST_LISTENING(freed_while_accepting_pauses),
		TEST(wrong_descriptors),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
