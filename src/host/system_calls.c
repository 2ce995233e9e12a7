/*
 * Sockets towards the world, each kind by name, and netlink, whose sockets are open before. Resolvers and hosts come
 * from an informant: to open their files is not in the list.
 */

#include "host/system_calls.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/compiler.h"

/* The kinds; the rest are flags (SOCK_NONBLOCK and so on). */
#define SOCKET_TYPE_BITS 0xf

#define SOCKET(family, type, protocol, reason)                                                     \
	{                                                                                          \
		.name = "socket", .why = (reason),                                                 \
		.conditions = { SYSTEM_CALL_INT_IS(0, family),                                     \
				SYSTEM_CALL_BITS_ARE(1, SOCKET_TYPE_BITS, type),                   \
				SYSTEM_CALL_INT_IS(2, protocol) },                                 \
	}

static const struct system_call calls[] = {
	SOCKET(AF_INET, SOCK_STREAM, 0, "tcp_socket.c, tcp_pair.c"),
	SOCKET(AF_INET6, SOCK_STREAM, 0, "tcp_socket.c"),
	SOCKET(AF_INET, SOCK_DGRAM, 0, "udp_socket.c"),
	SOCKET(AF_INET6, SOCK_DGRAM, 0, "udp_socket.c"),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP, "echo_socket.c: ping"),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, "echo_socket.c: ping"),
	SOCKET(AF_INET, SOCK_RAW, IPPROTO_ICMP, "echo_socket.c: ping, of who has CAP_NET_RAW"),
	SOCKET(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, "echo_socket.c: ping, of who has CAP_NET_RAW"),
	/* A stream pair is connected for good: with one of datagrams, unix sockets could be named. */
	{ .name = "socketpair",
	  .why = "stream_socket.c: a guest's TCP to the gateway's own services",
	  .conditions = { SYSTEM_CALL_INT_IS(0, AF_UNIX),
			  SYSTEM_CALL_BITS_ARE(1, SOCKET_TYPE_BITS, SOCK_STREAM),
			  SYSTEM_CALL_INT_IS(2, 0) } },
	{ .name = "connect", .why = "tcp_socket.c, tcp_pair.c, peek.c" },
	{ .name = "bind", .why = "tcp_socket.c, udp_socket.c, echo_socket.c" },
	{ .name = "listen", .why = "tcp_socket.c: forwards that are added" },
	{ .name = "accept4", .why = "tcp_socket.c: forwards" },
	{ .name = "getsockname", .why = "host_real.c: which port the kernel gave" },
	{ .name = "getpeername", .why = "tcp_socket.c: whose connection was handed over" },
	{ .name = "getsockopt", .why = "tcp_socket.c: how connect() ended; error_queue.c" },
	{ .name = "setsockopt", .why = "no-delay, linger, packet information, buffers" },
	{ .name = "shutdown", .why = "stream_socket.c: the end of one direction" },
	{ .name = "recvmsg", .why = "stream_socket.c, datagram.c, error_queue.c" },
	{ .name = "recvmmsg", .why = "datagram_batch.c" },
	{ .name = "recvfrom", .why = "stream_socket.c, netlink.c, host_view.c, peek.c" },
	{ .name = "sendmsg", .why = "stream_socket.c, datagram.c" },
	{ .name = "sendmmsg", .why = "datagram_batch.c" },
	{ .name = "sendto", .why = "netlink.c, peek.c" },
	{ .name = "poll", .why = "peek.c: whether the kernel can peek behind what was peeked" },
	{ .name = "ppoll", .why = "peek.c, where the architecture has no poll" },
	{ .name = "ioctl",
	  .why = "netlink.c: the number of an interface that resolv.conf names",
	  .conditions = { SYSTEM_CALL_INT_IS(1, SIOCGIFINDEX) } },
	{ .name = "close", .why = "each of them" },
};

const struct system_call_list host_system_calls = { calls, ARRAY_COUNT(calls) };
