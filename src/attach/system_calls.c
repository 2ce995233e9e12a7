/* What attachments do. Who attaches, hands descriptors in: none is opened here. */

#include "attach/system_calls.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/compiler.h"

static const struct system_call calls[] = {
	{ .name = "read", .why = "tap.c, vhost_net.c: frames, and the guest's calls" },
	{ .name = "write", .why = "tap.c, call_guard.c" },
	{ .name = "writev", .why = "tap.c, given_eventfd.c" },
	{ .name = "recvfrom", .why = "stream.c, datagram.c" },
	/* It can bring descriptors along, which no filter sees; so can sendmsg() take some away. */
	{ .name = "recvmsg", .why = "vhost_user.c: messages with descriptors" },
	{ .name = "sendto", .why = "vhost_user.c: answers" },
	{ .name = "sendmsg", .why = "stream.c" },
	{ .name = "sendmmsg", .why = "datagram.c" },
	{ .name = "accept4", .why = "vhost_user.c, stream.c: who connects to a listening socket" },
	{ .name = "getsockopt", .why = "attachment.c: what kind of socket it is" },
	{ .name = "getpeername", .why = "attachment.c: whether it is connected" },
	{ .name = "fcntl",
	  .why = "shared_map.c: whether shared memory can shrink",
	  .conditions = { SYSTEM_CALL_INT_IS(1, F_GET_SEALS) } },
	{ .name = "fstatfs", .why = "shared_map.c: whether it is of huge pages" },
	{ .name = "statx",
	  .why = "given_eventfd.c: what kind of file it is",
	  .conditions = { SYSTEM_CALL_INT_IS(2, AT_EMPTY_PATH | AT_STATX_DONT_SYNC) } },
	{ .name = "preadv2", .why = "given_eventfd.c, call_guard.c: without waiting" },
	{ .name = "poll", .why = "call_guard.c: whether it is full" },
	{ .name = "ppoll", .why = "call_guard.c, where the architecture has no poll" },
	{ .name = "futex", .why = "call_guard.c: until the next call" },
	{ .name = "fstat", .why = "shared_map.c: how large it is" },
	{ .name = "newfstatat",
	  .why = "shared_map.c: fstat() of a newer C library",
	  .conditions = { SYSTEM_CALL_INT_IS(3, AT_EMPTY_PATH) } },
	{ .name = "mmap",
	  .why = "shared_map.c: the guest's memory",
	  .conditions = { SYSTEM_CALL_BITS_ARE(2, PROT_EXEC, 0) } },
	{ .name = "munmap", .why = "shared_map.c" },
	{ .name = "madvise", .why = "shared_map.c: not into a core" },
	{ .name = "ioctl",
	  .why = "tap.c: whether it has a virtio-net header",
	  .conditions = { SYSTEM_CALL_INT_IS(1, TUNGETIFF) } },
	{ .name = "ioctl",
	  .why = "tap.c",
	  .conditions = { SYSTEM_CALL_INT_IS(1, TUNSETVNETHDRSZ) } },
	{ .name = "ioctl", .why = "tap.c", .conditions = { SYSTEM_CALL_INT_IS(1, TUNSETVNETLE) } },
	{ .name = "ioctl", .why = "tap.c", .conditions = { SYSTEM_CALL_INT_IS(1, TUNSETOFFLOAD) } },
	{ .name = "close", .why = "each of them" },
};

const struct system_call_list attach_system_calls = { calls, ARRAY_COUNT(calls) };
