#pragma once
/* UDP mappings: one unconnected socket per guest endpoint (RFC 4787). */

#include "nat/nat_internal.h"

int udp_table_new(struct nat *nat, struct udp_table **ret_table) MUST_USE;
struct udp_table *udp_table_free(struct udp_table *table);

/* A UDP packet from a guest: IPv4, dissected (has_l4), not a fragment, checksum verified, its marks
 * sound; a super-frame is as many datagrams. It may leave with udp_send_flush(). */
void udp_input(struct nat *nat, struct frame *frame);
/*
 * Datagrams or errors wait on a forward's socket. Its flows use that socket, so that peers see the
 * external port. True: there may be more, call again soon (the socket is edge-triggered).
 */
bool udp_forward_ready(struct nat *nat, const struct nat_forward *forward,
		       struct host_socket *socket, uint32_t events) MUST_USE;
/* Before the socket is closed: the clients that came by it are forgotten. */
void udp_forward_gone(struct nat *nat, struct host_socket *socket);
void udp_port_gone(struct nat *nat, uint32_t port);
/* nat_review(): the peers from *next on. False: not all were looked at. */
bool udp_review_slice(struct nat *nat, uint32_t *next) MUST_USE;
uint32_t udp_flow_count(const struct nat *nat);
