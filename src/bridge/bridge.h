#pragma once
/*
 * The Ethernet switch of a network: ports, the forwarding database, flooding. Each attachment
 * pushes into its port's ingress sink; what is for the gateway (its MAC) or for everybody goes to
 * the gateway's sink; the gateway pushes into bridge_gateway_side().
 *
 * A guest loses only its own port: it can neither take the gateway's MAC nor another port's, nor
 * fill the forwarding database beyond its share.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/drop.h"
#include "base/random.h"
#include "loop/loop.h"
#include "wire/frame_sink.h"

struct bridge;

#define BRIDGE_MACS_PER_PORT 16

struct bridge_config {
	struct mac_addr gateway_mac;
	struct ip_addr gateway_addr;
	uint32_t port_capacity;
	uint32_t mtu;
	bool isolated; /* guests do not see each other: what one sends goes to the gateway alone */
};

struct bridge_counters {
	uint64_t frames_from_guests;
	uint64_t bytes_from_guests;
	uint64_t frames_to_guests;
	uint64_t bytes_to_guests;
};

/* The loop tells the time; it, random and drops are borrowed for the bridge's life. */
int bridge_new(const struct bridge_config *config, struct loop *loop, struct random *random,
	       struct drop_counters *drops, struct bridge **ret_bridge) MUST_USE;
struct bridge *bridge_free(struct bridge *bridge);

/* Both borrowed: where frames for the gateway go, and (NULL = off) a copy of every frame that
 * passes a port, seen before the port's door: frame->port is the guest's that sent it, or
 * FRAME_PORT_NONE for what goes to a guest (what goes to several is seen once). */
void bridge_set_gateway(struct bridge *bridge, struct frame_sink *to_gateway);
void bridge_set_capture(struct bridge *bridge, struct frame_sink *capture);

/* The sink of the gateway's frames; room(port) asks that port. */
struct frame_sink *bridge_gateway_side(struct bridge *bridge);

/*
 * A new port whose frames leave by to_guest (borrowed). *ret_ingress is where the attachment
 * pushes what the guest sends. -ENOSPC when all are in use.
 */
int bridge_port_add(struct bridge *bridge, struct frame_sink *to_guest, uint32_t *ret_port,
		    struct frame_sink **ret_ingress) MUST_USE;
/* Forgets the port and what was learnt by it. */
void bridge_port_remove(struct bridge *bridge, uint32_t index);
uint32_t bridge_port_count(const struct bridge *bridge);

void bridge_get_counters(const struct bridge *bridge, struct bridge_counters *ret_counters);
