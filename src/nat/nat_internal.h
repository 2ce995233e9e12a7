#pragma once
/*
 * What the files of this room share: the context, the table of each protocol, and the few
 * questions every protocol asks. All per-flow state hangs from a shard, so that threads by flow
 * hash can come later without a shared lock; today there is one.
 *
 *     nat.c      door, dispatch by protocol        policy.c   may it go there? what is it really?
 *     budget.c   flows per network and per port    forward*.c listeners and their table
 *     tcp_*.c    TCP                               udp*.c, icmp_*.c
 *     review.c   other rules: which flows end, and when
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "nat/budget.h"
#include "nat/nat.h"
#include "nat/review.h"
#include "wire/frame.h"

struct tcp_table;
struct udp_table;
struct icmp_table;
struct forward_table;

struct nat_shard {
	struct tcp_table *tcp;
	struct udp_table *udp;
	struct icmp_table *icmp;
};

struct nat {
	struct nat_config config;
	struct nat_context context;
	struct nat_shard shard;
	struct budget budget;
	struct forward_table *forwards;
	struct review review;
	struct frame_sink guest_side;
	enum nat_backlog *port_backlog; /* [port_capacity] */
	struct loop_deferred flush;	/* scheduled by nat_push_to_guest(): one flush a batch */
	bool draining;
};

static inline enum nat_backlog nat_port_backlog(const struct nat *nat, uint32_t port)
{
	return port < nat->config.port_capacity ? nat->port_backlog[port] : nat->config.backlog;
}

static inline uint64_t nat_now(const struct nat *nat)
{
	return loop_now(nat->context.loop);
}

static inline struct timers *nat_timers(const struct nat *nat)
{
	return loop_timers(nat->context.loop);
}

static inline void nat_drop(const struct nat *nat, enum drop_reason reason)
{
	drop_count(nat->context.drops, reason);
}

/* Pushes a frame of ours towards the guest and schedules the flush at the end of the batch. */
void nat_push_to_guest(struct nat *nat, struct frame *frame);
/* The same for an IPv4 packet of any size: in fragments where it is longer than the MTU (RFC 791
 * 3.2). Its id must be its own. Of a super-frame it is the datagrams that must fit into the MTU.
 * False: it cannot go (nothing was pushed). */
bool nat_push_datagram(struct nat *nat, struct frame *frame) MUST_USE;

/*
 * Where a guest's packet to `seen` really goes. Applies "What a guest may reach by default"
 * (design.md): false with the drop reason, or true with *ret_real, which differs from seen where
 * the gateway's address stands for the host (host access, hairpin to an own forward). The
 * gateway's own DNS over TCP is not decided here.
 */
bool policy_resolve(const struct nat *nat, uint8_t protocol, const struct ip_endpoint *seen,
		    struct ip_endpoint *ret_real, enum drop_reason *ret_reason) MUST_USE;

/* What the rules say, and nothing else: a guest's flow to `seen`; one of a client to the guest. */
bool policy_admits(const struct nat *nat, uint8_t protocol, const struct ip_endpoint *seen);
bool policy_admits_client(const struct nat *nat, uint8_t protocol,
			  const struct ip_endpoint *client);
/* A guest's flow that is there: may it go on? `narrower`: less of the host is open than before, whatever the rules
 * say of it. */
bool policy_may_go_on(const struct nat *nat, uint8_t protocol, const struct ip_endpoint *seen,
		      bool narrower);

/*
 * The client of a forward as the guest sees it: its real address, or the gateway's for loopback,
 * the host's own addresses, clients inside the guest's subnet and IPv6 clients (design: "Port
 * forwards"). The port stays; the caller changes it where two would collide.
 */
struct ip_endpoint policy_client_seen(const struct nat *nat, const struct ip_endpoint *client);

/* An own forward of that external port, whatever its address (rather one on IPv4); NULL when there
 * is none. */
const struct nat_forward *forward_find_port(const struct nat *nat, uint8_t protocol, uint16_t port);

/* An own forward that listens for that protocol at that host endpoint (an exact or a wildcard
 * address), or NULL: the hairpin question. */
const struct nat_forward *forward_find(const struct nat *nat, uint8_t protocol,
				       const struct ip_endpoint *at);
