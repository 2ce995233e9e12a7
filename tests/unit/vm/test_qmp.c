#include "vm/qmp.h"

#include <errno.h>
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

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
#define ACCEPTED "{\"return\": {}, \"id\": \"capabilities\"}\r\n"

struct fixture {
	struct qmp qmp;
	int qemu_fd;
};

static int setup(void **state)
{
	static struct fixture fixture;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fixture.qemu_fd = fds[1];
	assert_int_equal(qmp_init(&fixture.qmp, fds[0]), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->qmp.fd);
	if (fixture->qemu_fd >= 0)
		close(fixture->qemu_fd);
	qmp_done(&fixture->qmp);
	return 0;
}

static void say(struct fixture *fixture, const char *text)
{
	assert_int_equal(send(fixture->qemu_fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	qmp_read(&fixture->qmp);
}

/* What was sent to QEMU, at most once per call; "" when nothing. */
static const char *heard(struct fixture *fixture)
{
	static char text[256];
	ssize_t n = recv(fixture->qemu_fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = 0;
	return text;
}

static void test_handshake(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(qmp_power_down(&fixture->qmp), -ENOTCONN);
	qmp_read(&fixture->qmp);
	assert_int_equal(fixture->qmp.state, QMP_GREETING);
	say(fixture, GREETING);
	assert_int_equal(fixture->qmp.state, QMP_NEGOTIATING);
	assert_non_null(strstr(heard(fixture), "\"qmp_capabilities\""));
	say(fixture, "{\"event\": \"RESUME\", \"data\": {}}\r\n");
	assert_int_equal(fixture->qmp.state, QMP_NEGOTIATING);
	say(fixture, ACCEPTED);
	assert_int_equal(fixture->qmp.state, QMP_READY);
	assert_int_equal(qmp_power_down(&fixture->qmp), 0);
	assert_non_null(strstr(heard(fixture), "\"system_powerdown\""));
}

/* A guest that stops at once was started, too. */
static void test_ready_is_never_missed(void **state)
{
	struct fixture *fixture = *state;

	say(fixture, GREETING);
	assert_int_equal(send(fixture->qemu_fd, ACCEPTED, strlen(ACCEPTED), MSG_NOSIGNAL),
			 strlen(ACCEPTED));
	close(fixture->qemu_fd);
	fixture->qemu_fd = -1;
	qmp_read(&fixture->qmp);
	assert_int_equal(fixture->qmp.state, QMP_READY);
	qmp_read(&fixture->qmp);
	assert_int_equal(fixture->qmp.state, QMP_CLOSED);
}

static void test_byte_by_byte(void **state)
{
	struct fixture *fixture = *state;
	const char *all = GREETING ACCEPTED "{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,"
					    "\"reason\":\"guest-shutdown\"}}\r\n";

	for (const char *c = all; *c; c++) {
		const char one[2] = { *c, 0 };
		say(fixture, one);
	}
	assert_int_equal(fixture->qmp.state, QMP_READY);
	assert_true(fixture->qmp.guest_stopped);
	assert_string_equal(fixture->qmp.stop_cause, "guest-shutdown");
}

static void test_end_with_a_last_event(void **state)
{
	struct fixture *fixture = *state;

	say(fixture, GREETING ACCEPTED);
	const char *event = "{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":false,"
			    "\"reason\":\"host-signal\"}}\n";
	assert_int_equal(send(fixture->qemu_fd, event, strlen(event), 0), strlen(event));
	close(fixture->qemu_fd);
	fixture->qemu_fd = -1;
	qmp_read(&fixture->qmp);
	assert_int_equal(fixture->qmp.state, QMP_CLOSED);
	assert_false(fixture->qmp.guest_stopped);
	assert_string_equal(fixture->qmp.stop_cause, "host-signal");
	qmp_read(&fixture->qmp); /* once more does nothing */
}

static void test_hostile(void **state)
{
	static const struct {
		const char *text;
		enum qmp_state expected;
	} rows[] = {
		{ "\r\n\r\n", QMP_GREETING },
		{ "{}\n", QMP_GREETING },
		{ "[1]\n", QMP_CLOSED },
		{ "rubbish\n", QMP_CLOSED },
		{ ACCEPTED, QMP_GREETING }, /* an answer to nothing */
		{ GREETING "{\"error\": {}, \"id\": \"capabilities\"}\n", QMP_CLOSED },
		{ GREETING GREETING, QMP_NEGOTIATING },
		{ "{\"event\": \"SHUTDOWN\"}\n", QMP_GREETING },
		{ "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": 1, \"reason\": 7}}\n",
		  QMP_GREETING },
		{ "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": "
		  "\"a reason far longer than any that QEMU knows of\"}}\n",
		  QMP_GREETING },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (i > 0)
			setup(state);
		struct fixture *fixture = *state;
		say(fixture, rows[i].text);
		assert_int_equal(fixture->qmp.state, rows[i].expected);
		assert_false(fixture->qmp.guest_stopped);
		if (i + 1 < sizeof(rows) / sizeof(rows[0]))
			teardown(state);
	}
}

static void test_endless_line(void **state)
{
	struct fixture *fixture = *state;
	char piece[4096];

	memset(piece, 'x', sizeof(piece) - 1);
	piece[sizeof(piece) - 1] = 0;
	for (size_t sent = 0; sent <= QMP_BUFFER_SIZE; sent += sizeof(piece) - 1) {
		if (fixture->qmp.state == QMP_CLOSED)
			break;
		say(fixture, piece);
	}
	assert_int_equal(fixture->qmp.state, QMP_CLOSED);
}

static char answers[256];

static void note_answer(struct qmp *qmp, const char *id, const json_t *result, const char *error)
{
	size_t used = strlen(answers);

	(void)qmp;
	snprintf(answers + used, sizeof(answers) - used, "%s:%s;", id,
		 result ? json_string_value(json_object_get(result, "service")) : error);
}

static void test_commands(void **state)
{
	struct fixture *fixture = *state;
	json_t *arguments = json_pack("{s:s}", "a\"", "b\n");

	answers[0] = 0;
	assert_int_equal(qmp_execute(&fixture->qmp, "x", "query-vnc", NULL), -ENOTCONN);
	say(fixture, GREETING);
	(void)heard(fixture);
	say(fixture, ACCEPTED);
	assert_int_equal(qmp_execute(&fixture->qmp, "x", "query-vnc", NULL), 0);
	assert_string_equal(heard(fixture), "{\"execute\":\"query-vnc\",\"id\":\"x\"}\n");
	assert_int_equal(qmp_execute(&fixture->qmp, "y", "c", arguments), 0);
	assert_string_equal(heard(fixture), "{\"execute\":\"c\",\"id\":\"y\",\"arguments\":"
					    "{\"a\\\"\":\"b\\n\"}}\n");
	json_decref(arguments);
	say(fixture,
	    "{\"return\": {\"service\": \"5900\"}, \"id\": \"x\"}\r\n"); /* nobody listens */
	fixture->qmp.answered = note_answer;
	say(fixture,
	    "{\"return\": {\"service\": \"5901\"}, \"id\": \"x\"}\r\n"
	    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": \"y\"}\r\n"
	    "{\"error\": {}, \"id\": \"z\"}\r\n{\"return\": {}}\r\n{\"return\": {}, \"id\": 7}\r\n");
	assert_string_equal(answers, "x:5901;y:no;z:;");
	assert_int_equal(fixture->qmp.state, QMP_READY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_handshake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ready_is_never_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_with_a_last_event, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
