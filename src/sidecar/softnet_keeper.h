#pragma once
/*
 * The process that softnet is for whoever started it: it has its files and its rights, so it reads for the engine,
 * its child, what that asks for, and never sees a byte of the VM.
 */

#include <signal.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "sidecar/softnet_options.h"

/*
 * Until the child has ended. Signals go on to it, from here on: they have to be blocked before, `mask` is what they were.
 * A child that has not ended some seconds after the first of them is killed, whatever it waits for.
 * The descriptors of the options are the child's and are closed here. The exit code; what failed has been said.
 */
int softnet_keeper_run(const struct softnet_options *options, pid_t child, int channel_fd,
		       const sigset_t *mask) MUST_USE;
