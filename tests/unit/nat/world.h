#pragma once
/*
 * NAT between guests and a world that the test writes: every socket operation ends in memory. What
 * is sent to an address where another socket of ours is bound arrives there; everything else is
 * kept for the test to look at. Events are delivered by world_run(), as the loop would.
 *
 * The network is 10.0.0.0/24, gateway 10.0.0.1, guests from 10.0.0.2 on; the host is 198.51.100.1
 * (default route) and 192.0.2.1, and 127.0.0.1 as every host.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "nat/nat_internal.h"
#include "wire/icmp.h"

#define WORLD_SOCKETS 4096
#define WORLD_HEARD   4096
#define WORLD_SENT    8192
#define WORLD_PORT    3 /* the bridge port of most guests */

#define GATEWAY	   UINT32_C(0x0a000001)
#define GUEST	   UINT32_C(0x0a000002)
#define GUEST_B	   UINT32_C(0x0a000003)
#define HOST_LAN   UINT32_C(0xc6336401) /* 198.51.100.1 */
#define HOST_OTHER UINT32_C(0xc0000201) /* 192.0.2.1 */
#define LOOPBACK   UINT32_C(0x7f000001)
#define REMOTE	   UINT32_C(0xcb007105) /* 203.0.113.5 */
#define REMOTE_B   UINT32_C(0xcb007106)
#define ROUTER	   UINT32_C(0xcb007101)

enum world_kind {
	WORLD_UDP,
	WORLD_ECHO,
	WORLD_LISTENER,
	WORLD_STREAM,
};

struct world_packet {
	struct world_packet *next;
	bool is_error;
	struct host_datagram datagram;
	struct host_icmp_error error;
	uint16_t sequence;
	size_t size;
	uint8_t bytes[];
};

struct world_socket {
	struct host_socket *owner; /* NULL = closed */
	enum world_kind kind;
	struct ip_endpoint at;
	struct ip_endpoint to; /* streams */
	uint16_t ident;
	struct world_packet *in;     /* datagrams */
	struct world_packet *errors; /* of the error queue */
	int receive_error;	     /* what receiving says, again and again */
	struct ip_endpoint waiting[256];
	unsigned waiting_count; /* clients of a listener */
	uint32_t events;	/* to be delivered */
	bool reset;
};

struct world_sent {
	int socket;
	struct host_datagram datagram;
	uint16_t sequence;
	size_t size;
	uint8_t *bytes;
};

/* What a guest heard. */
struct world_heard {
	struct packet packet;
	size_t frame_size;
	uint8_t *frame;
	const uint8_t *payload; /* behind the L4 header; of a fragment, behind the IP header */
	size_t payload_size;
	struct icmp_header icmp; /* ICMP only */
	bool has_quote;
	struct icmp_quote quote; /* ICMP errors only */
};

struct world {
	struct clock clock;
	uint64_t now_ns;
	struct random_seeded random;
	struct drop_counters drops;
	struct loop *loop;
	struct host host;
	struct frame_sink to_guest;
	unsigned flushed;
	unsigned pushed; /* frames, before they are cut */
	unsigned super_frames;
	bool holding; /* guests' frames are one batch, until guests_flush() */
	struct nat_config config;
	struct nat *nat;
	struct world_socket sockets[WORLD_SOCKETS];
	int socket_count;
	unsigned sockets_open;
	unsigned sockets_most; /* then -EMFILE */
	bool no_echo;
	bool no_default_route;
	uint16_t next_port;
	int send_error; /* what udp_send and echo_send say, negative */
	/* The datagram that comes behind so many fails once, with fails_with; 0 = none. */
	unsigned fails_behind;
	int fails_with;	     /* negative; 0 = none fails */
	unsigned send_calls; /* of udp_send and udp_send_batch */
	uint32_t path_mtu;
	struct world_sent sent[WORLD_SENT];
	unsigned sent_count;
	unsigned sent_seen;
	struct world_heard heard[WORLD_HEARD];
	unsigned heard_count;
	unsigned heard_seen;
	unsigned ready_calls;
	unsigned accept_calls;
};

extern struct world *world;

/* Of a config to start from, which the test may change before world_start(). */
struct nat_config world_config(void);
void world_start(const struct nat_config *config);
void world_end(void);
/* cmocka fixtures with the config as it is. */
int world_setup(void **state);
int world_teardown(void **state);

/* Delivers events until nothing happens any more. */
void world_run(void);
/* One batch of the loop, with the events that are due. */
void world_batch(void);
/* Moves the clock in small steps. */
void world_pass(uint64_t duration_ns);
uint64_t world_drops(enum drop_reason reason);

struct ip_endpoint at(uint32_t addr, uint16_t port);
struct ip_endpoint at6(const char *text, uint16_t port);

/* How a guest's packet looks; 0 = as usual. */
struct world_shape {
	uint32_t bridge_port; /* 0 = WORLD_PORT */
	uint8_t ttl;
	uint8_t tos;
	bool dont_fragment;
	size_t size; /* of a payload that is a pattern */
};

void guest_udp(struct ip_endpoint from, struct ip_endpoint to, const char *text);
void guest_udp_shaped(struct ip_endpoint from, struct ip_endpoint to, struct world_shape shape);
/* Datagrams of gso_size bytes each in one frame. */
void guest_udp_super(struct ip_endpoint from, struct ip_endpoint to, struct world_shape shape,
		     uint16_t gso_size);
/* From now on the frames of all guests are one batch, until guests_flush(). */
void guests_hold(void);
void guests_flush(void);
void guest_echo(uint32_t from, uint32_t to, uint16_t ident, uint16_t sequence);
void guest_echo_shaped(uint32_t from, uint32_t to, uint16_t ident, uint16_t sequence,
		       struct world_shape shape);
void guest_icmp(uint32_t from, uint32_t to, const struct icmp_header *header);
void guest_syn(struct ip_endpoint from, struct ip_endpoint to);
void world_fill(uint8_t *bytes, size_t size);

/* The next thing sent to the world, or heard by guests, in order. NULL when there is none. */
struct world_sent *next_sent(void);
struct world_heard *next_heard(void);
struct world_sent *must_send(void) __attribute__((returns_nonnull));
struct world_heard *must_hear(void) __attribute__((returns_nonnull));
void forget_all(void);
/* Fails unless it says that text and came from there. */
void expect_heard(struct ip_endpoint from, struct ip_endpoint to, const char *text);
struct world_sent *expect_sent(struct ip_endpoint to, const char *text);
void expect_silence(void);
/* An ICMP error about the guest's packet to `seen`; returns it. */
struct world_heard *expect_error(uint32_t origin, uint8_t type, uint8_t code, uint32_t seen);

/* The socket that last sent; -1 when none did. */
int last_sender(void);
/* A datagram for that socket. local: the address it came to. */
void world_arrives(int socket, struct ip_endpoint from, uint32_t local, const char *text);
void world_arrives_bytes(int socket, const struct host_datagram *datagram, const void *bytes);
/* A reply to an echo request of that socket. */
void world_echo_reply(int socket, uint32_t from, uint16_t sequence, const char *text);
/* An entry of the error queue. */
void world_fails(int socket, const struct host_icmp_error *error, uint16_t sequence,
		 const void *bytes, size_t size);
/* A client connects to the listener. */
void world_connects(int socket, struct ip_endpoint from);
/* The socket bound at that endpoint; fails when there is none. */
int world_bound_at(struct ip_endpoint at);

/* Adds a forward and returns the number of its socket. */
int world_forward(uint8_t protocol, struct ip_endpoint external, struct ip_endpoint internal);

/* Between world_host.c (the sockets) and world.c (everything else). */
extern const struct host_ops world_host_ops;
struct world_packet *world_packet_new(const struct iovec *iov, size_t count);
void world_arrive(struct world_socket *socket, struct world_packet *packet);
