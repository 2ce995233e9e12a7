#include "vm/agent_exec.h"

#include <errno.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "fake_agent.h"
#include "vm/agent_turn.h"

static const char *const words[] = { "cat", "-n", "\xc3\xa4 b", NULL };

#define START                                                                                          \
	"{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"cat\",\"arg\":[\"-n\",\"\xc3\xa4 b\"]," \
	"\"capture-output\":true"
#define STATUS "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":42}}\n"

static int64_t told_pid;

static void take_pid(int64_t pid)
{
	told_pid = pid;
}

/* Each case has a fake agent and a directory of its own. */
static int run(struct fake_agent *agent, const struct agent_exec *exec,
	       struct agent_exec_status *status, struct error *err)
{
	void *state;

	assert_int_equal(scratch_setup(&state), 0);
	const struct scratch *scratch = state;
	fake_agent_start(agent, scratch);
	told_pid = -1;
	*err = (struct error){ .text = "" };
	int r = agent_exec_run(scratch->fd, exec, status, err);
	fake_agent_end(agent);
	assert_int_equal(scratch_teardown(&state), 0);
	return r;
}

static const char *answer_with_output(unsigned number, const char *question)
{
	if (number == 0)
		return strcmp(question, START ",\"input-data\":\"Zm9v\"}}\n") == 0
			       ? "{\"return\": {\"pid\": 42}}\n"
			       : NULL;
	if (strcmp(question, STATUS) != 0)
		return NULL;
	return number < 4
		       ? "{\"return\": {\"exited\": false}}\n"
		       : "{\"return\": {\"exited\": true, \"exitcode\": 3, \"out-data\": \"Zm9v\", "
			 "\"err-data\": \"YmFy\", \"err-truncated\": true}}\n";
}

static void test_output_and_input(void **state)
{
	struct fake_agent agent = { .answer = answer_with_output };
	const struct agent_exec exec = { words, (const uint8_t *)"foo", 3, take_pid };
	struct agent_exec_status status;
	struct error err;

	(void)state;
	assert_int_equal(run(&agent, &exec, &status, &err), 0);
	assert_int_equal(told_pid, 42);
	assert_int_equal(status.exit_code, 3);
	assert_int_equal(status.output.size, 3);
	assert_memory_equal(status.output.bytes, "foo", 3);
	assert_memory_equal(status.errors.bytes, "bar", 3);
	assert_false(status.output.truncated);
	assert_true(status.errors.truncated);
	agent_exec_status_done(&status);
	assert_int_equal(agent.connections, 1); /* nobody else wanted it */
	assert_int_equal(agent.questions, 5);
}

static const char *answer_at_once(unsigned number, const char *question)
{
	if (number == 0)
		return strcmp(question, START "}}\n") == 0 ? "{\"return\": {\"pid\": 42}}\n" : NULL;
	return "{\"return\": {\"exited\": true, \"exitcode\": 0}}\n";
}

static void test_without_input(void **state)
{
	struct fake_agent agent = { .answer = answer_at_once };
	const struct agent_exec exec = { .words = words };
	struct agent_exec_status status;
	struct error err;

	(void)state;
	assert_int_equal(run(&agent, &exec, &status, &err), 0);
	assert_int_equal(status.exit_code, 0);
	agent_exec_status_done(&status);
}

static const char *answer_empty_input(unsigned number, const char *question)
{
	if (number == 0)
		return strcmp(question, START ",\"input-data\":\"\"}}\n") == 0
			       ? "{\"return\": {\"pid\": 42}}\n"
			       : NULL;
	return "{\"return\": {\"exited\": true, \"signal\": 15}}\n";
}

static void test_empty_input(void **state)
{
	struct fake_agent agent = { .answer = answer_empty_input };
	const struct agent_exec exec = { .words = words, .input = (const uint8_t *)"" };
	struct agent_exec_status status;
	struct error err;

	(void)state;
	assert_int_equal(run(&agent, &exec, &status, &err), 0);
	assert_int_equal(status.exit_code, 143);
	agent_exec_status_done(&status);
}

static const char *refuse(unsigned number, const char *question)
{
	(void)number;
	(void)question;
	return "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such program\"}}\n";
}

static const char *answer_no_pid(unsigned number, const char *question)
{
	(void)number;
	(void)question;
	return "{\"return\": {\"pid\": \"42\"}}\n";
}

static const char *answer_no_status(unsigned number, const char *question)
{
	(void)question;
	return number == 0 ? "{\"return\": {\"pid\": 42}}\n" : "{\"return\": {\"exited\": true}}\n";
}

static const char *forget(unsigned number, const char *question)
{
	return number == 0 ? "{\"return\": {\"pid\": 42}}\n" : refuse(number, question);
}

static const char *go_away(unsigned number, const char *question)
{
	(void)question;
	return number == 0 ? "{\"return\": {\"pid\": 42}}\n" : NULL;
}

static void test_failures(void **state)
{
	static const struct {
		const char *(*answer)(unsigned number, const char *question);
		int expected;
		const char *sentence;
		int64_t pid;
	} rows[] = {
		{ refuse, -EREMOTEIO, "no such program", -1 },
		{ answer_no_pid, -EPROTO, "the agent answers guest-exec with what is no process",
		  -1 },
		{ answer_no_status, -EPROTO,
		  "the agent answers guest-exec-status with what is no status", 42 },
		{ forget, -EREMOTEIO, "no such program", 42 },
		{ go_away, -ECONNRESET, "the connection was closed", 42 },
	};
	const struct agent_exec exec = { .words = words, .started = take_pid };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct fake_agent agent = { .answer = rows[i].answer };
		struct agent_exec_status status;
		struct error err;

		assert_int_equal(run(&agent, &exec, &status, &err), rows[i].expected);
		assert_string_equal(err.text, rows[i].sentence);
		assert_int_equal(told_pid, rows[i].pid);
	}
}

/* --- another who wants the agent meanwhile -------------------------------------------------------- */

static int shared_directory_fd;
static int other_done[2]; /* a pipe */

static void *take_and_give(void *context)
{
	int turn_fd =
		agent_turn_take(shared_directory_fd, clock_now(&clock_boottime) + 60 * NS_PER_S);

	(void)context;
	if (turn_fd >= 0 && write(other_done[1], "y", 1) != 1)
		turn_fd = fd_close(turn_fd);
	fd_close(turn_fd);
	return NULL;
}

static const char *answer_until_other_is_done(unsigned number, const char *question)
{
	char byte;

	(void)question;
	if (number == 0)
		return "{\"return\": {\"pid\": 42}}\n";
	return read(other_done[0], &byte, 1) == 1
		       ? "{\"return\": {\"exited\": true, \"exitcode\": 0}}\n"
		       : "{\"return\": {\"exited\": false}}\n";
}

static void test_gives_way(void **state)
{
	const struct scratch *scratch = *state;
	struct fake_agent agent = { .answer = answer_until_other_is_done };
	const struct agent_exec exec = { .words = words };
	struct agent_exec_status status;
	pthread_t thread;

	assert_int_equal(pipe2(other_done, O_CLOEXEC | O_NONBLOCK), 0);
	shared_directory_fd = scratch->fd;
	fake_agent_start(&agent, scratch);
	assert_int_equal(pthread_create(&thread, NULL, take_and_give, NULL), 0);
	assert_int_equal(agent_exec_run(scratch->fd, &exec, &status, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	fake_agent_end(&agent);
	agent_exec_status_done(&status);
	fd_close(other_done[0]);
	fd_close(other_done[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output_and_input),
		cmocka_unit_test(test_without_input),
		cmocka_unit_test(test_empty_input),
		cmocka_unit_test(test_failures),
		cmocka_unit_test_setup_teardown(test_gives_way, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
