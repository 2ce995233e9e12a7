#pragma once
/*
 * NAT through host sockets: each flow of a guest is a socket of ours. TCP is terminated here
 * (connect first, then answer), UDP and echo keep a mapping per guest endpoint, and forwards turn
 * what arrives at the host into flows towards a guest.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/drop.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "host/host.h"
#include "loop/loop.h"
#include "wire/frame_sink.h"

struct nat;

enum nat_host_access {
	NAT_HOST_ACCESS_NONE,
	NAT_HOST_ACCESS_LAN,
	NAT_HOST_ACCESS_LOOPBACK,
};

/* Where bytes from the host wait until the guest has acknowledged them (design: "TCP"). */
enum nat_backlog {
	NAT_BACKLOG_KEPT, /* in a pool of ours */
	NAT_BACKLOG_PEEK, /* in the socket (MSG_PEEK, SO_PEEK_OFF) */
	/* KEPT, which costs fewer system calls, until a connection proves to move much; then PEEK,
	 * whose bytes pass through one warm buffer. */
	NAT_BACKLOG_ADAPTIVE,
};

/* May this flow begin, or go on? */
struct nat_question {
	bool from_guest;  /* the guest calls; else it is called */
	uint8_t protocol; /* of IP */
	struct ip_endpoint
		remote; /* as the guest names it; or who calls, the host itself as the gateway. The
				    * port is 0 where the protocol has none */
	bool to_host;	/* a service of the host's, by whatever address; the remote is the gateway
			   * then. Asked beside the question about the address. */
};

struct nat_config {
	struct mac_addr mac;	 /* the gateway's */
	struct ip_addr addr;	 /* the gateway's */
	struct ip_prefix subnet; /* canonical */
	uint32_t mtu;
	/* false: forwards only (VMNET_HOST_MODE, disable_nat44), whose clients all appear as the gateway */
	bool outbound;
	enum nat_host_access host_access;
	bool allow_metadata;
	bool udp_endpoint_independent_filtering;
	enum nat_backlog backlog; /* of ports that nat_port_added() says nothing else of */
	/* Flows of all protocols at once; TCP connections being opened towards the world. */
	uint32_t flow_capacity;
	uint32_t half_open_capacity;
	/* Sockets of UDP whose port the kernel chooses, from what all programs of the host have. */
	uint32_t udp_socket_capacity;
	uint32_t port_capacity; /* bridge ports, for the share of each */
	/* True for an address that a live network of somebody else holds: never reached from here.
	 * NULL = nobody to ask. Must not block. */
	bool (*belongs_to_other)(void *context, const struct ip_addr *addr);
	void *belongs_context;
	/* The rules that flows are asked about beside what this room itself knows; NULL = none. Must not
	 * block. */
	bool (*admits)(void *context, const struct nat_question *question);
	void *admits_context;
};

/* Borrowed for its life. */
struct nat_context {
	struct loop *loop;
	struct random *random;
	const struct log *log;
	struct drop_counters *drops;
	struct host *host;
	struct frame_sink *to_guest;		/* the gateway's NAT side */
	struct host_stream_service *dns_stream; /* TCP port 53 of the gateway, or NULL */
	struct host_stream_service *documents;	/* TCP port 80 of the gateway, or NULL */
};

#define NAT_PROTOCOL_TCP 6
#define NAT_PROTOCOL_UDP 17

struct nat_forward {
	uint8_t protocol;
	struct ip_endpoint external; /* as bound once it is added */
	struct ip_endpoint internal;
};

struct nat_statistics {
	uint32_t tcp_flows;
	uint32_t udp_flows;
	uint32_t icmp_flows;
	uint64_t unsent_bytes; /* acknowledged to a guest, then lost */
};

int nat_new(const struct nat_config *config, const struct nat_context *context,
	    struct nat **ret_nat) MUST_USE;
/* Once, when the process has no more rights than it will have while frames pass: one socket is opened, so that the host says
 * at the start that guests will not be able to ping. */
void nat_try_ping(struct nat *nat);
/* Closes everything at once. */
struct nat *nat_free(struct nat *nat);
/* No new flows; acknowledged bytes go on draining. nat_is_drained() tells when none are left. */
void nat_drain(struct nat *nat);
bool nat_is_drained(const struct nat *nat);

/* Frames from guests that are not for the gateway itself; IPv4, unfragmented, source checked. */
struct frame_sink *nat_guest_side(struct nat *nat);

/* A port is there, before its first frame; the backlog suits its kind: `peek` pays where the port has
 * memory of its own (frame_sink_reserve()). */
void nat_port_added(struct nat *nat, uint32_t port, enum nat_backlog backlog);
/* A port has room again, after frame_sink_room() said 0. */
void nat_port_ready(struct nat *nat, uint32_t port);
/* A port is gone: its flows end (RST towards the host). */
void nat_port_gone(struct nat *nat, uint32_t port);

/*
 * Binds and serves. One call a socket: external.addr decides the family. *ret_bound is the endpoint
 * as bound. Negative errno of bind() or listen() (-EADDRINUSE, -EACCES), or -EEXIST, -ENOSPC.
 */
int nat_forward_add(struct nat *nat, const struct nat_forward *rule,
		    struct ip_endpoint *ret_bound) MUST_USE;
/* Stops listening; connections under way go on. -ENOENT when there is none. */
int nat_forward_remove(struct nat *nat, uint8_t protocol,
		       const struct ip_endpoint *external) MUST_USE;
/* Copies up to capacity in the order added; returns how many there are. */
size_t nat_forwards(const struct nat *nat, struct nat_forward *ret_forwards, size_t capacity);

/* Somebody who waits for a guest's answer. */
struct nat_opening {
	/* Once: 0 = the guest accepted; -ECONNREFUSED; -ETIMEDOUT, no answer; -ECONNABORTED, the
	 * network ends or the connection was closed. Must not call this room. */
	void (*decided)(struct nat_opening *opening, int status);
};
/*
 * Connects fd, the inner end of a pair of our own (host/tcp_pair.h), to a guest's TCP port; the guest
 * sees the gateway. fd is used up in any case. 0: opening->decided() will be called, at the latest by
 * nat_free(). Else negative errno: -ENOSPC, no flow is left; -EACCES, the rules forbid it; -ESHUTDOWN,
 * draining.
 */
int nat_connect(struct nat *nat, const struct ip_endpoint *guest, int fd,
		struct nat_opening *opening) MUST_USE;

/*
 * The rules are others now, and so may be what a guest reaches of the host: of flows that could not begin any
 * more no byte passes from here on. They end, TCP with RST to both sides, in slices that keep nobody
 * waiting: at their next packet or when the sweep comes to them, at the latest when nat_is_reviewed().
 */
void nat_review(struct nat *nat, enum nat_host_access access);
bool nat_is_reviewed(const struct nat *nat);

void nat_get_statistics(const struct nat *nat, struct nat_statistics *ret_statistics);
