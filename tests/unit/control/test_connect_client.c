/* The client against servers that say anything. */
#include "control/connect_client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/fd.h"
#include "control/control_server.h"

#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tartlet-connect\r\n\r\n"

struct fixture {
	char path[64];
	int directory_fd;
	int listener;
	const char *answer;
	size_t answer_size;
	int passed; /* so many descriptors go along */
	char request[512];
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	fixture = (struct fixture){ .path = "/tmp/tartlet-connect-XXXXXX" };
	assert_non_null(mkdtemp(fixture.path));
	fixture.directory_fd = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", fixture.path,
		 CONTROL_SOCKET_NAME);
	fixture.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fixture.listener, (const struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(listen(fixture.listener, 4), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fd_close(fixture->listener);
	assert_int_equal(unlinkat(fixture->directory_fd, CONTROL_SOCKET_NAME, 0), 0);
	fd_close(fixture->directory_fd);
	return rmdir(fixture->path);
}

static void say(int fd, const struct fixture *fixture)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec part = { (char *)(uintptr_t)fixture->answer, fixture->answer_size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	const int fds[2] = { STDIN_FILENO, STDIN_FILENO };
	size_t size = (size_t)fixture->passed * sizeof(int);

	if (fixture->passed > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(size);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		if (!header)
			abort();
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(header), fds, size);
	}
	(void)sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void *serve(void *context)
{
	struct fixture *fixture = context;
	int fd = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
	ssize_t got = recv(fd, fixture->request, sizeof(fixture->request) - 1, 0);

	fixture->request[got > 0 ? got : 0] = 0;
	say(fd, fixture);
	fd_close(fd);
	return NULL;
}

static int ask(struct fixture *fixture, const char *answer, size_t size, int passed, int *ret_fd,
	       struct error *err)
{
	pthread_t thread;

	fixture->answer = answer;
	fixture->answer_size = size;
	fixture->passed = passed;
	err->text[0] = 0;
	assert_int_equal(pthread_create(&thread, NULL, serve, fixture), 0);
	int r = connect_client_request(fixture->directory_fd, 22, ret_fd, err);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return r;
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_given(void **state)
{
	struct fixture *fixture = *state;
	static const char answer[] = SWITCHED "{\"connected\": true}\n";
	struct error err;
	int fd;

	assert_int_equal(ask(fixture, answer, strlen(answer), 1, &fd, &err), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	fd_close(fd);
	assert_memory_equal(fixture->request, "GET /v1/connect?port=22 HTTP/1.1\r\n", 34);
	assert_non_null(strstr(fixture->request, "\r\nUpgrade: tartlet-connect\r\n"));
}

/* Each fails with a sentence, and no descriptor is left over. */
static void test_not_given(void **state)
{
	static const struct {
		const char *answer;
		int passed;
		int result;
		const char *said;
	} rows[] = {
		{ "", 0, -EPROTO, "Protocol error" },
		{ "\r\n", 0, -EPROTO, "Protocol error" },
		{ "HTTP/1.1 404 Not Found\r\n\r\n{}", 0, -EPROTO, "another version" },
		{ "SSH-2.0-x\r\n\r\n", 1, -EPROTO, "another version" },
		{ SWITCHED, 0, -EPROTO, "Protocol error" },
		{ SWITCHED, 1, -EPROTO, "Protocol error" },
		{ SWITCHED "{\"connected\": true}", 1, -EPROTO, "Protocol error" },
		{ SWITCHED "{\"connected\": true}\n", 0, -EPROTO, "no connection" },
		{ SWITCHED "{\"connected\": 1}\n", 1, -EPROTO, "no connection" },
		{ SWITCHED "\n", 1, -EPROTO, "no connection" },
		{ SWITCHED "[]\n", 1, -EPROTO, "no connection" },
		{ SWITCHED "{\"error\": \"no \\\"such\\\" port\"}\n", 0, -EREMOTEIO,
		  "no \"such\" port" },
		{ SWITCHED "{\"error\": \"no\"}\n", 1, -EREMOTEIO, "no" },
	};
	struct fixture *fixture = *state;
	int open_before = open_fds();

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err;
		int fd = -2;
		assert_int_equal(ask(fixture, rows[i].answer, strlen(rows[i].answer),
				     rows[i].passed, &fd, &err),
				 rows[i].result);
		assert_int_equal(fd, -2);
		assert_non_null(strstr(err.text, rows[i].said));
		assert_int_equal(open_fds(), open_before);
	}
}

static void test_endless(void **state)
{
	struct fixture *fixture = *state;
	static char answer[1 << 16];
	struct error err;
	int fd;

	memset(answer, 'x', sizeof(answer));
	assert_int_equal(ask(fixture, answer, sizeof(answer), 0, &fd, &err), -EPROTO);
	memset(answer, 0, sizeof(answer));
	assert_int_equal(ask(fixture, answer, sizeof(answer), 0, &fd, &err), -EPROTO);
}

/* More than one: none is lost, whatever becomes of the request. */
static void test_too_many_descriptors(void **state)
{
	struct fixture *fixture = *state;
	static const char answer[] = SWITCHED "{\"connected\": true}\n";
	int open_before = open_fds();
	struct error err;
	int fd = -1;

	(void)ask(fixture, answer, strlen(answer), 2, &fd, &err);
	fd_close(fd);
	assert_int_equal(open_fds(), open_before);
}

static void test_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct error err;
	int fd;

	fixture->listener = fd_close(fixture->listener);
	assert_int_equal(connect_client_request(fixture->directory_fd, 22, &fd, &err),
			 -ECONNREFUSED);
	assert_string_equal(err.text, "the VM's control socket does not answer");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_given),   TEST(test_not_given),
		TEST(test_endless), TEST(test_too_many_descriptors),
		TEST(test_nobody),
	};

	alarm(300);
	return cmocka_run_group_tests_name("connect_client", tests, NULL, NULL);
}
