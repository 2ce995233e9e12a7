#include "vm/agent_exec.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "vm/agent_client.h"

/* How long others may have the agent: dozens of commands at once, each for a tenth of a second at a time
 * (so long does qemu-ga sleep after a client has gone). */
#define TURN_NS (120 * NS_PER_S)
/* How long the agent may be away: a guest that is busy, or just booting. */
#define ANSWER_NS (10 * NS_PER_S)
/* A question and its answer. The longest are 22 MB (input) and 45 MB (both outputs), which take a
 * minute where the CPU is emulated. */
#define ASK_NS (300 * NS_PER_S)

#define START_ANSWER_MOST  ((size_t)64 * 1024)
#define STATUS_ANSWER_MOST ((size_t)64 << 20)

/* The agent tells of no end by itself: it is asked. */
#define FIRST_PAUSE_NS	 (10 * NS_PER_MS)
#define LONGEST_PAUSE_NS (200 * NS_PER_MS)
/* While another has the agent: it looks for its turn more often than that (agent_turn.c). The more there
 * are, the longer. */
#define FIRST_YIELD_NS	 (50 * NS_PER_MS)
#define LONGEST_YIELD_NS (2 * NS_PER_S)

static uint64_t deadline_after(uint64_t ns)
{
	return clock_now(&clock_boottime) + ns;
}

static void pause_for(uint64_t ns)
{
	struct timespec left = { .tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static json_t *arguments_list(const char *const *words)
{
	json_t *list = json_array();

	for (size_t i = 1; words[i]; i++) {
		if (json_array_append_new(list, json_string(words[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* NULL when there is no memory. */
static json_t *start_arguments(const struct agent_exec *exec)
{
	json_t *arguments = json_pack("{ss so sb}", "path", exec->words[0], "arg",
				      arguments_list(exec->words), "capture-output", 1);

	if (!arguments || !exec->input)
		return arguments;
	autofree char *text = malloc(base64_text_size(exec->input_size) + 1);
	if (text)
		base64_encode(exec->input, exec->input_size, text);
	if (!text || json_object_set_new(arguments, "input-data", json_string(text)) < 0) {
		json_decref(arguments);
		return NULL;
	}
	return arguments;
}

static int start(struct agent_client *client, const struct agent_exec *exec, int64_t *ret_pid,
		 struct error *err)
{
	json_t *arguments = start_arguments(exec);
	json_t *value = NULL;

	if (!arguments) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	int r = agent_client_ask(client, "guest-exec", arguments, START_ANSWER_MOST,
				 deadline_after(ASK_NS), &value, err);
	json_decref(arguments);
	if (r == 0 && !agent_answer_pid(value, ret_pid)) {
		error_set(err, "the agent answers guest-exec with what is no process");
		r = -EPROTO;
	}
	json_decref(value);
	return r;
}

static int ask_status(struct agent_client *client, int64_t pid,
		      struct agent_exec_status *ret_status, struct error *err)
{
	json_t *arguments = json_pack("{sI}", "pid", (json_int_t)pid);
	json_t *value = NULL;

	if (!arguments) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	int r = agent_client_ask(client, "guest-exec-status", arguments, STATUS_ANSWER_MOST,
				 deadline_after(ASK_NS), &value, err);
	json_decref(arguments);
	if (r == 0 && !agent_answer_status(value, ret_status)) {
		error_set(err, "the agent answers guest-exec-status with what is no status");
		r = -EPROTO;
	}
	json_decref(value);
	return r;
}

static int open_client(int directory_fd, struct agent_client *client, struct error *err)
{
	return agent_client_open(directory_fd, deadline_after(TURN_NS), ANSWER_NS, client, err);
}

/*
 * Lets those go first who wait for the agent. *yield_ns is how long, and becomes as long as it then took
 * to have it again: asking takes half of its time at most. The client is closed on failure.
 */
static int yield_turn(int directory_fd, struct agent_client *client, uint64_t *yield_ns,
		      struct error *err)
{
	agent_client_close(client);
	pause_for(*yield_ns);
	uint64_t start_ns = clock_now(&clock_boottime);
	int r = open_client(directory_fd, client, err);
	uint64_t took_ns = clock_now(&clock_boottime) - start_ns;
	if (took_ns > *yield_ns)
		*yield_ns = took_ns < LONGEST_YIELD_NS ? took_ns : LONGEST_YIELD_NS;
	return r;
}

static int await_end(int directory_fd, struct agent_client *client, int64_t pid,
		     struct agent_exec_status *ret_status, struct error *err)
{
	uint64_t pause_ns = FIRST_PAUSE_NS;
	uint64_t yield_ns = FIRST_YIELD_NS;

	for (;;) {
		int r = ask_status(client, pid, ret_status, err);
		if (r < 0 || ret_status->exited)
			return r;
		if (agent_client_is_wanted(client)) {
			r = yield_turn(directory_fd, client, &yield_ns, err);
			if (r < 0)
				return r;
			continue;
		}
		pause_for(pause_ns);
		pause_ns += pause_ns / 2;
		if (pause_ns > LONGEST_PAUSE_NS)
			pause_ns = LONGEST_PAUSE_NS;
	}
}

int agent_exec_run(int directory_fd, const struct agent_exec *exec,
		   struct agent_exec_status *ret_status, struct error *err)
{
	struct agent_client client = { .fd = -1, .turn_fd = -1 };
	struct agent_exec_status status = { 0 };
	int64_t pid;

	int r = open_client(directory_fd, &client, err);
	if (r < 0)
		return r;
	r = start(&client, exec, &pid, err);
	if (r == 0) {
		if (exec->started)
			exec->started(pid);
		r = await_end(directory_fd, &client, pid, &status, err);
	}
	agent_client_close(&client);
	if (r == 0)
		*ret_status = status;
	return r;
}
