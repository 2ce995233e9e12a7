#include "vm/migration.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "scratch.h"

/* The monitor's other end is played by the test. */
struct fixture {
	struct qmp qmp;
	struct migration migration;
	int qemu_fd;
	int state_fd;
};

static void say(struct fixture *fixture, const char *text)
{
	assert_int_equal(send(fixture->qemu_fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	qmp_read(&fixture->qmp);
	migration_advance(&fixture->migration);
}

static void take_answer(struct qmp *qmp, const char *id, const json_t *result, const char *error)
{
	struct fixture *fixture = container_of(qmp, struct fixture, qmp);

	(void)migration_answered(&fixture->migration, id, result, error);
}

static int setup(void **state)
{
	static struct fixture fixture;
	char text[256];
	int fds[2];

	fixture = (struct fixture){ .state_fd = open("/dev/null", O_RDWR | O_CLOEXEC) };
	assert_true(fixture.state_fd >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fixture.qemu_fd = fds[1];
	assert_int_equal(qmp_init(&fixture.qmp, fds[0]), 0);
	fixture.qmp.answered = take_answer;
	say(&fixture, "{\"QMP\": {}}\n{\"return\": {}, \"id\": \"capabilities\"}\n");
	assert_int_equal(fixture.qmp.state, QMP_READY);
	assert_true(recv(fixture.qemu_fd, text, sizeof(text), MSG_DONTWAIT) > 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fd_close(fixture->qmp.fd);
	fd_close(fixture->qemu_fd);
	fd_close(fixture->state_fd);
	qmp_done(&fixture->qmp);
	return 0;
}

/* What was asked: one command, with a descriptor or without. Returns its id. */
static const char *expect(struct fixture *fixture, const char *command, const char *arguments,
			  bool with_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char text[512];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	/* The end of a line comes apart from it. */
	ssize_t n = recvmsg(fixture->qemu_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	assert_true(n > 0);
	json_t *root = json_loadb(text, (size_t)n, 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "execute")), command);
	json_t *given = json_object_get(root, "arguments");
	json_t *wanted = arguments ? json_loads(arguments, 0, NULL) : NULL;
	assert_true(arguments ? json_equal(given, wanted) : !given);
	json_decref(wanted);
	static char id[64];
	snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(root, "id")));
	json_decref(root);
	assert_int_equal(message.msg_controllen > 0, with_fd);
	if (with_fd) {
		struct stat sent, passed;
		int fd;
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
		assert_int_equal(fstat(fd, &passed), 0);
		assert_int_equal(fstat(fixture->state_fd, &sent), 0);
		assert_int_equal(passed.st_rdev, sent.st_rdev);
		fd_close(fd);
	}
	return id;
}

static void answer(struct fixture *fixture, const char *id, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "{%s, \"id\": \"%s\"}\n", what, id);
	say(fixture, text);
}

#define GOOD	       "\"return\": {}"
#define STATUS(status) "{\"event\":\"MIGRATION\",\"data\":{\"status\":\"" status "\"}}\n"

/* Up to the answer to `migrate`. */
static void save(struct fixture *fixture)
{
	migration_save(&fixture->migration, &fixture->qmp, fixture->state_fd);
	answer(fixture, expect(fixture, "stop", NULL, false), GOOD);
	answer(fixture,
	       expect(fixture, "migrate-set-capabilities",
		      "{\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}", false),
	       GOOD);
	answer(fixture,
	       expect(fixture, "migrate-set-parameters", "{\"max-bandwidth\":1099511627776}",
		      false),
	       GOOD);
	answer(fixture, expect(fixture, "getfd", "{\"fdname\":\"state\"}", true), GOOD);
}

static void test_save(void **state)
{
	struct fixture *fixture = *state;

	save(fixture);
	say(fixture, STATUS("setup"));
	answer(fixture, expect(fixture, "migrate", "{\"uri\":\"fd:state\"}", false), GOOD);
	say(fixture, STATUS("active"));
	assert_int_equal(fixture->migration.state, MIGRATION_UNDER_WAY);
	say(fixture, STATUS("completed"));
	assert_int_equal(fixture->migration.state, MIGRATION_DONE);
}

/* The end is told before it is said that it has begun. */
static void test_event_before_answer(void **state)
{
	struct fixture *fixture = *state;

	save(fixture);
	const char *id = expect(fixture, "migrate", "{\"uri\":\"fd:state\"}", false);
	say(fixture, STATUS("completed"));
	assert_int_equal(fixture->migration.state, MIGRATION_UNDER_WAY);
	answer(fixture, id, GOOD);
	assert_int_equal(fixture->migration.state, MIGRATION_DONE);
}

static void test_save_fails_on_the_way(void **state)
{
	struct fixture *fixture = *state;

	save(fixture);
	answer(fixture, expect(fixture, "migrate", "{\"uri\":\"fd:state\"}", false), GOOD);
	say(fixture, STATUS("failed"));
	assert_int_equal(fixture->migration.state, MIGRATION_UNDER_WAY);
	answer(fixture, expect(fixture, "query-migrate", NULL, false),
	       "\"return\": {\"status\": \"failed\", \"error-desc\": \"No space left\"}");
	assert_int_equal(fixture->migration.state, MIGRATION_FAILED);
	assert_string_equal(fixture->migration.reason, "No space left");
	migration_go_on(&fixture->migration, &fixture->qmp);
	answer(fixture, expect(fixture, "cont", NULL, false), GOOD);
	assert_int_equal(fixture->migration.state, MIGRATION_DONE);
	/* And once more: the failure of before is forgotten. */
	save(fixture);
	answer(fixture, expect(fixture, "migrate", "{\"uri\":\"fd:state\"}", false), GOOD);
	assert_int_equal(fixture->migration.state, MIGRATION_UNDER_WAY);
}

static void test_refused(void **state)
{
	struct fixture *fixture = *state;

	save(fixture);
	answer(fixture, expect(fixture, "migrate", "{\"uri\":\"fd:state\"}", false),
	       "\"error\": {\"class\": \"GenericError\", \"desc\": \"a device says no\"}");
	assert_int_equal(fixture->migration.state, MIGRATION_FAILED);
	assert_string_equal(fixture->migration.reason, "a device says no");
	migration_go_on(&fixture->migration, &fixture->qmp);
	answer(fixture, expect(fixture, "cont", NULL, false), "\"error\": {}");
	assert_int_equal(fixture->migration.state, MIGRATION_FAILED);
	assert_string_equal(fixture->migration.reason, "QEMU gives no reason");
}

static void test_load(void **state)
{
	struct fixture *fixture = *state;

	migration_load(&fixture->migration, &fixture->qmp, fixture->state_fd);
	answer(fixture,
	       expect(fixture, "migrate-set-capabilities",
		      "{\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}", false),
	       GOOD);
	answer(fixture, expect(fixture, "getfd", "{\"fdname\":\"state\"}", true), GOOD);
	answer(fixture, expect(fixture, "migrate-incoming", "{\"uri\":\"fd:state\"}", false), GOOD);
	say(fixture, STATUS("active") STATUS("completed"));
	assert_int_equal(fixture->migration.state, MIGRATION_DONE);
}

static void test_not_an_answer(void **state)
{
	static const char *const texts[] = {
		"{\"return\": {}}\n",
		"{\"return\": {}, \"id\": 1}\n",
		"{\"return\": {}, \"id\": \"migration-2\"}\n",
		"{\"error\": {}, \"id\": \"vnc\"}\n",
		"{\"event\": \"MIGRATION\", \"data\": {\"status\": 7}}\n",
		"{\"event\": \"MIGRATION\"}\n",
	};
	struct fixture *fixture = *state;

	migration_go_on(&fixture->migration, &fixture->qmp);
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		say(fixture, texts[i]);
		assert_int_equal(fixture->migration.state, MIGRATION_UNDER_WAY);
	}
	say(fixture, "{\"return\": {}, \"id\": \"migration-1\"}\n");
	assert_int_equal(fixture->migration.state, MIGRATION_DONE);
	say(fixture, "{\"error\": {}, \"id\": \"migration-1\"}\n"); /* once more changes nothing */
	assert_int_equal(fixture->migration.state, MIGRATION_DONE);
	/* A late answer to what was forgotten is not one to what is asked now. */
	migration_go_on(&fixture->migration, &fixture->qmp);
	say(fixture, "{\"return\": {}, \"id\": \"migration-1\"}\n");
	assert_int_equal(fixture->migration.state, MIGRATION_UNDER_WAY);
}

static void test_qemu_ends(void **state)
{
	struct fixture *fixture = *state;

	migration_save(&fixture->migration, &fixture->qmp, fixture->state_fd);
	fixture->qemu_fd = fd_close(fixture->qemu_fd);
	qmp_read(&fixture->qmp);
	migration_advance(&fixture->migration);
	assert_int_equal(fixture->migration.state, MIGRATION_FAILED);
	assert_string_equal(fixture->migration.reason, "QEMU has ended");
	migration_go_on(&fixture->migration, &fixture->qmp);
	assert_int_equal(fixture->migration.state, MIGRATION_FAILED);
}

#define WITH_QEMU(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QEMU(test_save),
		WITH_QEMU(test_event_before_answer),
		WITH_QEMU(test_save_fails_on_the_way),
		WITH_QEMU(test_refused),
		WITH_QEMU(test_load),
		WITH_QEMU(test_not_an_answer),
		WITH_QEMU(test_qemu_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
