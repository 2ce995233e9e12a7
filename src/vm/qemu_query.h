#pragma once
/* What a program such as QEMU says of itself and then ends. */

#include <stddef.h>

#include "base/compiler.h"

/* What ends the wait for an answer. */
struct qemu_query_wait {
	int time_ms;
	int stop_fd; /* readable = do not wait any more; -1 = none */
};

/*
 * Runs a program (found by PATH) for what it prints on standard output, which is cut to the buffer and
 * terminated. 0 or negative errno: -ETIMEDOUT, -ECANCELED when stop_fd ended the wait.
 */
int qemu_query(char *const *argv, const struct qemu_query_wait *wait, char *buffer,
	       size_t size) MUST_USE;
