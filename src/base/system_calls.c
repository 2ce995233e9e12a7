/* What the C library does for everybody, and what base itself does. */

#include <fcntl.h>
#include <sys/mman.h>

#include "base/compiler.h"
#include "base/system_call.h"

static const struct system_call calls[] = {
	{ .name = "brk", .why = "malloc" },
	{ .name = "mmap",
	  .why = "malloc: never memory that can be executed",
	  .conditions = { SYSTEM_CALL_BITS_ARE(2, PROT_EXEC, 0) } },
	{ .name = "mprotect",
	  .why = "malloc, when the heap of a thread grows: never to execute",
	  .conditions = { SYSTEM_CALL_BITS_ARE(2, PROT_EXEC, 0) } },
	{ .name = "mremap", .why = "realloc" },
	{ .name = "munmap", .why = "free" },
	{ .name = "madvise", .why = "free, when the heap of a thread shrinks" },
	{ .name = "sched_getaffinity", .why = "malloc, when it chooses the heap of a thread" },
	{ .name = "futex", .why = "mutexes, semaphores" },
	{ .name = "restart_syscall", .why = "the kernel's, when a stopped process goes on" },
	{ .name = "clock_gettime", .why = "base/clock.c, where the vDSO cannot tell" },
	{ .name = "getrandom", .why = "base/random.c" },
	{ .name = "close", .why = "base/fd.c" },
	{ .name = "fcntl", .why = "base/fd.c", .conditions = { SYSTEM_CALL_INT_IS(1, F_GETFL) } },
	{ .name = "fcntl",
	  .why = "base/fd.c: O_NONBLOCK",
	  .conditions = { SYSTEM_CALL_INT_IS(1, F_SETFL) } },
	{ .name = "fcntl", .why = "base/fd.c", .conditions = { SYSTEM_CALL_INT_IS(1, F_GETFD) } },
	{ .name = "fcntl",
	  .why = "base/fd.c: FD_CLOEXEC",
	  .conditions = { SYSTEM_CALL_INT_IS(1, F_SETFD) } },
};

const struct system_call_list base_system_calls = { calls, ARRAY_COUNT(calls) };
