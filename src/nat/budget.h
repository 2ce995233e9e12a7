#pragma once
/*
 * How many flows there may be: one count for the whole network (each flow costs a file
 * descriptor), one per bridge port, so that a guest cannot take another's share: a port holds at
 * most the capacity divided by the ports that have flows, but never less than BUDGET_PORT_MIN.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define BUDGET_PORT_MIN 64

struct budget {
	uint32_t capacity;
	uint32_t kept_back; /* of the capacity: for ports that have less than BUDGET_PORT_MIN */
	uint32_t used;
	uint32_t port_capacity;
	uint32_t ports_in_use;
	uint32_t *port_used; /* [port_capacity] */
};

/* 0 or -ENOMEM. */
int budget_init(struct budget *budget, uint32_t capacity, uint32_t port_capacity) MUST_USE;
void budget_done(struct budget *budget);
/*
 * Shares only shrink when somebody else comes, who finds the table full of flows that last. So an
 * eighth is kept for those who have next to nothing, where there can be others and it is worth it.
 */
void budget_keep_back(struct budget *budget);
/* False when the network's or the port's share is used up. Ports beyond port_capacity
 * (FRAME_PORT_NONE: a forward's client before the guest answered) count for the network only. */
bool budget_has_room(const struct budget *budget, uint32_t port) MUST_USE;
bool budget_take(struct budget *budget, uint32_t port) MUST_USE;
void budget_give(struct budget *budget, uint32_t port);
/*
 * Who should give way where `port` was refused: the port that holds the most, which is `port` itself
 * where it has its share or nobody has more. One pass over the ports: for what is rare or costs a
 * system call anyway.
 */
uint32_t budget_richest(const struct budget *budget, uint32_t port);
