/* Its loop, what it says and how it ends. abort() is in sandbox_filter.c, since it names a process. */

#include "sidecar/system_calls.h"

#include <fcntl.h>

#include "base/compiler.h"

static const struct system_call calls[] = {
	{ .name = "read", .why = "signals, the control channel" },
	{ .name = "write", .why = "what it says" },
	{ .name = "writev", .why = "the C library's last words" },
	{ .name = "recvfrom", .why = "the control channel" },
	{ .name = "sendto", .why = "the control channel" },
	{ .name = "recvmsg", .why = "the control channel" },
	{ .name = "sendmsg", .why = "the control channel" },
	{ .name = "epoll_wait", .why = "its loop" },
	{ .name = "epoll_pwait", .why = "its loop, where the architecture has no epoll_wait" },
	{ .name = "epoll_ctl", .why = "its loop" },
	{ .name = "fstat", .why = "stdio, before it writes for the first time" },
	{ .name = "newfstatat",
	  .why = "fstat() of a newer C library",
	  .conditions = { SYSTEM_CALL_INT_IS(3, AT_EMPTY_PATH) } },
	{ .name = "close", .why = "the end of each of them" },
	{ .name = "rt_sigprocmask", .why = "signals, and abort()" },
	{ .name = "rt_sigreturn", .why = "behind a signal's handler" },
	{ .name = "getpid", .why = "abort()" },
	{ .name = "gettid", .why = "abort()" },
	{ .name = "exit_group", .why = "the end" },
};

const struct system_call_list sidecar_system_calls = { calls, ARRAY_COUNT(calls) };
