/* Lines and their limits, with a client at the other end of the socket. */
#include "sidecar/control_channel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/fd.h"

struct fixture {
	struct loop *loop;
	struct control_channel *channel;
	int client;
	unsigned answered;
	unsigned too_long;
	unsigned closed;
	size_t answer_size; /* 0 = "SIZE:FIRST" */
	char heard[1 << 16];
	size_t heard_size;
};

static char *answer(void *context, const char *line, size_t size)
{
	struct fixture *fixture = context;
	char *text;

	fixture->answered++;
	if (fixture->answer_size > 0) {
		text = malloc(fixture->answer_size + 1);
		assert_non_null(text);
		memset(text, 'x', fixture->answer_size);
		text[fixture->answer_size] = '\0';
		return text;
	}
	assert_true(asprintf(&text, "%zu:%c", size, size > 0 ? line[0] : '-') > 0);
	return text;
}

static char *too_long(void *context)
{
	struct fixture *fixture = context;

	fixture->too_long++;
	return strdup("long");
}

static void closed(void *context)
{
	struct fixture *fixture = context;

	fixture->closed++;
}

static int setup(void **state)
{
	static struct fixture fixture;
	const struct control_channel_ops ops = { answer, too_long, closed, &fixture };
	int fds[2];

	fixture = (struct fixture){ .client = -1 };
	assert_int_equal(loop_new(&clock_boottime, &fixture.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(control_channel_new(fixture.loop, fds[0], &ops, &fixture.channel), 0);
	fixture.client = fds[1];
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	control_channel_free(fixture->channel);
	loop_free(fixture->loop);
	fd_close(fixture->client);
	return 0;
}

/* Whatever can happen now. */
static void run(struct fixture *fixture)
{
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(loop_run_once(fixture->loop, 0), 0);
}

static void listen_to(struct fixture *fixture)
{
	ssize_t got = recv(fixture->client, fixture->heard + fixture->heard_size,
			   sizeof(fixture->heard) - 1 - fixture->heard_size, MSG_DONTWAIT);

	fixture->heard_size += got > 0 ? (size_t)got : 0;
	fixture->heard[fixture->heard_size] = '\0';
}

static void say(struct fixture *fixture, const char *text)
{
	assert_int_equal(send(fixture->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	run(fixture);
	listen_to(fixture);
}

static void test_lines(void **state)
{
	struct fixture *fixture = *state;

	say(fixture, "abc\n");
	assert_string_equal(fixture->heard, "3:a\n");
	say(fixture, "de");
	assert_string_equal(fixture->heard, "3:a\n");
	say(fixture, "f\n\ng\nh");
	assert_string_equal(fixture->heard, "3:a\n3:d\n0:-\n1:g\n");
	assert_int_equal(fixture->closed, 0);
}

/* What was asked before the end is answered. */
static void test_end(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(send(fixture->client, "a\nb", 3, MSG_NOSIGNAL), 3);
	assert_int_equal(shutdown(fixture->client, SHUT_WR), 0);
	run(fixture);
	listen_to(fixture);
	assert_string_equal(fixture->heard, "1:a\n");
	assert_int_equal(fixture->closed, 1);
}

/* Asks often, and says that this was all; more than the socket and the channel hold at once. */
static void ask_and_end(struct fixture *fixture, unsigned requests)
{
	fixture->answer_size = 100000;
	for (unsigned i = 0; i < requests; i++)
		assert_int_equal(send(fixture->client, "ask\n", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(shutdown(fixture->client, SHUT_WR), 0);
	run(fixture);
}

/* Who has ended and listens gets all the answers, and then the end. */
static void test_end_with_answers(void **state)
{
	enum {
		REQUESTS = 30
	};
	struct fixture *fixture = *state;
	char bytes[8192];
	size_t size = 0;
	ssize_t got;

	ask_and_end(fixture, REQUESTS);
	assert_int_equal(fixture->closed, 0);
	assert_in_range(fixture->answered, 1, REQUESTS - 1);
	while ((got = recv(fixture->client, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		size += (size_t)got;
		assert_int_equal(bytes[got - 1], size % 100001 == 0 ? '\n' : 'x');
		run(fixture);
	}
	assert_int_equal(size, REQUESTS * 100001);
	assert_int_equal(fixture->closed, 1);
}

/* Who has ended, does not listen and goes, is gone. */
static void test_end_and_gone(void **state)
{
	struct fixture *fixture = *state;

	ask_and_end(fixture, 30);
	assert_int_equal(fixture->closed, 0);
	fixture->client = fd_close(fixture->client);
	run(fixture);
	assert_int_equal(fixture->closed, 1);
}

static void push(struct fixture *fixture, char c, size_t size)
{
	char piece[4096];

	memset(piece, c, sizeof(piece));
	while (size > 0) {
		size_t most = size < sizeof(piece) ? size : sizeof(piece);
		ssize_t sent = send(fixture->client, piece, most, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0)
			size -= (size_t)sent;
		run(fixture);
	}
}

static void test_longest(void **state)
{
	struct fixture *fixture = *state;

	push(fixture, 'y', CONTROL_REQUEST_MOST);
	say(fixture, "\n");
	assert_string_equal(fixture->heard, "1048576:y\n");
	push(fixture, 'z', CONTROL_REQUEST_MOST + 1);
	say(fixture, "\nnext\n");
	assert_string_equal(fixture->heard, "1048576:y\nlong\n4:n\n");
	/* However long it is, it is answered once. */
	push(fixture, 'z', 5 * CONTROL_REQUEST_MOST);
	say(fixture, "z\nlast\n");
	assert_string_equal(fixture->heard, "1048576:y\nlong\n4:n\nlong\n4:l\n");
	assert_int_equal(fixture->too_long, 2);
	assert_int_equal(fixture->closed, 0);
}

/* A client that asks and does not listen: it is not read any further, and loses nothing. */
static void test_deaf(void **state)
{
	struct fixture *fixture = *state;
	size_t lines = 0;
	size_t heard = 0;

	fixture->answer_size = 100000;
	for (unsigned still = 0; still < 3;) {
		ssize_t sent = send(fixture->client, "ask\n", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
		still = sent == 4 ? 0 : still + 1;
		lines += sent == 4;
		run(fixture);
		assert_true(lines < 1000000);
	}
	/* The socket's buffer took some, and 1 MiB may wait here. */
	assert_true(fixture->answered < 100);
	assert_true(lines > fixture->answered);
	while (heard < lines) {
		char bytes[8192];
		ssize_t got = recv(fixture->client, bytes, sizeof(bytes), MSG_DONTWAIT);
		for (ssize_t i = 0; i < got; i++)
			heard += bytes[i] == '\n';
		run(fixture);
	}
	assert_int_equal(fixture->answered, lines);
	assert_int_equal(fixture->closed, 0);
}

static void test_gone(void **state)
{
	struct fixture *fixture = *state;

	fixture->client = fd_close(fixture->client);
	run(fixture);
	assert_int_equal(fixture->closed, 1);
}

static void test_takes(void **state)
{
	const struct fixture *fixture = *state;
	int fds[2];

	assert_true(control_channel_takes(fixture->client));
	assert_false(control_channel_takes(-1));
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_false(control_channel_takes(fds[0]));
	fd_close(fds[0]);
	fd_close(fds[1]);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_false(control_channel_takes(fds[0]));
	fd_close(fds[0]);
	fd_close(fds[1]);
	fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_false(control_channel_takes(fds[0]));
	fd_close(fds[0]);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_false(control_channel_takes(fds[0]));
	fd_close(fds[0]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_end),
		TEST(test_longest),
		TEST(test_deaf),
		TEST(test_gone),
		TEST(test_takes),
		TEST(test_end_with_answers),
		TEST(test_end_and_gone),
	};

	alarm(300);
	return cmocka_run_group_tests_name("control_channel", tests, NULL, NULL);
}
