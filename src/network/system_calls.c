/*
 * The network's threads, from their first calls, which may come after everything else was restricted, to their last;
 * and the informant that it asks.
 */

#include "network/system_calls.h"

#include <sys/prctl.h>

#include "base/compiler.h"

static const struct system_call calls[] = {
	{ .name = "set_robust_list", .why = "a thread begins" },
	{ .name = "rseq", .why = "a thread begins" },
	{ .name = "prctl",
	  .why = "lifetime.c, call_guard.c: a thread has a name",
	  .conditions = { SYSTEM_CALL_INT_IS(0, PR_SET_NAME) } },
	{ .name = "rt_sigprocmask", .why = "a thread begins, and ends" },
	{ .name = "futex", .why = "the one that joins it" },
	{ .name = "madvise", .why = "a thread ends: its stack" },
	{ .name = "munmap", .why = "its stack, when it was joined" },
	{ .name = "exit", .why = "a thread ends" },
	{ .name = "sendto", .why = "informant_client.c" },
	{ .name = "recvfrom", .why = "informant_client.c" },
	{ .name = "poll", .why = "informant_client.c: until the answer is there" },
	{ .name = "ppoll", .why = "informant_client.c, where the architecture has no poll" },
};

const struct system_call_list network_system_calls = { calls, ARRAY_COUNT(calls) };
