/* What the event loop asks of the kernel. */

#include "loop/system_calls.h"

#include "base/compiler.h"

static const struct system_call calls[] = {
	{ .name = "epoll_wait", .why = "loop.c" },
	{ .name = "epoll_pwait", .why = "loop.c, where the architecture has no epoll_wait" },
	{ .name = "epoll_ctl", .why = "loop.c" },
	{ .name = "read", .why = "loop.c, signals.c: what woke it" },
	{ .name = "write", .why = "loop.c: to wake it" },
	{ .name = "futex", .why = "loop.c: a message waits until it was taken" },
	{ .name = "sched_yield", .why = "loop.c: somebody else first, while it looks busily" },
	{ .name = "rt_sigprocmask", .why = "signals.c, when nobody waits for them any more" },
	{ .name = "close", .why = "loop.c, signals.c" },
};

const struct system_call_list loop_system_calls = { calls, ARRAY_COUNT(calls) };
