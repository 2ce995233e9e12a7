#pragma once
/*
 * A fake world behind struct host: servers that answer as they are told, clients that come to
 * listeners, datagrams, echo with hops. Sockets behave as the kernel's do towards their owner:
 * edge-triggered events with the whole ready mask, bounded queues, EAGAIN, pending errors, peek
 * offsets, RST when unread bytes are closed over.
 *
 *     rig_host.c           the table of operations, sockets, what the host knows of itself
 *     rig_host_stream.c    TCP sockets, listeners, pairs
 *     rig_peer.c           the other end of a TCP socket
 *     rig_host_datagram.c  UDP, echo, error queues
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/random.h"
#include "host/host.h"
#include "rig/rig_app.h"
#include "rig/rig_bytes.h"
#include "rig/rig_time.h"

struct rig_host;

enum rig_socket_kind {
	RIG_SOCKET_TCP,
	RIG_SOCKET_LISTENER,
	RIG_SOCKET_PAIR,
	RIG_SOCKET_UDP,
	RIG_SOCKET_ECHO,
};

enum rig_stream_state {
	RIG_STREAM_CONNECTING,
	RIG_STREAM_CONNECTED,
	RIG_STREAM_BROKEN,
};

/* A socket as the kernel sees it; the owner's host_socket only holds its number. */
struct rig_socket {
	struct rig_host *host;
	struct host_socket *owner;
	enum rig_socket_kind kind;
	struct timer wake; /* an edge: the owner is to be called */
	int error;	   /* pending, positive */

	/* Streams */
	enum rig_stream_state state;
	struct rig_bytes *in;
	struct rig_bytes *out; /* NULL: the other end of a pair is gone */
	struct rig_bytes own_in;
	struct rig_socket *other; /* PAIR */
	struct rig_peer *peer;
	size_t peek_offset;
	bool ended;	      /* FIN came */
	bool finished;	      /* shutdown(SHUT_WR) */
	bool no_space;	      /* somebody waits for room */
	struct timer decided; /* connect */
	int outcome;	      /* of connect, 0 or positive errno */

	/* Listeners, datagrams */
	struct ip_endpoint at;
	struct list waiting;  /* rig_peer */
	struct list hairpins; /* rig_socket: connected from inside, not accepted yet */
	struct list hairpin_node;
	struct ip_endpoint hairpin_from;
	struct list datagrams;
	size_t datagram_bytes;
	struct list errors;
	uint16_t ident;
	enum ip_family family;
};

struct rig_peer_plan {
	struct rig_app_plan app;
	uint64_t delay_ns;	 /* one way */
	size_t receive_capacity; /* what the peer's kernel holds for it */
	size_t send_buffer;	 /* of the socket under test */
	size_t receive_buffer;
};

/* The far end of a TCP socket. Lives as long as the fake host. */
struct rig_peer {
	struct rig_host *host;
	struct list node;
	struct list wait_node;	   /* in a listener's queue */
	struct rig_socket *socket; /* NULL: not accepted yet, or closed */
	struct ip_endpoint local;  /* its own endpoint */
	struct ip_endpoint remote; /* as far as it knows: the host's */
	struct rig_peer_plan plan;
	struct rig_app app;
	struct rig_bytes to_engine;
	struct rig_bytes to_peer;
	uint64_t arrived;
	size_t unread;
	bool refused;
	bool accepted;
	bool engine_finished;
	bool engine_closed;
	bool engine_reset;
	bool finished;
	bool reset; /* by the peer itself */
	struct timer pump;
};

enum rig_answer {
	RIG_ANSWER_ACCEPT,
	RIG_ANSWER_FAIL, /* with `error` after delay_ns; 0 = at once, from connect() itself */
	RIG_ANSWER_SILENCE,
};

struct rig_server {
	struct list node;
	struct ip_endpoint at; /* family NONE: any address; port 0: any port */
	enum rig_answer answer;
	uint64_t delay_ns;
	int error; /* positive */
	struct rig_peer_plan plan;
	/* May change the plan for the connection that comes; may be NULL. */
	void (*choose)(struct rig_server *server, struct rig_peer_plan *plan);
	void *context;
	uint64_t connections;
	struct rig_peer *last;
};

struct rig_udp_server {
	struct list node;
	struct ip_endpoint at; /* as above */
	bool echo;
	int icmp_type; /* answers with that ICMP error instead; -1 = none */
	int icmp_code;
	int error;
	uint64_t delay_ns;
	/* What came; may be NULL. */
	void (*heard)(struct rig_udp_server *server, const struct ip_endpoint *from,
		      const struct host_datagram *datagram, const uint8_t *bytes, size_t size);
	void *context;
	uint64_t datagrams;
	struct ip_endpoint last_from;
};

#define RIG_HOST_SOCKETS 140000
#define RIG_HOST_ADDRS	 8
#define RIG_HOST_HOPS	 8

struct rig_host {
	struct host host;
	struct rig_time *time;
	struct random *random;
	struct rig_socket *sockets[RIG_HOST_SOCKETS];
	uint32_t sockets_open;
	uint32_t listeners_open;
	int first_free;	      /* no free number below */
	uint32_t sockets_max; /* then -EMFILE; 0 = RIG_HOST_SOCKETS */
	uint16_t next_port;
	struct list peers;
	struct list servers;
	struct list udp_servers;
	struct list flights; /* datagrams under way */
	uint64_t flight_count;
	uint64_t calls; /* of any operation */

	struct ip_addr local[RIG_HOST_ADDRS];
	size_t local_count;
	bool has_default_source;
	struct ip_addr default_source;
	bool no_peek;
	bool no_echo;
	uint64_t echo_delay_ns;
	bool echo_silent;
	/* Routers on the way to everything: what TTL i + 1 does not get beyond. */
	struct ip_addr hop[RIG_HOST_HOPS];
	size_t hop_count;
	uint32_t path_mtu; /* 0 = no limit */
	bool coalesces;	   /* datagrams that are alike arrive as one, as with UDP_GRO */
	uint64_t messages; /* that udp_receive_batch() gave */
	struct ip_endpoint resolver[4];
	size_t resolver_count;
};

void rig_host_init(struct rig_host *host, struct rig_time *time, struct random *random);
void rig_host_done(struct rig_host *host);

/* The server belongs to the caller, and stays until rig_host_done. The first that matches counts. */
void rig_host_add_server(struct rig_host *host, struct rig_server *server);
void rig_host_add_udp_server(struct rig_host *host, struct rig_udp_server *server);

/* A client connects to a listener of the host. The peer is `refused` when there is none. */
struct rig_peer *rig_host_client(struct rig_host *host, const struct ip_endpoint *from,
				 const struct ip_endpoint *to, const struct rig_peer_plan *plan);
/* A datagram from outside to a UDP socket of the host. False when nobody listens there. */
bool rig_host_datagram(struct rig_host *host, const struct ip_endpoint *from,
		       const struct ip_endpoint *to, const void *bytes, size_t size);

/* Several, which the kernel has put together (UDP_GRO); segment_size 0 = it is one. */
bool rig_host_datagrams(struct rig_host *host, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const void *bytes, size_t size,
			uint16_t segment_size);

/* The far end is gone without a word, or sends RST. */
void rig_peer_reset(struct rig_peer *peer);
/* Both directions ended in order, and its app heard what it should. */
bool rig_peer_is_content(const struct rig_peer *peer);
bool rig_peer_is_over(const struct rig_peer *peer);
