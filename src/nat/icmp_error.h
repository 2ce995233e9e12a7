#pragma once
/* ICMP errors towards guests, about packets of their own. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct frame;
struct nat;

/* Their rate (RFC 1812 4.3.2.8): a token bucket a bridge port, so that a guest that provokes errors
 * silences no other. */
#define ICMP_ERRORS_PER_S 100
#define ICMP_ERRORS_BURST 50

struct icmp_error_limit {
	uint64_t filled_ns; /* when the bucket was last filled; 0 = never */
	uint32_t tokens;
};

/* The bucket of a port, kept with the echo flows. */
struct icmp_error_limit *icmp_error_limit_of(struct nat *nat, uint32_t port);

/*
 * "Unreachable" from the gateway about a packet that the guest just sent, with that packet as
 * quote; nothing where RFC 1122 3.2.2 forbids an error. mtu only for "fragmentation needed".
 */
void icmp_refuse(struct nat *nat, const struct frame *frame, uint8_t code, uint32_t mtu);

/* The code of "unreachable" for what the host answers to a send or connect (errno, positive); false
 * where it has none. */
bool icmp_code_of_error(int error, uint8_t *ret_code);
/*
 * The host did not take the datagram or request that the guest just sent: counted, and told where
 * ICMP has a word for it. mtu: what the host named with EMSGSIZE, 0 = nothing.
 */
void icmp_refuse_unsent(struct nat *nat, const struct frame *frame, int error, uint32_t mtu);

/*
 * Who an error comes from, as the guest knows it: `origin` said so of a packet to `real`, which the
 * guest calls `seen`. What the guest may not hear of (the host's own addresses, its own subnet,
 * IPv6) is the gateway.
 */
struct ip_addr icmp_error_origin(const struct nat *nat, const struct ip_addr *origin,
				 const struct ip_addr *real, const struct ip_addr *seen);

/*
 * Tells a guest that a packet of its own did not arrive: rebuilds the packet's headers from the
 * flow (guest -> remote, protocol; quote_size = the bytes behind its IP header, 8 or more, of which
 * `quote` has as many as fit into ICMP_QUOTE_MAX) and sends an ICMP error of type and code from
 * `origin`. mtu only for "fragmentation needed". port: where the guest is, for the rate.
 */
void icmp_send_error(struct nat *nat, uint32_t port, const struct ip_addr *origin,
		     const struct ip_addr *guest, const struct ip_addr *remote, uint8_t protocol,
		     uint8_t type, uint8_t code, uint32_t mtu, const void *quote,
		     size_t quote_size);
