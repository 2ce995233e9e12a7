#pragma once
/* Echo through ping sockets, and ICMP errors towards the guest. */

#include "nat/nat_internal.h"

int icmp_table_new(struct nat *nat, struct icmp_table **ret_table) MUST_USE;
struct icmp_table *icmp_table_free(struct icmp_table *table);

/* An ICMP packet from a guest: IPv4, dissected (has_l4), not a fragment, checksum verified. */
void icmp_input(struct nat *nat, struct frame *frame);
void icmp_port_gone(struct nat *nat, uint32_t port);
uint32_t icmp_flow_count(const struct nat *nat);

/*
 * Tells a guest that a packet of its own did not arrive: rebuilds the packet's headers from the
 * flow (guest -> remote, protocol; quote = the bytes behind its IP header, at least the first 8)
 * and sends an ICMP error of type and code from `origin`. Rate limited per network
 * (RFC 1812 4.3.2.8). mtu only for "fragmentation needed".
 */
void icmp_send_error(struct nat *nat, const struct ip_addr *origin, const struct ip_addr *guest,
		     const struct ip_addr *remote, uint8_t protocol, uint8_t type, uint8_t code,
		     uint32_t mtu, const void *quote, size_t quote_size);
