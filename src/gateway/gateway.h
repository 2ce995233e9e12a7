#pragma once
/*
 * The gateway of a network: what the guests find at the first host address. Answers ARP, echo,
 * DHCP, DNS and HTTP, reassembles fragments, guards against spoofed sources, and hands everything else
 * to NAT. In the other direction it is the neighbour stage: frames from NAT carry the guest's IP
 * address and get its MAC here.
 *
 *     bridge -> gateway_guest_side() -> [arp, echo, dhcp, dns, reassembly] -> nat
 *     nat    -> gateway_nat_side()   -> [neighbour: MACs]                  -> bridge
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/drop.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "host/host.h"
#include "loop/loop.h"
#include "wire/frame_sink.h"

struct gateway;

#define GATEWAY_MAX_RESERVATIONS 256
#define GATEWAY_NAME_SIZE	 64

struct gateway_reservation {
	struct mac_addr mac;
	struct ip_addr addr;
};

/* What guests may fetch by HTTP from the gateway's address. */
struct gateway_document {
	const char *path; /* begins with "/" */
	const uint8_t *bytes;
	size_t size;
};

struct gateway_config {
	struct mac_addr mac;	 /* the gateway's */
	struct ip_addr addr;	 /* the gateway's: first host of the subnet */
	struct ip_prefix subnet; /* canonical */
	uint32_t mtu;
	bool dhcp;
	bool dns;
	bool local_names_only; /* nothing is asked outside: a question can carry data, too */
	bool route;	       /* offer ourselves as router (false without NAT) */
	/* Names the gateway answers by itself; "" = none. The guest's name stands for the first
	 * reservation's address. */
	char hostname[GATEWAY_NAME_SIZE];
	char domain[GATEWAY_NAME_SIZE];
	struct gateway_reservation reservations[GATEWAY_MAX_RESERVATIONS];
	uint32_t reservation_count;
	const struct gateway_document *documents; /* copied by gateway_new() */
	size_t document_count;
	/* May a guest ask the gateway itself? Echo and DNS over UDP (port 53) are asked about here, other
	 * services by NAT, ARP and DHCP never; NULL = it may. port 0: echo. */
	bool (*admits)(void *context, uint8_t protocol, uint16_t port);
	void *admits_context;
};

/* Borrowed for the gateway's life. */
struct gateway_context {
	struct loop *loop; /* timers, time, deferred work */
	struct random *random;
	const struct log *log;
	struct drop_counters *drops;
	struct host *host;
	struct frame_sink *to_bridge;
};

struct gateway_neighbour {
	struct mac_addr mac;
	struct ip_addr addr;
	bool leased;
	uint64_t lease_left_s; /* UINT64_MAX = for ever */
};

int gateway_new(const struct gateway_config *config, const struct gateway_context *context,
		struct gateway **ret_gateway) MUST_USE;
struct gateway *gateway_free(struct gateway *gateway);

/* Where NAT's side begins; must be set before the first frame. NULL = no NAT: such frames are
 * dropped (NAT_OFF). */
void gateway_set_nat(struct gateway *gateway, struct frame_sink *to_nat);

struct frame_sink *gateway_guest_side(struct gateway *gateway);
struct frame_sink *gateway_nat_side(struct gateway *gateway);

/* DNS over TCP at the gateway's address, for NAT to connect flows to. NULL when dns is off. */
struct host_stream_service *gateway_dns_stream(struct gateway *gateway);
/* The same for its documents, by HTTP. NULL when there are none. */
struct host_stream_service *gateway_documents(struct gateway *gateway);

/* A port is gone: what was learnt by it is forgotten; leases stay. */
void gateway_port_gone(struct gateway *gateway, uint32_t port);

/* The address that is that MAC's now, by reservation or lease, and until when at the most. */
bool gateway_address_of(const struct gateway *gateway, const struct mac_addr *mac,
			struct ip_addr *ret_addr, uint64_t *ret_until_ns) MUST_USE;
/* While this number is the same, nobody gets or loses an address, but for time. */
uint32_t gateway_address_changes(const struct gateway *gateway);

/* Copies up to capacity; returns how many there are. */
size_t gateway_neighbours(const struct gateway *gateway, struct gateway_neighbour *ret_neighbours,
			  size_t capacity);
