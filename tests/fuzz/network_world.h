#pragma once
/*
 * A whole network for the fuzzer: bridge, gateway and NAT joined as network/stages.c joins them,
 * over the fake host and the fake clock of the scenario tests.
 *
 *     guests --> [ bridge | gateway | nat ] <--> fake host <--> peers
 *
 * Each port checks every frame that it is given, as it leaves the port's door: dissected, verified,
 * within the MTU, from the gateway or from another guest. In the end nothing may be left, and out of a
 * host-only network nothing may have come but what its forwards' clients are told.
 */

#include "bridge/bridge.h"
#include "capture/capture.h"
#include "fuzz.h"
#include "gateway/gateway.h"
#include "nat/nat.h"
#include "rig/rig_host.h"

#define WORLD_GUESTS	   3 /* on one port each; number 0 has the reservation */
#define WORLD_TALKS	   8
#define WORLD_TALK_FORWARD (WORLD_TALKS - 1) /* the one that clients of the forward began */

#define WORLD_PREFIX	       29
#define WORLD_FORWARD_TCP      2222
#define WORLD_FORWARD_UDP      5353
#define WORLD_GUEST_TCP	       22
#define WORLD_GUEST_UDP	       53
#define WORLD_ADDR_GATEWAY     0xc0a84d01 /* 192.168.77.1 */
#define WORLD_ADDR_GUEST       0xc0a84d02
#define WORLD_ADDR_NEVER_THERE 0xc0a84d05
#define WORLD_ADDR_HOST	       0xc6336401 /* 198.51.100.1 */
#define WORLD_ADDR_RESOLVER    0xc6336435
#define WORLD_ADDR_SERVER      0xcb007105 /* 203.0.113.5 */
#define WORLD_ADDR_CLIENT      0xcb007109

/* The first byte of an input. */
#define WORLD_PEEK	   0x01 /* NAT_BACKLOG_PEEK */
#define WORLD_HOST_ACCESS  0x02 /* lan, with _LOOPBACK: loopback; that alone: host-only */
#define WORLD_LOOPBACK	   0x04
#define WORLD_OPEN_FILTER  0x08 /* endpoint-independent filtering */
#define WORLD_CAPTURE	   0x10
#define WORLD_SMALL_MTU	   0x20
#define WORLD_LARGE_MTU	   0x40
#define WORLD_SMALL_TABLES 0x80

/* A TCP connection as the guest's side of it would go on, from what it heard. */
struct world_talk {
	unsigned guest;
	uint16_t port;
	struct ip_endpoint remote;
	uint32_t next;	      /* sequence number to say next, as acknowledged */
	uint32_t acknowledge; /* behind the last byte heard */
	bool began;	      /* a SYN was heard, and is */
	uint32_t initial;
};

struct world_port {
	struct world *world;
	struct frame_sink sink;
	unsigned guest;
	uint32_t index; /* the bridge's number */
	struct frame_sink *ingress;
	bool full;
	bool asked; /* somebody was told that there is no room */
};

struct world {
	struct rig_time time;
	struct random_seeded random;
	struct drop_counters drops;
	struct log log;
	struct rig_host host;
	struct rig_server server;
	struct rig_udp_server resolver;
	struct rig_udp_server udp_server;
	struct bridge *bridge;
	struct gateway *gateway;
	struct nat *nat;
	struct capture *capture;
	bool host_only;
	uint32_t mtu;
	struct world_port *ports[WORLD_GUESTS]; /* NULL = detached */

	struct world_talk talks[WORLD_TALKS];
	/* The last datagram that left for the resolver, for the world. */
	bool has_query;
	struct ip_endpoint query_from;
	struct ip_endpoint query_to;
	uint8_t query_id[2];
	bool has_datagram;
	struct ip_endpoint datagram_from;
	struct ip_endpoint datagram_to;
	struct rig_peer *client; /* of a forward, the last one; may be NULL */
};

struct mac_addr world_guest_mac(unsigned guest);
struct ip_addr world_guest_addr(unsigned guest);
extern const struct mac_addr world_gateway_mac;

/* network_arrival.c: the guests' ends of the ports. */
extern const struct frame_sink_ops world_port_ops;

/* All guests attached, the forwards bound. `marks`: the first byte of the input. */
void world_start(struct world *world, uint8_t marks);
void world_attach(struct world *world, unsigned guest);
void world_detach(struct world *world, unsigned guest);
void world_set_full(struct world *world, unsigned guest, bool full);
/* Bytes of a guest, dissected as an attachment does it. */
void world_send(struct world *world, unsigned guest, const uint8_t *bytes, size_t size);
/* A frame of a guest with the offload marks that it has. */
void world_push(struct world *world, unsigned guest, struct frame *frame);
/* The end of a batch. */
void world_flush(struct world *world, unsigned guest);
/* Takes the guests away, waits, and checks that nothing is left. */
void world_end(struct world *world);
