#pragma once
/* Runs a command in a VM by the agent in its guest. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vm/agent_answer.h"

struct error;

/* What a command can be given: as much as the agent keeps of what it writes. */
#define AGENT_EXEC_INPUT_MOST ((size_t)16 << 20)

struct agent_exec {
	/* NULL-terminated, UTF-8; the first is the program, looked up by the agent. */
	const char *const *words;
	const uint8_t *input; /* what it reads; NULL = it reads nothing */
	size_t input_size;    /* up to AGENT_EXEC_INPUT_MOST */
	/* Called once the command runs, as process `pid` of the guest; NULL = nobody is to know. */
	void (*started)(int64_t pid);
};

/*
 * Starts the command and waits for its end, however long it takes. 0; -EREMOTEIO with the agent's own
 * sentence, as the guest wrote it; -EBUSY with a sentence when others have the agent and do not end;
 * other negative errno with a sentence when there is no talking to the agent. One agent_exec_status_done().
 */
int agent_exec_run(int directory_fd, const struct agent_exec *exec,
		   struct agent_exec_status *ret_status, struct error *err) MUST_USE;
