#pragma once
/* softnet from its options to its end. */

#include "base/compiler.h"
#include "sidecar/softnet_options.h"

struct softnet_hooks {
	/* For tests: called in the process that sees the VM, when all is ready. NULL = none. */
	void (*ready)(void *context);
	void *context;
};

/* Takes over the signals of the process: to be called before it has other threads. Returns in two processes, the one
 * that was called and its child, with the exit code of each; a failure has been said. */
int softnet_run(const struct softnet_options *options, const struct softnet_hooks *hooks) MUST_USE;
