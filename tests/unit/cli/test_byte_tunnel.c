/* A tunnel between pipes and a socket, in a child: it may leave a thread behind. */
#include "cli/byte_tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/fd.h"

#define MANY ((size_t)8 << 20)

struct fixture {
	pid_t pid;
	int far_fd;    /* the far end of the socket */
	int input_fd;  /* writes what the tunnel reads */
	int output_fd; /* reads what the tunnel writes */
	int said_fd;   /* its error sentence */
};

static void in_child(int socket_fd, int input_fd, int output_fd, int said_fd)
{
	struct byte_tunnel tunnel = { socket_fd, input_fd, output_fd };
	struct error err = { .text = "" };

	signal(SIGPIPE, SIG_IGN); /* as the program does */
	alarm(300);
	int r = byte_tunnel_run(&tunnel, &err);
	if (r == 0 && tunnel.output_fd != -1)
		_exit(99);
	ssize_t n = write(said_fd, err.text, strlen(err.text));
	_exit(n >= 0 ? -r : 98);
}

/* socket_fds: ours and the tunnel's; input_fds: the tunnel's and ours. */
static void start(struct fixture *fixture, const int socket_fds[2], const int input_fds[2])
{
	int output[2];
	int said[2];

	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	fixture->pid = fork();
	assert_true(fixture->pid >= 0);
	if (fixture->pid == 0) {
		fd_close(socket_fds[0]);
		fd_close(input_fds[1]);
		fd_close(output[0]);
		in_child(socket_fds[1], input_fds[0], output[1], said[1]);
	}
	fd_close(socket_fds[1]);
	fd_close(input_fds[0]);
	fd_close(output[1]);
	fd_close(said[1]);
	fixture->far_fd = socket_fds[0];
	fixture->input_fd = input_fds[1];
	fixture->output_fd = output[0];
	fixture->said_fd = said[0];
}

static struct fixture fixture;

static void start_plain(void)
{
	int sockets[2];
	int input[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	start(&fixture, sockets, input);
}

/* Its exit code is the errno; the sentence goes to `said`. */
static int await_end(char *said, size_t size)
{
	int status;
	ssize_t got;

	assert_int_equal(waitpid(fixture.pid, &status, 0), fixture.pid);
	assert_true(WIFEXITED(status));
	got = read(fixture.said_fd, said, size - 1);
	assert_true(got >= 0);
	said[got] = 0;
	fd_close(fixture.said_fd);
	fd_close(fixture.far_fd);
	fd_close(fixture.input_fd);
	fd_close(fixture.output_fd);
	return WEXITSTATUS(status);
}

static void expect(int fd, const char *text)
{
	char got[64];
	size_t size = strlen(text);

	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, got + done, size - done);
		assert_true(n > 0);
		done += (size_t)n;
	}
	assert_memory_equal(got, text, size);
}

static void expect_end(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 0);
}

static void test_input_ends_first(void **state)
{
	char said[256];

	(void)state;
	start_plain();
	assert_int_equal(write(fixture.input_fd, "ask", 3), 3);
	fixture.input_fd = fd_close(fixture.input_fd);
	expect(fixture.far_fd, "ask");
	expect_end(fixture.far_fd);
	/* the other way goes on */
	assert_int_equal(write(fixture.far_fd, "answer", 6), 6);
	expect(fixture.output_fd, "answer");
	assert_int_equal(shutdown(fixture.far_fd, SHUT_WR), 0);
	expect_end(fixture.output_fd);
	assert_int_equal(await_end(said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

static void test_far_end_ends_first(void **state)
{
	char said[256];

	(void)state;
	start_plain();
	assert_int_equal(write(fixture.far_fd, "hello", 5), 5);
	assert_int_equal(shutdown(fixture.far_fd, SHUT_WR), 0);
	expect(fixture.output_fd, "hello");
	expect_end(fixture.output_fd);
	assert_int_equal(write(fixture.input_fd, "late", 4), 4);
	expect(fixture.far_fd, "late");
	fixture.input_fd = fd_close(fixture.input_fd);
	expect_end(fixture.far_fd);
	assert_int_equal(await_end(said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

static void *feed(void *context)
{
	const int *fd = context;
	static char bytes[MANY];

	for (size_t i = 0; i < MANY; i++)
		bytes[i] = (char)(i * 31 + i / 251);
	for (size_t done = 0; done < MANY;) {
		ssize_t n = write(*fd, bytes + done, MANY - done);
		if (n <= 0)
			abort();
		done += (size_t)n;
	}
	return NULL;
}

/* Nobody takes what is in one way, and the other way flows all the same. */
static void test_ways_do_not_wait_for_each_other(void **state)
{
	static char got[MANY];
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 2; i++) {
		start_plain();
		int from[2] = { fixture.input_fd, fixture.far_fd };
		int to[2] = { fixture.far_fd, fixture.output_fd };

		/* the other way is full: the writer would wait */
		struct pollfd full = { .fd = from[1 - i], .events = POLLOUT };
		assert_int_equal(fd_set_nonblocking(from[1 - i]), 0);
		while (poll(&full, 1, 200) == 1)
			assert_true(write(from[1 - i], got, 65536) > 0);
		assert_int_equal(pthread_create(&thread, NULL, feed, &from[i]), 0);
		for (size_t done = 0; done < MANY;) {
			struct pollfd there = { .fd = to[i], .events = POLLIN };
			assert_int_equal(poll(&there, 1, 60000), 1);
			ssize_t n = read(to[i], got + done, MANY - done);
			assert_true(n > 0);
			done += (size_t)n;
		}
		assert_int_equal(pthread_join(thread, NULL), 0);
		for (size_t k = 0; k < MANY; k++)
			assert_int_equal(got[k], (char)(k * 31 + k / 251));
		assert_int_equal(kill(fixture.pid, SIGKILL), 0);
		assert_int_equal(waitpid(fixture.pid, NULL, 0), fixture.pid);
		fd_close(fixture.far_fd);
		fd_close(fixture.input_fd);
		fd_close(fixture.output_fd);
		fd_close(fixture.said_fd);
	}
}

/* Of unix sockets: closed with something unread in it. */
static void test_broken_off(void **state)
{
	char said[256];

	(void)state;
	start_plain();
	assert_int_equal(write(fixture.input_fd, "unread", 6), 6);
	struct pollfd unread = { .fd = fixture.far_fd, .events = POLLIN };
	assert_int_equal(poll(&unread, 1, 60000), 1);
	fixture.far_fd = fd_close(fixture.far_fd);
	assert_int_equal(await_end(said, sizeof(said)), ECONNRESET);
	assert_non_null(strstr(said, "broken off"));
}

/* The far end has ended its way, and does not take ours. */
static void test_broken_off_late(void **state)
{
	char said[256];

	(void)state;
	start_plain();
	fixture.far_fd = fd_close(fixture.far_fd);
	expect_end(fixture.output_fd);
	assert_int_equal(write(fixture.input_fd, "late", 4), 4);
	assert_int_equal(await_end(said, sizeof(said)), ECONNRESET);
	assert_non_null(strstr(said, "before all was sent"));
}

static void test_nobody_reads_the_output(void **state)
{
	char said[256];

	(void)state;
	start_plain();
	fixture.output_fd = fd_close(fixture.output_fd);
	assert_int_equal(write(fixture.far_fd, "hello", 5), 5);
	assert_int_equal(await_end(said, sizeof(said)), EPIPE);
	assert_string_equal(said, "cannot write: Broken pipe");
}

static void test_input_cannot_be_read(void **state)
{
	int sockets[2];
	int input[2] = { open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -1 };
	char said[256];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	start(&fixture, sockets, input);
	assert_int_equal(await_end(said, sizeof(said)), EISDIR);
	assert_non_null(strstr(said, "cannot read: "));
}

/* Nobody would know that a terminal's input has to be ended. */
static void test_terminal(void **state)
{
	int sockets[2];
	int input[2];
	char said[256];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(openpty(&input[1], &input[0], NULL, NULL, NULL), 0);
	start(&fixture, sockets, input);
	assert_int_equal(write(fixture.input_fd, "line\n", 5), 5);
	expect(fixture.far_fd, "line\n");
	assert_int_equal(write(fixture.far_fd, "bye", 3), 3);
	assert_int_equal(shutdown(fixture.far_fd, SHUT_WR), 0);
	expect(fixture.output_fd, "bye");
	assert_int_equal(await_end(said, sizeof(said)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_input_ends_first),
		cmocka_unit_test(test_far_end_ends_first),
		cmocka_unit_test(test_ways_do_not_wait_for_each_other),
		cmocka_unit_test(test_broken_off),
		cmocka_unit_test(test_broken_off_late),
		cmocka_unit_test(test_nobody_reads_the_output),
		cmocka_unit_test(test_input_cannot_be_read),
		cmocka_unit_test(test_terminal),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(300);
	return cmocka_run_group_tests_name("byte_tunnel", tests, NULL, NULL);
}
