#pragma once
/*
 * The state of UDP: mappings and peers.
 *
 * A mapping is a guest endpoint: its own socket, opened when it first talks to the outside
 * (endpoint-independent mapping, RFC 4787 4.1), and the list of its peers, least recently used
 * first. A peer is one remote endpoint as the guest sees it (`seen`) and as the host does (`real`,
 * `local`), with the socket both use: the mapping's own, or that of a forward.
 *
 * Both tables are fixed; a mapping's list of peers is bounded, and its oldest peer makes room.
 */

#include "base/index.h"
#include "base/list.h"
#include "nat/nat_internal.h"

#define UDP_IDLE_NS	  (300 * NS_PER_S) /* RFC 4787 4.3 asks for 2 minutes at least */
#define UDP_QUESTION_NS	  (10 * NS_PER_S)  /* a single question and answer on port 53 */
#define UDP_PEERS_OWN	  64		   /* peers by the mapping's own socket */
#define UDP_PEERS_FORWARD 4096		   /* clients of a forward */
#define UDP_PORT_DNS	  53

struct udp_mapping {
	struct nat *nat;
	struct host_socket socket; /* fd -1 until the guest talks to the outside */
	struct ip_endpoint guest;
	uint32_t port;	      /* bridge port it was last seen on; FRAME_PORT_NONE = not yet */
	uint32_t budget_port; /* what budget_take() was told */
	struct list idle;     /* in the table's list, longest idle first; free ones in `unused` */
	struct list peers;    /* least recently used first */
	uint32_t peer_count;
	uint64_t last_ns;
	uint32_t sent;	   /* datagrams of the guest, up to 2 */
	uint32_t received; /* answers, up to 2 */
	struct timer expiry;
	struct loop_deferred more; /* the socket had more than one batch */
};

struct udp_peer {
	struct list node; /* in the mapping's peers; free ones in `unused` */
	struct udp_mapping *mapping;
	struct host_socket *via;
	struct ip_endpoint seen;
	struct ip_endpoint real;
	struct ip_addr local; /* where it sent to; family NONE = the guest talked first */
	uint64_t last_ns;
};

struct udp_table {
	struct nat *nat;
	struct udp_mapping *mappings;
	uint32_t mapping_capacity;
	uint32_t mapping_count;
	/* Entries from here on were never used: their memory is not touched before it is needed. */
	uint32_t mapping_fresh;
	struct list mapping_unused;
	struct list mapping_idle;
	struct index by_guest;
	struct udp_peer *peers;
	uint32_t peer_capacity;
	uint32_t peer_fresh;
	struct list peer_unused;
	struct index by_seen; /* (guest, seen) */
	struct index by_real; /* (socket, real, local) */
	uint16_t next_id;     /* IPv4 identification of what goes to guests */
	struct log_limit log_limit;
	uint8_t buffer[65536];
};

/* The mapping of a guest endpoint, or NULL. */
struct udp_mapping *udp_mapping_find(struct udp_table *table, const struct ip_endpoint *guest);
/* A new one, which counts on `port`'s budget. NULL with the drop counted. */
struct udp_mapping *udp_mapping_new(struct udp_table *table, const struct ip_endpoint *guest,
				    uint32_t port);
/* Closes its socket, forgets its peers. */
void udp_mapping_free(struct udp_mapping *mapping);
/* Something passed: the expiry is pushed on. */
void udp_mapping_touch(struct udp_mapping *mapping, uint64_t now_ns);

struct udp_peer *udp_peer_by_seen(struct udp_table *table, const struct ip_endpoint *guest,
				  const struct ip_endpoint *seen);
/* Exactly that, also as to `local` (family NONE: one the guest talked to first). */
struct udp_peer *udp_peer_by_real(struct udp_table *table, const struct host_socket *via,
				  const struct ip_endpoint *real, const struct ip_addr *local);
/* A peer of the mapping by its own socket with that address and any port, or NULL. */
struct udp_peer *udp_peer_by_addr(const struct udp_mapping *mapping, const struct ip_addr *addr);
/* The caller made sure that (guest, seen) is new. May take the place of the mapping's oldest
 * peer. NULL with the drop counted. */
struct udp_peer *udp_peer_new(struct udp_mapping *mapping, struct host_socket *via,
			      const struct ip_endpoint *seen, const struct ip_endpoint *real,
			      const struct ip_addr *local);
void udp_peer_touch(struct udp_peer *peer, uint64_t now_ns);
void udp_peer_free(struct udp_peer *peer);

/* udp_receive.c: what waits on a mapping's own socket. */
void udp_mapping_ready(struct host_socket *socket, uint32_t events);
void udp_mapping_more(struct loop_deferred *deferred);
