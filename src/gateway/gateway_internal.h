#pragma once
/*
 * What the files of this room share: the gateway with its parts, and the way out to the guests.
 *
 *     gateway.c         the doors, source checks, who gets a frame
 *     neighbour.c       ARP, which MAC for which address      neighbour_table.c   what was learnt
 *     dhcp_server.c     answers by message and client state   lease_pool.c        who holds what
 *     dns_forwarder.c   queries over UDP                      dns_stream.c        over TCP
 *     dns_zone.c        names answered here                   dns_answer.c        ... or asked outside?
 *     reassembly.c      fragments                             document_server.c   HTTP
 *     stream_sessions.c what the two services over TCP have in common, and whose share is how large
 *     echo.c            ping, and ICMP errors of our own
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/dns_zone.h"
#include "gateway/gateway.h"
#include "gateway/lease_pool.h"
#include "gateway/neighbour.h"
#include "gateway/reassembly.h"
#include "wire/frame.h"

struct dns_forwarder;
struct dns_stream;
struct document_server;

/* Ports share these buckets, so that a guest that provokes errors silences few others. */
#define GATEWAY_RATE_BUCKETS	  64
#define GATEWAY_ICMP_ERRORS_PER_S 100

/* At most so many in each second; a window, not a bucket: exactness is not needed. */
struct gateway_rate {
	uint64_t start_ns;
	uint32_t used;
};

struct gateway {
	struct gateway_config config;
	struct gateway_context context;
	struct frame_sink guest_side;
	struct frame_sink nat_side;
	struct frame_sink *to_nat;
	struct loop_deferred flush; /* scheduled by gateway_push(): one flush a batch */
	struct gateway_rate icmp_rate[GATEWAY_RATE_BUCKETS];
	struct neighbour neighbour;
	struct lease_pool leases;
	struct reassembly *reassembly;
	struct dns_zone zone;
	struct dns_forwarder *dns; /* NULL when off, as the next */
	struct dns_stream *stream;
	struct document_server *documents; /* NULL: there are none */
	struct log_limit lease_log;
	uint16_t ip_id;
};

static inline uint64_t gateway_now(const struct gateway *gateway)
{
	return loop_now(gateway->context.loop);
}

static inline void gateway_drop(const struct gateway *gateway, enum drop_reason reason)
{
	drop_count(gateway->context.drops, reason);
}

bool gateway_rate_take(struct gateway_rate *rate, uint64_t now_ns, uint32_t per_second);

/* May be a guest's: inside the subnet, not the gateway's, network or broadcast address. */
bool gateway_is_guest_addr(const struct gateway *gateway, const struct ip_addr *addr);

/* Towards the bridge; the flush comes at the end of the batch. */
void gateway_push(struct gateway *gateway, struct frame *frame);
/* The same, in fragments where the packet is longer than the MTU. */
void gateway_push_fragmented(struct gateway *gateway, struct frame *frame);
/* From the gateway's address and from_port. */
void gateway_send_udp(struct gateway *gateway, uint16_t from_port, const struct mac_addr *mac,
		      const struct ip_endpoint *to, const void *payload, size_t size);

/* The next IPv4 identification for a packet of ours. */
uint16_t gateway_ip_id(struct gateway *gateway);
