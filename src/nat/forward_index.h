#pragma once
/*
 * Finds forwards by what packets say. Guests ask for each new flow, and for each datagram that is
 * refused, so a look-up must not cost more the more forwards there are. Rules are borrowed. Where
 * several fit, the one that was added first is found.
 */

#include <stdint.h>

#include "base/index.h"
#include "nat/nat.h"

#define FORWARD_INDEX_MOST 16384

struct forward_index {
	const struct nat_forward **rules; /* [FORWARD_INDEX_MOST], by number; NULL = unused */
	uint32_t count;
	uint32_t last;		  /* the number that was given last */
	struct index by_external; /* protocol and external port: many addresses may share it */
	struct index by_internal; /* protocol and internal endpoint */
};

/* 0 or -ENOMEM. */
int forward_index_init(struct forward_index *index, struct random *random) MUST_USE;
void forward_index_done(struct forward_index *index);

/* There must be room. */
void forward_index_add(struct forward_index *index, const struct nat_forward *rule);
void forward_index_remove(struct forward_index *index, const struct nat_forward *rule);

/* Each NULL when there is none. */

const struct nat_forward *forward_index_exact(const struct forward_index *index, uint8_t protocol,
					      const struct ip_endpoint *external);
/* What listens there, by that address or by the unspecified one of its family. */
const struct nat_forward *forward_index_listening(const struct forward_index *index,
						  uint8_t protocol, const struct ip_endpoint *at);
/* Whatever its address, but rather one on IPv4. */
const struct nat_forward *forward_index_port(const struct forward_index *index, uint8_t protocol,
					     uint16_t port);
/* On IPv4, leading to that endpoint of a guest. */
const struct nat_forward *forward_index_leading_to(const struct forward_index *index,
						   uint8_t protocol,
						   const struct ip_endpoint *internal);
