#pragma once
/* Echo through ping sockets. */

#include "nat/icmp_error.h"
#include "nat/nat_internal.h"

int icmp_table_new(struct nat *nat, struct icmp_table **ret_table) MUST_USE;
struct icmp_table *icmp_table_free(struct icmp_table *table);

/* An ICMP packet from a guest: IPv4, dissected (has_l4), not a fragment, checksum verified. */
void icmp_input(struct nat *nat, struct frame *frame);
void icmp_port_gone(struct nat *nat, uint32_t port);
uint32_t icmp_flow_count(const struct nat *nat);
