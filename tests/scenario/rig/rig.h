#pragma once
/*
 * A scenario: NAT alone between a fake guest and a fake world, or the whole network.
 *
 *     guest --up--> [ nat ] <--> fake host <--> peers
 *           <-down--
 *
 *     guest --up--> [ filter, bridge, gateway, nat ] <--> fake host <--> peers     (config.whole)
 *           <-down--
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/log.h"
#include "bridge/bridge.h"
#include "filter/filter.h"
#include "gateway/gateway.h"
#include "nat/nat.h"
#include "nat/tcp_flow.h"
#include "rig/rig_guest.h"
#include "rig/rig_host.h"
#include "rig/rig_link.h"
#include "rig/rig_port.h"
#include "rig/rig_tcp.h"
#include "rig/rig_time.h"

struct rig_config {
	uint64_t seed;
	enum nat_backlog backlog;
	struct rig_link_model up;
	struct rig_link_model down;
	uint32_t mtu;		     /* 0 = 1500 */
	uint32_t flow_capacity;	     /* 0 = 256 */
	uint32_t half_open_capacity; /* 0 = 64 */
	enum nat_host_access host_access;
	bool endpoint_independent; /* UDP filtering */
	bool whole;
	bool host_only; /* VMNET_HOST_MODE, as network/stages.c has it */
	/* The network's rules; NULL = none. */
	bool (*admits)(void *context, const struct nat_question *question);
	void *admits_context;
	/* Real ones in their place, and the filter's stage: whole. Taken over. */
	struct filter_policy *policy;
};

struct rig {
	struct rig_config config;
	struct rig_time time;
	struct random_seeded random;
	struct drop_counters drops;
	struct log log;
	uint64_t log_lines;
	struct rig_link up;
	struct rig_link down;
	struct rig_guest guest;
	struct rig_port port;
	struct rig_host host;
	struct bridge *bridge;	 /* whole */
	struct gateway *gateway; /* whole */
	struct filter *filter;	 /* whole, with a policy */
	struct frame_sink *ingress;
	uint32_t guest_port; /* the bridge port that the guest is on */
	uint32_t sockets_at_start;
	struct nat *nat;
	struct frame frame;
};

/* 192.168.77.0/30: .1 is the gateway, .2 the guest; the host is 198.51.100.1. */
struct rig *rig_new(const struct rig_config *config);
/* Ends the network whatever state it is in. */
void rig_free(struct rig *rig);

/* A super-frame of the guest, with a partial checksum: datagrams of gso_size bytes each. It comes past
 * the wire, which has none, and at once. */
void rig_send_udp_super(struct rig *rig, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const void *payload, size_t size,
			uint16_t gso_size);

/* Nothing is left of any TCP connection: no flow, no budget, no block, no socket but listeners. */
bool rig_is_clean(const struct rig *rig);
/* The same as a sentence for fail_msg(), NULL when clean. */
const char *rig_what_is_left(const struct rig *rig);
/* What the network does when a guest's attachment ends. */
void rig_port_gone(struct rig *rig);
struct tcp_table *rig_tcp_table(const struct rig *rig);

struct ip_endpoint rig_endpoint(uint32_t addr, uint16_t port);
struct ip_endpoint rig_guest_endpoint(const struct rig *rig, uint16_t port);
/* A forward from port `external` of every IPv4 address of the host. */
void rig_forward(struct rig *rig, uint16_t external, uint16_t internal);

#define RIG_ADDR_GATEWAY 0xc0a84d01
#define RIG_ADDR_GUEST	 0xc0a84d02
#define RIG_ADDR_HOST	 0xc6336401 /* 198.51.100.1 */
#define RIG_ADDR_SERVER	 0xcb007105 /* 203.0.113.5 */
#define RIG_ADDR_CLIENT	 0xcb007109
