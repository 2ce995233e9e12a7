/* The asking end against an informant that this test plays: what it says stands in the socket before it is asked,
 * comes late, or is nonsense. */

#include "network/informant_client.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "network/informant_message.h"

#define NOW_NS (7 * NS_PER_S)

struct fixture {
	struct log log;
	struct informant_client *client;
	int fd; /* the informant's end */
	uint32_t sequence;
	unsigned warnings;
	unsigned lines;
	char last[512];
};

static void note_line(void *context, enum log_level level, const char *line)
{
	struct fixture *fixture = context;

	fixture->lines++;
	fixture->warnings += level == LOG_LEVEL_WARNING;
	(void)snprintf(fixture->last, sizeof(fixture->last), "%s", line);
}

static void say(const struct fixture *fixture, const void *bytes, size_t size)
{
	assert_int_equal(send(fixture->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT), size);
}

static void say_header(const struct fixture *fixture, uint32_t sequence, enum informant_kind kind,
		       int status, size_t size)
{
	const struct informant_header header = { sequence, kind, status, size };
	uint8_t bytes[INFORMANT_HEADER_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	informant_build_header(&writer, &header);
	say(fixture, bytes, sizeof(bytes));
}

static void say_text(struct fixture *fixture, const char *text)
{
	say_header(fixture, ++fixture->sequence, INFORMANT_READ, 0, strlen(text));
	say(fixture, text, strlen(text));
}

static void say_held(struct fixture *fixture, bool held, uint32_t first, uint32_t last,
		     uint64_t for_ns)
{
	const struct held_answer answer = { held, first, last, for_ns };
	uint8_t bytes[INFORMANT_HELD_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	say_header(fixture, ++fixture->sequence, INFORMANT_HELD, 0, sizeof(bytes));
	informant_build_held(&writer, &answer);
	say(fixture, bytes, sizeof(bytes));
}

static void say_identity(struct fixture *fixture, uint64_t inode)
{
	const struct file_identity identity = { .exists = true, .inode = inode };
	uint8_t bytes[INFORMANT_IDENTITY_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	say_header(fixture, ++fixture->sequence, INFORMANT_LOOK, 0, sizeof(bytes));
	informant_build_identity(&writer, &identity);
	say(fixture, bytes, sizeof(bytes));
}

/* How many questions have come since; the last one of them. */
static unsigned heard(const struct fixture *fixture, struct informant_question *ret_question)
{
	uint8_t bytes[INFORMANT_QUESTION_SIZE];
	unsigned count = 0;

	while (recv(fixture->fd, bytes, sizeof(bytes), MSG_DONTWAIT) == (ssize_t)sizeof(bytes)) {
		assert_true(informant_parse_question(bytes, ret_question));
		count++;
	}
	return count;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct informant_question question;
	struct error err = { "" };
	int fds[2];

	assert_non_null(fixture);
	fixture->log = (struct log){ note_line, fixture, LOG_LEVEL_DEBUG };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fixture->fd = fds[1];
	say_header(fixture, ++fixture->sequence, INFORMANT_HELLO, 0, 0);
	assert_int_equal(
		informant_client_new(fds[0], 11, 22, &fixture->log, &fixture->client, &err), 0);
	assert_int_equal(heard(fixture, &question), 1);
	assert_int_equal(question.kind, INFORMANT_HELLO);
	assert_int_equal(question.version, INFORMANT_VERSION);
	assert_int_equal(question.holding, 11);
	assert_int_equal(question.owner, 22);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	assert_null(informant_client_free(fixture->client));
	if (fixture->fd >= 0)
		(void)close(fixture->fd);
	free(fixture);
	return 0;
}

static int read_hosts(struct fixture *fixture, char *ret_text, size_t size)
{
	struct file_source *hosts = informant_client_files(fixture->client)->hosts;
	char *text = NULL;
	size_t length = 0;
	int status = hosts->read(hosts, 100000, &text, &length);

	if (status == 0) {
		assert_true(length < size);
		memcpy(ret_text, text, length);
		ret_text[length] = '\0';
		free(text);
	}
	return status;
}

static bool is_held(struct fixture *fixture, uint32_t addr, uint64_t now_ns)
{
	struct ip_addr asked = ip_addr_from_v4(addr);

	return informant_client_is_held(fixture->client, &asked, now_ns);
}

static void answers(void **state)
{
	struct fixture *fixture = *state;
	struct file_source *resolv_conf = informant_client_files(fixture->client)->resolv_conf;
	struct informant_question question;
	struct file_identity identity;
	char text[64] = "";

	say_text(fixture, "127.0.0.1 a\n");
	assert_int_equal(read_hosts(fixture, text, sizeof(text)), 0);
	assert_string_equal(text, "127.0.0.1 a\n");
	assert_int_equal(heard(fixture, &question), 1);
	assert_int_equal(question.kind, INFORMANT_READ);
	assert_int_equal(question.file, INFORMANT_HOSTS);
	say_text(fixture, "");
	assert_int_equal(read_hosts(fixture, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	say_header(fixture, ++fixture->sequence, INFORMANT_READ, -ENOENT, 0);
	assert_int_equal(read_hosts(fixture, text, sizeof(text)), -ENOENT);
	(void)heard(fixture, &question);
	say_identity(fixture, 77);
	assert_int_equal(resolv_conf->look(resolv_conf, &identity), 0);
	assert_int_equal(identity.inode, 77);
	assert_int_equal(heard(fixture, &question), 1);
	assert_int_equal(question.kind, INFORMANT_LOOK);
	assert_int_equal(question.file, INFORMANT_RESOLV_CONF);
	assert_int_equal(fixture->lines, 0);
}

/* A range is believed as long as the informant says, and nobody else's. */
static void ranges(void **state)
{
	struct fixture *fixture = *state;
	struct informant_question question;

	say_held(fixture, false, 0x0a000000, 0x0a0000ff, 10 * NS_PER_MS);
	assert_false(is_held(fixture, 0x0a000007, NOW_NS));
	assert_false(is_held(fixture, 0x0a0000ff, NOW_NS + 10 * NS_PER_MS - 1));
	assert_int_equal(heard(fixture, &question), 1);
	assert_int_equal(ip_addr_to_v4(&question.addr), 0x0a000007);
	say_held(fixture, true, 0x0a000100, 0x0a0001ff, NS_PER_S);
	assert_true(is_held(fixture, 0x0a000100, NOW_NS));
	say_held(fixture, true, 0x0a000000, 0x0a0000ff, NS_PER_S);
	assert_true(is_held(fixture, 0x0a0000ff, NOW_NS + 10 * NS_PER_MS));
	assert_true(is_held(fixture, 0x0a000007, NOW_NS + NS_PER_S));
	assert_true(is_held(fixture, 0x0a0001ff, NOW_NS + NS_PER_S - 1));
	assert_int_equal(heard(fixture, &question), 2);
	/* more ranges than are remembered: the one that ends first gives way */
	for (uint32_t i = 0; i < INFORMANT_RANGES; i++) {
		say_held(fixture, false, 0x0b000000 + i, 0x0b000000 + i, NS_PER_S);
		assert_false(is_held(fixture, 0x0b000000 + i, NOW_NS + 2 * NS_PER_S + i));
	}
	assert_int_equal(heard(fixture, &question), INFORMANT_RANGES);
	say_held(fixture, false, 0x0c000000, 0x0c000000, NS_PER_S);
	assert_false(is_held(fixture, 0x0c000000, NOW_NS + 2 * NS_PER_S + INFORMANT_RANGES));
	say_held(fixture, true, 0x0b000000, 0x0b000000, NS_PER_S);
	assert_true(is_held(fixture, 0x0b000000, NOW_NS + 2 * NS_PER_S + 100 * NS_PER_MS));
	assert_int_equal(heard(fixture, &question), 2);
	assert_int_equal(fixture->lines, 0);
}

/* A guest that makes us ask without end: what the budget does not allow is closed, and not asked. */
static void budget(void **state)
{
	struct fixture *fixture = *state;
	struct informant_question question;
	unsigned open = 0;

	for (uint32_t i = 0; i < 65; i++) {
		say_held(fixture, false, i, i, 0);
		open += !is_held(fixture, i, NOW_NS);
	}
	assert_int_equal(open, 65);
	assert_true(is_held(fixture, 1000, NOW_NS));
	assert_int_equal(heard(fixture, &question), 65);
	say_held(fixture, false, 1000, 1000, 0);
	assert_false(is_held(fixture, 1000, NOW_NS + NS_PER_MS));
	assert_int_equal(fixture->lines, 0);
}

/* One wait and one line; then nothing until what is owed has come, which is nobody else's answer. */
static void late(void **state)
{
	struct fixture *fixture = *state;
	struct informant_question question;
	char text[64] = "";
	uint64_t start_ns = clock_now(&clock_boottime);

	assert_int_equal(read_hosts(fixture, text, sizeof(text)), -EAGAIN);
	uint64_t waited_ns = clock_now(&clock_boottime) - start_ns;
	assert_true(waited_ns >= INFORMANT_PATIENCE_NS && waited_ns < 100 * INFORMANT_PATIENCE_NS);
	assert_int_equal(fixture->warnings, 1);
	assert_non_null(strstr(fixture->last, "informant: it does not answer in time"));
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(read_hosts(fixture, text, sizeof(text)), -EAGAIN);
		assert_true(is_held(fixture, 0x0a000001, NOW_NS + (uint64_t)i * NS_PER_MS));
	}
	/* 2000 waits would be 200 s */
	assert_true(clock_now(&clock_boottime) - start_ns < 100 * INFORMANT_PATIENCE_NS);
	assert_int_equal(heard(fixture, &question), 1);
	assert_int_equal(fixture->lines, 1);

	/* it comes by halves */
	say_header(fixture, ++fixture->sequence, INFORMANT_READ, 0, 4);
	assert_int_equal(read_hosts(fixture, text, sizeof(text)), -EAGAIN);
	say(fixture, "ol", 2);
	assert_int_equal(read_hosts(fixture, text, sizeof(text)), -EAGAIN);
	assert_int_equal(heard(fixture, &question), 0);
	say(fixture, "d\n", 2);
	say_text(fixture, "new\n");
	assert_int_equal(read_hosts(fixture, text, sizeof(text)), 0);
	assert_string_equal(text, "new\n");
	assert_int_equal(heard(fixture, &question), 1);
	assert_int_equal(fixture->lines, 2);
	assert_int_equal(fixture->warnings, 1);
	assert_string_equal(fixture->last, "informant: it answers again");

	/* a body that stops half-way is owed as well */
	say_header(fixture, ++fixture->sequence, INFORMANT_READ, 0, 6);
	say(fixture, "par", 3);
	assert_int_equal(read_hosts(fixture, text, sizeof(text)), -EAGAIN);
	assert_int_equal(fixture->warnings, 2);
	say(fixture, "tly", 3);
	say_text(fixture, "whole\n");
	assert_int_equal(read_hosts(fixture, text, sizeof(text)), 0);
	assert_string_equal(text, "whole\n");
}

static void gone(void **state)
{
	struct fixture *fixture = *state;
	char text[64];

	(void)close(fixture->fd);
	fixture->fd = -1;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(read_hosts(fixture, text, sizeof(text)), -EAGAIN);
		assert_true(is_held(fixture, 0x0a000001, NOW_NS));
	}
	assert_int_equal(fixture->lines, 1);
	assert_non_null(strstr(fixture->last, "informant: it has ended; resolvers and hosts stay"));
}

/* Whoever says what is no answer is not listened to any more. */
static void nonsense(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t garbage[64] = { 0xff, 0xff, 0xff };
	unsigned which;
	char text[64];

	for (which = 0; which < 6; which++) {
		uint32_t next = fixture->sequence + 1;

		switch (which) {
		case 0:
			say(fixture, garbage, sizeof(garbage));
			break;
		case 1: /* an answer to another question */
			say_header(fixture, next + 1, INFORMANT_READ, 0, 0);
			break;
		case 2:
			say_header(fixture, next - 1, INFORMANT_READ, 0, 0);
			break;
		case 3: /* of another kind */
			say_held(fixture, false, 0, UINT32_MAX, 0);
			break;
		case 4: /* more than was asked for */
			say_header(fixture, next, INFORMANT_READ, 0, 100001);
			break;
		default:
			say_header(fixture, next, INFORMANT_READ, 0, 4000);
			(void)shutdown(fixture->fd, SHUT_WR);
			break;
		}
		assert_int_equal(read_hosts(fixture, text, sizeof(text)), -EAGAIN);
		assert_int_equal(fixture->warnings, 1);
		if (which < 5)
			assert_non_null(strstr(fixture->last, "it says what is no answer"));
		/* nothing helps any more */
		assert_true(is_held(fixture, 0x0a000001, NOW_NS));
		assert_int_equal(fixture->lines, 1);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
		fixture = *state;
	}
	/* a range that is not about the question */
	say_held(fixture, false, 0x0a000000, 0x0a0000ff, 0);
	assert_true(is_held(fixture, 0x0a000100, NOW_NS));
	assert_non_null(strstr(fixture->last, "it says what is no answer"));
}

static void refuse(uint32_t sequence, int status, const char *sentence, int expected)
{
	struct fixture fixture = { .fd = -1 };
	struct error err = { "" };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fixture.fd = fds[1];
	if (sequence > 0)
		say_header(&fixture, sequence, INFORMANT_HELLO, status, 0);
	(void)shutdown(fds[1], SHUT_WR);
	assert_int_equal(informant_client_new(fds[0], 1, 2, NULL, &fixture.client, &err), expected);
	assert_string_equal(err.text, sentence);
	assert_true(fcntl(fds[0], F_GETFD) >= 0); /* it is still ours */
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void refused(void **state)
{
	(void)state;
	refuse(1, -EPROTONOSUPPORT,
	       "the informant does not answer as it should: Protocol not supported",
	       -EPROTONOSUPPORT);
	refuse(2, 0, "the informant does not answer as it should: Protocol error", -EPROTO);
	refuse(0, 0, "the informant does not answer as it should: Broken pipe", -EPIPE);
	assert_null(informant_client_free(NULL));
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(answers),	   FIXTURE_TEST(ranges), FIXTURE_TEST(budget),
		FIXTURE_TEST(late),	   FIXTURE_TEST(gone),	 FIXTURE_TEST(nonsense),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
