#pragma once
/* The table of forwards: listeners at the host, each leading to one endpoint of a guest. */

#include "nat/nat_internal.h"

int forward_table_new(struct nat *nat, struct forward_table **ret_table) MUST_USE;
struct forward_table *forward_table_free(struct forward_table *table);

/* The UDP socket of a forward whose internal endpoint is that guest endpoint, so that the guest's
 * own datagrams leave by the external port; NULL when there is none. */
struct host_socket *forward_udp_socket(const struct nat *nat, const struct ip_endpoint *guest,
				       const struct nat_forward **ret_forward);
