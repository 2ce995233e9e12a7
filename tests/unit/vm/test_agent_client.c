/* Against agents that answer rubbish, slowly, in halves, endlessly, and to somebody else. */
#include "vm/agent_client.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/random.h"
#include "fake_agent.h"
#include "vm/agent_turn.h"

#define LONG_MS	 60000
#define SHORT_MS 150
#define MOST	 ((size_t)4096)

static uint64_t in_ms(uint64_t ms)
{
	return clock_now(&clock_boottime) + ms * NS_PER_MS;
}

/* --- the far end of a socket pair, in a thread ---------------------------------------------------- */

typedef void play_fn(FILE *stream, int fd, long long id);

struct far_end {
	int fd;
	play_fn *play;
	pthread_t thread;
};

static void *far_end_run(void *context)
{
	struct far_end *end = context;
	FILE *stream = fdopen(end->fd, "r");
	long long id = -1;

	if (fake_agent_read_sync(stream, &id))
		end->play(stream, end->fd, id);
	fclose(stream);
	return NULL;
}

static int far_end_start(struct far_end *end, play_fn *play)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*end = (struct far_end){ .fd = fds[1], .play = play };
	assert_int_equal(pthread_create(&end->thread, NULL, far_end_run, end), 0);
	return fds[0];
}

static void far_end_join(struct far_end *end)
{
	assert_int_equal(pthread_join(end->thread, NULL), 0);
}

static void say(int fd, const char *text)
{
	fake_agent_say(fd, text, strlen(text));
}

static void say_sync(int fd, const char *before, long long id)
{
	char text[256];

	snprintf(text, sizeof(text), "%s{\"return\": %lld}\n", before, id);
	say(fd, text);
}

static void await_close(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

/* --- synchronising -------------------------------------------------------------------------------- */

static void sync_plain(FILE *stream, int fd, long long id)
{
	(void)stream;
	say_sync(fd, "\xff", id);
}

static void sync_stale_answers(FILE *stream, int fd, long long id)
{
	(void)stream;
	say(fd, "half an answer\"}}\n{\"return\": {}}\n");
	say(fd, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}\n");
	say_sync(fd, "\xff", id);
}

static void sync_stale_sync(FILE *stream, int fd, long long id)
{
	(void)stream;
	say_sync(fd, "\xff", id + 1);
	say_sync(fd, "\xff{\"return\": 5}\n\xff", id);
}

static void sync_stale_sync_in_two_pieces(FILE *stream, int fd, long long id)
{
	struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	(void)stream;
	say(fd, "rubbish\xff{\"ret");
	nanosleep(&pause, NULL);
	say_sync(fd, "\xff", id);
}

static void sync_stale_long(FILE *stream, int fd, long long id)
{
	char piece[4096];

	(void)stream;
	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i < 1000; i++)
		fake_agent_say(fd, piece, sizeof(piece));
	say_sync(fd, "\xff", id);
}

static void sync_stale_long_behind_delimiter(FILE *stream, int fd, long long id)
{
	say(fd, "\xff");
	sync_stale_long(stream, fd, id);
}

static void sync_byte_by_byte(FILE *stream, int fd, long long id)
{
	char text[128];
	struct timespec pause = { .tv_nsec = 1000 * 1000 };

	(void)stream;
	snprintf(text, sizeof(text), "old\n\xff{\"return\": %lld}\r\n", id);
	for (const char *c = text; *c; c++) {
		fake_agent_say(fd, c, 1);
		nanosleep(&pause, NULL);
	}
}

static void sync_undelimited(FILE *stream, int fd, long long id)
{
	(void)stream;
	say_sync(fd, "", id);
	await_close(fd);
}

static void sync_wrong_number(FILE *stream, int fd, long long id)
{
	(void)stream;
	say_sync(fd, "\xff", id + 1);
	say(fd, "\xff{\"return\": \"1\"}\n\xff{}\n\xff\n");
	await_close(fd);
}

static void sync_silent(FILE *stream, int fd, long long id)
{
	(void)stream;
	(void)id;
	await_close(fd);
}

static void sync_drips(FILE *stream, int fd, long long id)
{
	struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };

	(void)stream;
	(void)id;
	while (send(fd, "\xff", 1, MSG_NOSIGNAL) == 1)
		nanosleep(&pause, NULL);
}

static void sync_closes(FILE *stream, int fd, long long id)
{
	(void)stream;
	(void)id;
	say(fd, "\xff{\"return\":");
}

static void sync_endless(FILE *stream, int fd, long long id)
{
	static char piece[65536];

	(void)stream;
	(void)id;
	memset(piece, '\xff', sizeof(piece));
	while (send(fd, piece, sizeof(piece), MSG_NOSIGNAL) > 0)
		;
}

static void test_synchronising(void **state)
{
	static const struct {
		play_fn *play;
		uint64_t limit_ms;
		int expected;
		const char *sentence;
	} rows[] = {
		{ sync_plain, LONG_MS, 0, "" },
		{ sync_stale_answers, LONG_MS, 0, "" },
		{ sync_stale_sync, LONG_MS, 0, "" },
		{ sync_stale_sync_in_two_pieces, LONG_MS, 0, "" },
		{ sync_stale_long, LONG_MS, 0, "" },
		{ sync_stale_long_behind_delimiter, LONG_MS, 0, "" },
		{ sync_byte_by_byte, LONG_MS, 0, "" },
		{ sync_undelimited, SHORT_MS, -ETIMEDOUT, "the agent does not answer" },
		{ sync_wrong_number, SHORT_MS, -ETIMEDOUT, "the agent does not answer" },
		{ sync_silent, SHORT_MS, -ETIMEDOUT, "the agent does not answer" },
		{ sync_drips, SHORT_MS, -ETIMEDOUT, "the agent does not answer" },
		{ sync_closes, LONG_MS, -ECONNRESET, "the connection was closed" },
		{ sync_endless, LONG_MS, -EPROTO,
		  "the agent answers what is not the guest agent protocol" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		struct agent_client client;
		struct far_end end;
		int fd = far_end_start(&end, rows[i].play);

		assert_int_equal(agent_client_start(fd, &random_system, in_ms(rows[i].limit_ms),
						    &client, &err),
				 rows[i].expected);
		assert_string_equal(err.text, rows[i].sentence);
		if (rows[i].expected == 0)
			agent_client_close(&client);
		far_end_join(&end);
	}
}

/* --- asking --------------------------------------------------------------------------------------- */

static char *heard; /* the question, as the far end read it */

static void hear(FILE *stream)
{
	size_t size = 0;

	free(heard);
	heard = NULL;
	if (getline(&heard, &size, stream) < 0) {
		free(heard);
		heard = NULL;
	}
}

static void answer_plain(FILE *stream, int fd, long long id)
{
	say_sync(fd, "\xff", id);
	hear(stream);
	say(fd, "{\"return\": {\"value\": 7}}\n");
}

static void answer_in_halves(FILE *stream, int fd, long long id)
{
	struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	say_sync(fd, "\xff", id);
	hear(stream);
	say(fd, "{\"return\": {\"");
	nanosleep(&pause, NULL);
	say(fd, "value\": 7}}\n");
}

static void answer_refusal(FILE *stream, int fd, long long id)
{
	say_sync(fd, "\xff", id);
	hear(stream);
	say(fd, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"not here\"}}\n");
}

static void answer_rubbish(FILE *stream, int fd, long long id)
{
	say_sync(fd, "\xff", id);
	hear(stream);
	say(fd, "rubbish\n");
}

static void answer_half(FILE *stream, int fd, long long id)
{
	say_sync(fd, "\xff", id);
	hear(stream);
	say(fd, "{\"return\": {\"value\": 7}}");
}

static void answer_nothing(FILE *stream, int fd, long long id)
{
	say_sync(fd, "\xff", id);
	hear(stream);
	await_close(fd);
}

static void answer_endless_line(FILE *stream, int fd, long long id)
{
	say_sync(fd, "\xff", id);
	hear(stream);
	while (send(fd, "[[[[[[[[", 8, MSG_NOSIGNAL) > 0)
		;
}

static void test_asking(void **state)
{
	static const struct {
		play_fn *play;
		uint64_t limit_ms;
		int expected;
		const char *sentence;
	} rows[] = {
		{ answer_plain, LONG_MS, 0, "" },
		{ answer_in_halves, LONG_MS, 0, "" },
		{ answer_refusal, LONG_MS, -EREMOTEIO, "not here" },
		{ answer_rubbish, LONG_MS, -EPROTO,
		  "the agent answers what is not the guest agent protocol" },
		{ answer_half, LONG_MS, -ECONNRESET, "the connection was closed" },
		{ answer_nothing, SHORT_MS, -ETIMEDOUT, "the agent does not answer" },
		{ answer_endless_line, LONG_MS, -ENOBUFS, "the agent's answer is too long" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		struct agent_client client;
		struct far_end end;
		json_t *value = NULL;
		json_t *arguments = json_pack("{ss}", "path", "a \"b\"\n");
		int fd = far_end_start(&end, rows[i].play);

		assert_int_equal(
			agent_client_start(fd, &random_system, in_ms(LONG_MS), &client, &err), 0);
		assert_int_equal(agent_client_ask(&client, "guest-exec", arguments, MOST,
						  in_ms(rows[i].limit_ms), &value, &err),
				 rows[i].expected);
		agent_client_close(&client);
		far_end_join(&end);
		assert_string_equal(err.text, rows[i].sentence);
		assert_string_equal(heard,
				    "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"a "
				    "\\\"b\\\"\\n\"}}\n");
		assert_int_equal(json_integer_value(json_object_get(value, "value")),
				 rows[i].expected == 0 ? 7 : 0);
		json_decref(value);
		json_decref(arguments);
	}
	free(heard);
	heard = NULL;
}

/* More than the socket takes at once, and a far end that reads none of it. */
static void test_long_question(void **state)
{
	static play_fn *const plays[] = { answer_plain, sync_plain };
	size_t size = (size_t)8 << 20;
	char *text = malloc(size + 1);
	struct agent_client client;
	struct far_end end;
	json_t *value = NULL;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	text[size] = 0;
	json_t *arguments = json_pack("{ss}", "input-data", text);
	for (size_t i = 0; i < ARRAY_COUNT(plays); i++) {
		int fd = far_end_start(&end, plays[i]);

		assert_int_equal(
			agent_client_start(fd, &random_system, in_ms(LONG_MS), &client, NULL), 0);
		assert_int_equal(agent_client_ask(&client, "guest-exec", arguments, MOST,
						  in_ms(LONG_MS), &value, NULL),
				 i == 0 ? 0 : -ECONNRESET);
		agent_client_close(&client);
		far_end_join(&end);
		if (i == 0)
			assert_true(heard && strlen(heard) > size);
	}
	json_decref(value);
	json_decref(arguments);
	free(text);
	free(heard);
	heard = NULL;
}

/* --- by the socket in the VM's directory ---------------------------------------------------------- */

static const char *answer_seven(unsigned number, const char *question)
{
	(void)number;
	return strcmp(question, "{\"execute\":\"guest-info\"}\n") == 0 ? "{\"return\": 7}\n" : NULL;
}

static void test_by_the_directory(void **state)
{
	struct fake_agent agent = { .answer = answer_seven };
	struct agent_client client;
	json_t *value = NULL;

	fake_agent_start(&agent, *state);
	for (int i = 0; i < 3; i++) {
		const struct scratch *scratch = *state;
		assert_int_equal(agent_client_open(scratch->fd, in_ms(LONG_MS), LONG_MS * NS_PER_MS,
						   &client, NULL),
				 0);
		assert_int_equal(agent_client_ask(&client, "guest-info", NULL, MOST, in_ms(LONG_MS),
						  &value, NULL),
				 0);
		assert_int_equal(json_integer_value(value), 7);
		json_decref(value);
		assert_false(agent_client_is_wanted(&client));
		agent_client_close(&client);
	}
	fake_agent_end(&agent);
	assert_int_equal(agent.connections, 3);
	assert_int_equal(agent.questions, 3);
}

static void test_no_turn(void **state)
{
	const struct scratch *scratch = *state;
	struct agent_client client;
	struct error err;
	int turn_fd = agent_turn_take(scratch->fd, 0);

	assert_true(turn_fd >= 0);
	assert_int_equal(
		agent_client_open(scratch->fd, in_ms(20), LONG_MS * NS_PER_MS, &client, &err),
		-EBUSY);
	assert_string_equal(err.text, "others use the guest agent of the VM and do not end");
	fd_close(turn_fd);
}

static void test_nobody_there(void **state)
{
	const struct scratch *scratch = *state;
	struct agent_client client;
	struct error err;

	assert_int_equal(
		agent_client_open(scratch->fd, in_ms(LONG_MS), LONG_MS * NS_PER_MS, &client, &err),
		-ENOENT);
	assert_string_equal(err.text, "No such file or directory");
	scratch_write(scratch->fd, "agent.sock", "");
	assert_int_equal(
		agent_client_open(scratch->fd, in_ms(LONG_MS), LONG_MS * NS_PER_MS, &client, &err),
		-ECONNREFUSED);
	assert_string_equal(err.text, "Connection refused");
	/* Neither kept the turn. */
	int turn_fd = agent_turn_take(scratch->fd, 0);
	assert_true(turn_fd >= 0);
	fd_close(turn_fd);
}

/* A server that has stopped accepting: the kernel lets us wait, but not for ever. */
static void test_full_backlog(void **state)
{
	const struct scratch *scratch = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct agent_client client;
	struct error err;
	int fds[4];
	int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/agent.sock", scratch->path);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listen_fd, 1), 0);
	for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&address, sizeof(address));
	}
	assert_int_equal(
		agent_client_open(scratch->fd, in_ms(LONG_MS), SHORT_MS * NS_PER_MS, &client, &err),
		-ETIMEDOUT);
	for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
		fd_close(fds[i]);
	fd_close(listen_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_synchronising),
		cmocka_unit_test(test_asking),
		cmocka_unit_test(test_long_question),
		cmocka_unit_test_setup_teardown(test_by_the_directory, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_no_turn, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_nobody_there, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_full_backlog, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
