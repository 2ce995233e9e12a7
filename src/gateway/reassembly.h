#pragma once
/*
 * IPv4 fragments (RFC 791) in a fixed number of slots of one whole packet each, taken at the start.
 *
 * A fragment that covers bytes which are there already with others in them makes the whole packet
 * worthless (in the spirit of RFC 5722): its slot swallows what still comes for it, until it times
 * out. A port has a share of the slots and loses its own oldest beyond it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/drop.h"
#include "loop/loop.h"

struct frame;
struct reassembly;

#define REASSEMBLY_SLOTS      16
#define REASSEMBLY_PORT_SHARE 8
#define REASSEMBLY_TIMEOUT_S  30

/* loop and drops are borrowed. 0 or -ENOMEM. */
int reassembly_new(struct loop *loop, struct drop_counters *drops,
		   struct reassembly **ret_reassembly) MUST_USE;
struct reassembly *reassembly_free(struct reassembly *reassembly);

/*
 * Takes a fragment (packet.ip_is_fragment; IPv4 without options). True: its packet is whole,
 * dissected in *ret_whole, which borrows memory until the next call. False: kept or dropped.
 */
bool reassembly_add(struct reassembly *reassembly, const struct frame *frame,
		    struct frame *ret_whole) MUST_USE;
void reassembly_port_gone(struct reassembly *reassembly, uint32_t port);
