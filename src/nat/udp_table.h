#pragma once
/*
 * The state of UDP: mappings and peers.
 *
 * A mapping is a guest endpoint: its own socket, opened when it first talks to the outside
 * (endpoint-independent mapping, RFC 4787 4.1), and the list of its peers, least recently used
 * first. A peer is one remote endpoint as the guest sees it (`seen`) and as the host does (`real`,
 * `local`), with the socket both use: the mapping's own, or that of a forward.
 *
 * Both tables are fixed. A mapping can always have one peer; more are taken from what is left, each
 * bridge port its share of it. Where none is left, or too many, the mapping's oldest peer makes room.
 */

#include "base/index.h"
#include "base/list.h"
#include "nat/nat_internal.h"
#include "nat/port_lists.h"
#include "nat/udp_memory.h"
#include "nat/udp_send.h"

#define UDP_IDLE_NS	  (300 * NS_PER_S) /* RFC 4787 4.3 asks for 2 minutes at least */
#define UDP_QUESTION_NS	  (10 * NS_PER_S)  /* a single question and answer on port 53 */
#define UDP_PEERS_OWN	  64		   /* peers by the mapping's own socket */
#define UDP_PEERS_FORWARD 4096		   /* clients of a forward */
#define UDP_PORT_DNS	  53
#define UDP_PORT_DHCP	  67

struct udp_peers {
	struct list list; /* least recently used first */
	uint32_t count;
};

struct udp_mapping {
	struct nat *nat;
	struct host_socket socket; /* fd -1 until the guest talks to the outside */
	struct ip_endpoint guest;
	uint32_t port;		    /* bridge port it was last seen on; FRAME_PORT_NONE = not yet */
	uint32_t budget_port;	    /* what budget_take() was told */
	struct list idle;	    /* in the table's list of budget_port; free ones in `unused` */
	struct udp_peers own;	    /* by its own socket */
	struct udp_peers forwarded; /* by a forward's */
	uint64_t last_ns;
	uint32_t sent;	   /* datagrams of the guest, up to 2 */
	uint32_t received; /* answers, up to 2 */
	struct timer expiry;
	struct loop_deferred more; /* the socket had more than one batch */
};

struct udp_peer {
	struct list node; /* in one of the mapping's lists; free ones in `unused` */
	struct udp_mapping *mapping;
	struct host_socket *via;
	struct ip_endpoint seen;
	struct ip_endpoint real;
	struct ip_addr local; /* where it sent to; family NONE = the guest talked first */
	uint64_t last_ns;
	uint32_t review; /* the number of the last one that it passed */
	bool in_use;
};

struct udp_table {
	struct nat *nat;
	struct udp_mapping *mappings;
	uint32_t mapping_capacity;
	uint32_t mapping_count;
	/* Entries from here on were never used: their memory is not touched before it is needed. */
	uint32_t mapping_fresh;
	struct list mapping_unused;
	struct port_lists mapping_idle; /* longest idle first */
	struct index by_guest;
	struct udp_peer *peers;
	uint32_t peer_capacity;
	uint32_t peer_fresh;
	struct list peer_unused;
	struct budget peer_extra; /* peers beyond the first of each mapping */
	struct budget sockets;	  /* of mappings, each a local port of the host */
	struct index by_seen;	  /* (guest, seen) */
	struct index by_real;	  /* (socket, real) */
	uint16_t next_id;	  /* IPv4 identification of what goes to guests */
	struct udp_memory memory;
	struct udp_batch batch;				 /* towards the world, in memory.waiting */
	struct host_datagram arrived[UDP_RECEIVE_BATCH]; /* in memory.arrivals */
	bool coalesced; /* the last batch had messages of many datagrams */
};

/* Counts that only tell none, one and several apart. */
static inline void udp_count_several(uint32_t *count, size_t more)
{
	*count = *count + more < 2 ? *count + (uint32_t)more : 2;
}

/* The mapping of a guest endpoint, or NULL. */
struct udp_mapping *udp_mapping_find(struct udp_table *table, const struct ip_endpoint *guest);
/* A new one, which counts on `port`'s budget. The port's mapping that rests longest may have to
 * go. NULL with the drop counted. */
struct udp_mapping *udp_mapping_new(struct udp_table *table, const struct ip_endpoint *guest,
				    uint32_t port);
/* Closes its socket, forgets its peers. */
void udp_mapping_free(struct udp_mapping *mapping);
/* Frees one that has neither peers nor a socket. */
void udp_mapping_free_bare(struct udp_mapping *mapping);
/* Something passed: the expiry is pushed on. */
void udp_mapping_touch(struct udp_mapping *mapping, uint64_t now_ns);

struct udp_peer *udp_peer_by_seen(struct udp_table *table, const struct ip_endpoint *guest,
				  const struct ip_endpoint *seen);
/* Exactly that, also as to `local` (family NONE: one the guest talked to first; NULL: any). */
struct udp_peer *udp_peer_by_real(struct udp_table *table, const struct host_socket *via,
				  const struct ip_endpoint *real, const struct ip_addr *local);
/* True when it was silent for so long that what comes from it is not expected any more. */
bool udp_peer_is_stale(const struct udp_peer *peer);
/* A peer of the mapping by its own socket, not stale, not forbidden, with that address and any port, or NULL. */
struct udp_peer *udp_peer_by_addr(struct udp_mapping *mapping, const struct ip_addr *addr);
/* The caller made sure that (guest, seen) is new. May take the place of the mapping's oldest
 * peer. NULL with the drop counted. */
struct udp_peer *udp_peer_new(struct udp_mapping *mapping, struct host_socket *via,
			      const struct ip_endpoint *seen, const struct ip_endpoint *real,
			      const struct ip_addr *local);
void udp_peer_touch(struct udp_peer *peer, uint64_t now_ns);
void udp_peer_free(struct udp_peer *peer);
/* Asks the rules: false, they forbid the peer, and it is gone; and so may be its mapping. */
bool udp_peer_review(struct udp_peer *peer);
/* The same, where the rules are others than those it passed last: before anything of it moves. */
static inline bool udp_peer_passes(struct udp_peer *peer)
{
	return peer->review == peer->mapping->nat->review.number || udp_peer_review(peer);
}

/* udp_open.c: its own socket, if the budget has one; another mapping may have to go. False with the drop
 * counted. */
bool udp_mapping_open(struct udp_mapping *mapping) MUST_USE;
/* Does nothing where it has none. */
void udp_mapping_close(struct udp_mapping *mapping);

/* udp_receive.c: what waits on a mapping's own socket. */
void udp_mapping_ready(struct host_socket *socket, uint32_t events);
void udp_mapping_more(struct loop_deferred *deferred);
/*
 * Takes what waits in the socket's error queue and tells the guests it is about. Returns the MTU
 * that the host itself named for a datagram it did not take, 0 when there was none: such an entry
 * names no peer, so only whoever sent the datagram can tell the guest.
 */
uint32_t udp_drain_errors(struct nat *nat, struct host_socket *socket);
