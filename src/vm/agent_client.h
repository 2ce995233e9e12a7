#pragma once
/*
 * Talks to QEMU's guest agent in a running VM: one question, one answer. Nothing is taken for an
 * answer before the agent has said a number that we chose (guest-sync-delimited): what it still had
 * to say to an earlier client is thrown away.
 *
 * Every wait ends in a time of the caller's, whatever the guest does. Deadlines are of clock_boottime.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vm/agent_lines.h"

struct error;
struct random;

struct agent_client {
	int fd;
	int turn_fd; /* agent_turn.h; -1 = nobody else can have the other end */
	struct agent_lines lines;
};

/* Waits for its turn until the deadline, connects, and waits `answer_ns` for the agent. 0, or negative
 * errno with a sentence: -EBUSY when other clients did not end in time, -ETIMEDOUT when the agent was
 * not ready. */
int agent_client_open(int directory_fd, uint64_t turn_deadline_ns, uint64_t answer_ns,
		      struct agent_client *ret_client, struct error *err) MUST_USE;
/* The same on a connection, which becomes the client's, also on failure. */
int agent_client_start(int fd, struct random *random, uint64_t deadline_ns,
		       struct agent_client *ret_client, struct error *err) MUST_USE;
void agent_client_close(struct agent_client *client);

/*
 * Asks; `arguments` may be NULL, and is the caller's. An answer is at most `most` bytes long. 0 with what
 * the agent returns, a reference of the caller's; -EREMOTEIO with the agent's own sentence, as the guest
 * wrote it; or other negative errno with a sentence: then the client is good for nothing but closing.
 */
int agent_client_ask(struct agent_client *client, const char *command, json_t *arguments,
		     size_t most, uint64_t deadline_ns, json_t **ret_value,
		     struct error *err) MUST_USE;

/* Does another wait for the agent? */
bool agent_client_is_wanted(const struct agent_client *client);
