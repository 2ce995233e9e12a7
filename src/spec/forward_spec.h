#pragma once
/*
 * Port forwards as people write them, a superset of Tart's grammar:
 *
 *     [HOST_ADDRESS:]EXTERNAL[-END]:INTERNAL[-END][/tcp|udp][,...]
 *
 * An IPv6 host address stands in brackets; EXTERNAL 0 takes a free port; empty pieces between
 * commas are dropped; a number may have leading zeros and one leading '+', as in Tart.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct error;
struct vmnet_port_forward;

#define FORWARD_SPECS_MOST                                                                         \
	((size_t)4096) /* forwards of all specs together: as many as a network has */

struct forward_spec {
	uint8_t protocol;	/* IPPROTO_TCP or IPPROTO_UDP */
	struct ip_addr address; /* IP_FAMILY_NONE = not written */
	uint16_t external;	/* first of the range; 0 = any free port */
	uint16_t internal;	/* first of the range; 0 = not written (only where allowed) */
	uint32_t count;		/* ports in each range, at least 1 */
};

struct forward_specs {
	struct forward_spec *items;
	size_t count;
};

/*
 * Appends what `text` says. False with a sentence that names the bad piece: then nothing was
 * appended. What it finds twice, also against what was there before, is refused.
 */
bool forward_specs_parse(struct forward_specs *specs, const char *text, struct error *err) MUST_USE;
/* The same for forwards to be removed: ":INTERNAL[-END]" may be left out, EXTERNAL 0 is refused. */
bool forward_specs_parse_removal(struct forward_specs *specs, const char *text,
				 struct error *err) MUST_USE;
void forward_specs_done(struct forward_specs *specs);

/* The forward of port number `index` (below spec->count) of the ranges. Family and address are left
 * as they are where the spec has none: the caller puts its default there before. */
void forward_spec_get(const struct forward_spec *spec, uint32_t index,
		      struct vmnet_port_forward *forward);
