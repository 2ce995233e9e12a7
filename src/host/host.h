#pragma once
/*
 * The world outside as the engine sees it: every socket towards the world is opened through this
 * table of operations. host_real.h has the one over kernel sockets; the scenario tests have one
 * with a fake world. Nothing here blocks.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/error.h"
#include "loop/loop.h"

struct host;

/* Embedded in its owner. Events are EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP and are
 * edge-triggered: read and write until -EAGAIN. EPOLLPRI: TCP's urgent byte is on its way, before which
 * a read stops short although there is more behind it. */
struct host_socket {
	void (*ready)(struct host_socket *socket, uint32_t events);
	int fd;			 /* -1 = closed; in a fake host, a number of its own */
	struct loop_watch watch; /* the real host's */
	struct {
		uint8_t kind;	       /* enum watched_socket_kind */
		uint8_t family;	       /* enum ip_family */
		uint8_t dont_fragment; /* what the kernel was told last */
		bool peek_offset_set;
		bool sent;	    /* TCP: something was sent */
		bool no_delay;	    /* TCP: the kernel was told */
		bool dies_by_reset; /* TCP: the kernel was told */
		bool expects_many;  /* UDP: the kernel was told */
		uint16_t ident;	    /* of echo */
		/* UDP: the smallest size of which the kernel refused to cut many datagrams out of
		 * one message (UDP_SEGMENT); 0 = it never did. */
		uint16_t segment_refused;
		uint32_t events; /* the last ones */
	} real;			 /* the real host's */
};

static inline void host_socket_init(struct host_socket *socket,
				    void (*ready)(struct host_socket *socket, uint32_t events))
{
	*socket = (struct host_socket){ .ready = ready, .fd = -1 };
}

struct host_datagram {
	struct ip_endpoint remote;
	/* Received: the address it came to. Sending: the address to send from; family NONE leaves
	 * the choice to the kernel. */
	struct ip_addr local;
	uint8_t ttl; /* 0 = the kernel's default, sending; 0 = unknown, receiving */
	uint8_t tos;
	bool dont_fragment;
	size_t size; /* received bytes; more than the buffer held = truncated, to be dropped */
	/* Received: not 0 = several datagrams, alike in everything else, stand one behind the other.
	 * Each is that long, but for the last, which may be shorter. */
	uint16_t segment_size;
};

/* One of many datagrams that are sent together. */
struct host_outgoing {
	const struct host_datagram *datagram; /* may be the same one for several */
	const struct iovec *iov;
	size_t count;
	size_t size; /* of iov */
};

/* The longest datagram, and the buffer that udp_receive_batch() wants for each. */
#define HOST_DATAGRAM_MAX 65536
/* More than so many are not received by one call. */
#define HOST_RECEIVE_BATCH_MAX 64

/* What a router or host said about a datagram of ours (IP_RECVERR). */
struct host_icmp_error {
	struct ip_endpoint remote; /* where the datagram went; echo: port 0 */
	struct ip_addr origin;	   /* who says so; family NONE: the local kernel */
	uint8_t type;		   /* ICMPv4 or ICMPv6 by origin.family */
	uint8_t code;
	uint32_t mtu;	     /* for "fragmentation needed", else 0 */
	int error;	     /* errno value, positive */
	size_t payload_size; /* bytes of the offending datagram's payload that came back */
};

/*
 * A service of our own that a guest reaches by TCP as if it were an outside host (DNS over TCP on
 * the gateway). open() connects `flow_side` (the flow's socket, not yet open) to a new session of
 * the service by host_stream_pair(), on the account of the guest's bridge port; 0 or negative errno.
 */
struct host_stream_service {
	int (*open)(struct host_stream_service *service, struct host_socket *flow_side,
		    uint32_t port);
};

/* All int results: 0 or negative errno. All sockets become non-blocking and close-on-exec and are
 * watched by the loop from the moment they are open. */
struct host_ops {
	/* Ready with EPOLLOUT (or EPOLLERR) when decided; then tcp_result(). */
	int (*tcp_connect)(struct host *host, struct host_socket *socket,
			   const struct ip_endpoint *to);
	/* 0 connected, -EINPROGRESS, or why it failed. */
	int (*tcp_result)(struct host *host, struct host_socket *socket);
	/* at->port 0 takes a free one. IPv6 sockets are IPV6_V6ONLY. SO_REUSEADDR, never
	 * SO_REUSEPORT. */
	int (*tcp_listen)(struct host *host, struct host_socket *socket,
			  const struct ip_endpoint *at, struct ip_endpoint *ret_bound);
	/* -EAGAIN: none waiting; -EMFILE, -ENFILE: try later. ret_local may be NULL: asking for it
	 * costs a system call. */
	int (*tcp_accept)(struct host *host, struct host_socket *listener,
			  struct host_socket *ret_socket, struct ip_endpoint *ret_peer,
			  struct ip_endpoint *ret_local);
	/* A connected TCP socket that somebody else made (tcp_pair.h): it belongs to `socket` from
	 * now on, and is closed on failure. Should this process be killed, the far end is reset. */
	int (*tcp_take)(struct host *host, struct host_socket *socket, int fd,
			struct ip_endpoint *ret_peer);
	/* Bytes, 0 = end of stream, or negative errno. */
	ssize_t (*receive)(struct host *host, struct host_socket *socket, const struct iovec *iov,
			   size_t count);
	/* The same, but the bytes stay in the socket, from the peek offset on, which moves on by
	 * what was read. -EAGAIN when there is nothing beyond the offset. */
	ssize_t (*peek)(struct host *host, struct host_socket *socket, const struct iovec *iov,
			size_t count);
	/* Bytes from the head of the receive queue. */
	int (*set_peek_offset)(struct host *host, struct host_socket *socket, size_t offset);
	/* Takes size bytes out of the head of the receive queue (the peek offset counts from the
	 * new head: the kernel lowers it by itself). Returns bytes taken or negative errno. */
	ssize_t (*discard)(struct host *host, struct host_socket *socket, size_t size);
	ssize_t (*send)(struct host *host, struct host_socket *socket, const struct iovec *iov,
			size_t count);
	/* The guest has been silent for hours: from now on the kernel asks the far end whether it is
	 * still there (SO_KEEPALIVE). Not from the start, since most connections are short. */
	void (*keep_alive)(struct host *host, struct host_socket *socket);
	/* shutdown(SHUT_WR): sends FIN behind what was sent. */
	int (*finish)(struct host *host, struct host_socket *socket);
	/* Close; data queued for sending still goes out. socket->fd becomes -1. Any kind of
	 * socket; does nothing when closed. */
	void (*close)(struct host *host, struct host_socket *socket);
	/* Close a TCP socket with RST (SO_LINGER 0). */
	void (*reset)(struct host *host, struct host_socket *socket);
	/* A connected pair of stream sockets inside the process. */
	int (*stream_pair)(struct host *host, struct host_socket *a, struct host_socket *b);

	/* at->addr unspecified and port 0 are allowed. No SO_REUSEADDR. -EADDRINUSE with port 0: no local port
	 * is left, or was left a moment ago, which is not asked again at once. */
	int (*udp_open)(struct host *host, struct host_socket *socket, const struct ip_endpoint *at,
			struct ip_endpoint *ret_bound);
	/* Returns bytes sent or negative errno; -EMSGSIZE over the path MTU with DF. */
	ssize_t (*udp_send)(struct host *host, struct host_socket *socket,
			    const struct host_datagram *datagram, const struct iovec *iov,
			    size_t count);
	/* Many, in this order, with as few system calls as the kernel allows. Returns how many were
	 * sent; fewer than count: *ret_error (negative) says why the next one was not, and nothing
	 * behind it was tried. */
	size_t (*udp_send_batch)(struct host *host, struct host_socket *socket,
				 const struct host_outgoing *batch, size_t count, int *ret_error);
	ssize_t (*udp_receive)(struct host *host, struct host_socket *socket,
			       struct host_datagram *ret_datagram, void *buffer, size_t size);
	/* Up to `count` into buffers of HOST_DATAGRAM_MAX bytes each that stand one behind the
	 * other. Returns how many, or negative errno. Fewer than count: the socket is empty, and
	 * what comes from now on is announced. Alike datagrams may come as one, with their
	 * segment_size, so a socket that was once read by this is never read by udp_receive(). */
	ssize_t (*udp_receive_batch)(struct host *host, struct host_socket *socket,
				     struct host_datagram *ret_datagrams, void *buffers,
				     size_t count);

	/* An echo socket (SOCK_DGRAM, IPPROTO_ICMP; else raw with CAP_NET_RAW). -EACCES: not
	 * allowed on this host. ret_ident: the identifier the kernel will send. */
	int (*echo_open)(struct host *host, struct host_socket *socket, enum ip_family family,
			 uint16_t *ret_ident);
	/* remote.port is not used; data is what follows the 8-byte ICMP header. */
	ssize_t (*echo_send)(struct host *host, struct host_socket *socket,
			     const struct host_datagram *datagram, uint16_t sequence,
			     const struct iovec *iov, size_t count);
	/* Replies only, and only those to our identifier. Returns data bytes. */
	ssize_t (*echo_receive)(struct host *host, struct host_socket *socket,
				struct host_datagram *ret_datagram, uint16_t *ret_sequence,
				void *buffer, size_t size);
	/* Next entry of the error queue of a UDP or echo socket, -EAGAIN when empty. Also clears a
	 * pending socket error. buffer gets the offending datagram's payload. ret_sequence (may be
	 * NULL) is set for echo. */
	int (*error_receive)(struct host *host, struct host_socket *socket,
			     struct host_icmp_error *ret_error, uint16_t *ret_sequence,
			     void *buffer, size_t size);

	/* True for every address that the kernel calls local, kept live. */
	bool (*is_local)(struct host *host, const struct ip_addr *addr);
	/* The source address of the default route; false when there is none. */
	bool (*default_source)(struct host *host, enum ip_family family, struct ip_addr *ret_addr);
	/* The resolvers of /etc/resolv.conf as it is now, at most `capacity`; returns how many. */
	size_t (*resolvers)(struct host *host, struct ip_endpoint *ret_resolvers, size_t capacity);
	/* /etc/hosts as it is now: addresses of `name` (lower case, no final dot) in the family;
	 * *ret_known is true when the name is there in any family. Returns how many were copied. */
	size_t (*hosts_lookup)(struct host *host, const char *name, enum ip_family family,
			       struct ip_addr *ret_addrs, size_t capacity, bool *ret_known);
};

struct host {
	const struct host_ops *ops;
};

/* Short names for the calls. */
#define host_call(host, operation, ...) ((host)->ops->operation((host), __VA_ARGS__))
