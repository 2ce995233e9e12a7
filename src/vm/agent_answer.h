#pragma once
/* What the agent in a guest answers (QEMU's guest agent protocol). The guest may say anything. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct error;

/*
 * A line. 0 with what the agent returns, a reference of the caller's; -EREMOTEIO with the agent's own
 * sentence, as the guest wrote it; without a sentence -EPROTO for what is no answer, -E2BIG for one of more values than
 * any question has: what is read takes no more than a few times the line's memory.
 */
int agent_answer_parse(const char *line, size_t size, json_t **ret_value,
		       struct error *err) MUST_USE;

/* What a command wrote. */
struct agent_output {
	uint8_t *bytes; /* NULL = nothing */
	size_t size;
	bool truncated; /* the agent had to leave off the rest */
};

struct agent_exec_status {
	bool exited;
	int exit_code; /* 0 to 255; 128 + N after signal N */
	struct agent_output output;
	struct agent_output errors;
};

void agent_exec_status_done(struct agent_exec_status *status);

/* The answers to guest-exec, guest-exec-status and guest-network-get-interfaces. False for what is
 * none. */
bool agent_answer_pid(const json_t *value, int64_t *ret_pid) MUST_USE;
bool agent_answer_status(const json_t *value, struct agent_exec_status *ret_status) MUST_USE;
/* The first IPv4 address that a host can have, of the interfaces with that MAC: there are several
 * where a bridge or a bond stands over the card. False also when there is none. */
bool agent_answer_address(const json_t *value, const struct mac_addr *mac,
			  struct ip_addr *ret_address) MUST_USE;
