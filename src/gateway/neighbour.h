#pragma once
/* ARP (RFC 826), who may use which source address, and the MACs of frames towards the guests. */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/random.h"
#include "gateway/neighbour_table.h"

struct frame;
struct gateway;

/* Addresses that were asked for a moment ago. */
#define NEIGHBOUR_ASKED 64

struct neighbour_asked {
	struct ip_addr addr;
	uint64_t at_ns;
};

struct neighbour {
	struct neighbour_table table;
	struct neighbour_asked asked[NEIGHBOUR_ASKED];
};

int neighbour_init(struct gateway *gateway) MUST_USE;
void neighbour_done(struct gateway *gateway);

/* An ARP frame from a guest. */
void neighbour_arp_input(struct gateway *gateway, struct frame *frame);

/*
 * A guest's IP packet or ARP message says that mac at the port uses addr (which is a guest address
 * of the subnet). An address with a reservation or lease belongs to that MAC alone; any other is
 * learnt. False: it is somebody else's.
 */
bool neighbour_claim(struct gateway *gateway, const struct ip_addr *addr,
		     const struct mac_addr *mac, uint32_t port) MUST_USE;

/* Is the address in use by another MAC, as far as we heard? */
bool neighbour_in_use(void *gateway, const struct ip_addr *addr, const struct mac_addr *mac);

/*
 * A frame from NAT: gets its MACs and goes to the bridge. Without a known MAC the guest is asked by
 * ARP, at most once a second for an address, and the frame is dropped: TCP sends again, and so do
 * the askers over UDP.
 */
void neighbour_output(struct gateway *gateway, struct frame *frame);
