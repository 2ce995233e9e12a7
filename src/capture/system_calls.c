/* The file or pipe is open before. */

#include "capture/system_calls.h"

#include "base/compiler.h"

static const struct system_call calls[] = {
	{ .name = "write", .why = "blocks of packets" },
	{ .name = "rt_sigprocmask", .why = "no SIGPIPE for who did not ask for it" },
	{ .name = "rt_sigpending", .why = "as above" },
	{ .name = "rt_sigtimedwait", .why = "as above" },
	{ .name = "close", .why = "the end" },
};

const struct system_call_list capture_system_calls = { calls, ARRAY_COUNT(calls) };
