/* Flows have no calls of their own but for memory. */

#include "nat/system_calls.h"

#include <sys/mman.h>

#include "base/compiler.h"

static const struct system_call calls[] = {
	{ .name = "mmap",
	  .why = "udp_memory.c, tcp_pool.c",
	  .conditions = { SYSTEM_CALL_BITS_ARE(2, PROT_EXEC, 0) } },
	{ .name = "munmap", .why = "udp_memory.c, tcp_pool.c" },
	{ .name = "madvise", .why = "udp_memory.c: given back while nothing comes" },
};

const struct system_call_list nat_system_calls = { calls, ARRAY_COUNT(calls) };
