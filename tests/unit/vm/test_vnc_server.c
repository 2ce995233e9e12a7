#include "vm/vnc_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/random.h"
#include "vm/qmp.h"

struct fixture {
	struct qmp qmp;
	struct random_seeded random;
	struct vnc_server server;
	int qemu_fd;
};

static int setup(void **state)
{
	static struct fixture fixture;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(qmp_init(&fixture.qmp, fds[0]), 0);
	fixture.qmp.state = QMP_READY;
	fixture.qemu_fd = fds[1];
	random_seeded_init(&fixture.random, 7);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->qmp.fd);
	close(fixture->qemu_fd);
	qmp_done(&fixture->qmp);
	return 0;
}

static const char *heard(struct fixture *fixture)
{
	static char text[512];
	ssize_t n = recv(fixture->qemu_fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = 0;
	return text;
}

static int answer(struct fixture *fixture, const char *id, const char *result, struct error *err)
{
	json_t *json = result ? json_loads(result, 0, NULL) : NULL;
	int r = vnc_server_answered(&fixture->server, &fixture->qmp, id, json, "it is broken", err);

	json_decref(json);
	return r;
}

static void test_password_then_port(void **state)
{
	struct fixture *fixture = *state;
	struct error err;
	char expected[256];

	assert_int_equal(
		vnc_server_begin(&fixture->server, &fixture->qmp, &fixture->random.random, &err),
		0);
	assert_int_equal(strlen(fixture->server.password), VNC_PASSWORD_LENGTH);
	assert_string_equal(fixture->server.url, "");
	snprintf(expected, sizeof(expected),
		 "{\"execute\":\"set_password\",\"id\":\"vnc-password\",\"arguments\":"
		 "{\"protocol\":\"vnc\",\"password\":\"%s\"}}\n",
		 fixture->server.password);
	assert_string_equal(heard(fixture), expected);
	assert_int_equal(answer(fixture, "other", NULL, &err), 0);
	assert_string_equal(heard(fixture), "");
	assert_int_equal(answer(fixture, "vnc-password", "{}", &err), 0);
	assert_string_equal(heard(fixture), "{\"execute\":\"query-vnc\",\"id\":\"vnc-query\"}\n");
	assert_int_equal(answer(fixture, "vnc-query",
				"{\"host\": \"127.0.0.1\", \"service\": \"5907\"}", &err),
			 0);
	snprintf(expected, sizeof(expected), "vnc://:%s@127.0.0.1:5907", fixture->server.password);
	assert_string_equal(fixture->server.url, expected);
}

/* Another one each time, of all letters. */
static void test_passwords_differ(void **state)
{
	struct fixture *fixture = *state;
	char seen[256] = { 0 };
	char last[VNC_PASSWORD_LENGTH + 1] = "";

	for (int i = 0; i < 500; i++) {
		assert_int_equal(vnc_server_begin(&fixture->server, &fixture->qmp,
						  &fixture->random.random, NULL),
				 0);
		(void)heard(fixture);
		assert_string_not_equal(fixture->server.password, last);
		strcpy(last, fixture->server.password);
		for (const char *c = last; *c; c++)
			seen[(unsigned char)*c] = 1;
	}
	size_t letters = 0;
	for (size_t i = 0; i < sizeof(seen); i++)
		letters += (size_t)seen[i];
	assert_int_equal(letters, 64);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"host\": \"0.0.0.0\", \"service\": \"5900\"}",
		"{\"host\": \"127.0.0.1\"}",
		"{\"host\": \"127.0.0.1\", \"service\": \"x\"}",
		"{\"host\": \"127.0.0.1\", \"service\": \"0\"}",
		"{\"host\": 1, \"service\": 2}",
		"[]",
	};
	struct fixture *fixture = *state;
	struct error err;

	assert_int_equal(
		vnc_server_begin(&fixture->server, &fixture->qmp, &fixture->random.random, NULL),
		0);
	assert_int_equal(answer(fixture, "vnc-password", NULL, &err), -EIO);
	assert_string_equal(err.text, "cannot set up the VNC server: it is broken");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(answer(fixture, "vnc-query", bad[i], &err), -EPROTO);
		assert_string_equal(fixture->server.url, "");
	}
	fixture->qmp.state = QMP_CLOSED;
	assert_int_equal(
		vnc_server_begin(&fixture->server, &fixture->qmp, &fixture->random.random, &err),
		-ENOTCONN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_password_then_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_passwords_differ, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
