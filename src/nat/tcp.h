#pragma once
/* TCP of this room as its neighbours see it; the flow itself is in tcp_flow.h. */

#include "nat/nat_internal.h"

int tcp_table_new(struct nat *nat, struct tcp_table **ret_table) MUST_USE;
struct tcp_table *tcp_table_free(struct tcp_table *table);

/* A TCP packet from a guest: IPv4, dissected (has_l4), not a fragment; checksum not yet
 * verified. */
void tcp_input(struct nat *nat, struct frame *frame);

/*
 * A connection waits on a forward's listener: accepts it into a flow's own socket and opens the
 * flow towards the guest's `internal` endpoint. The client is seen as policy_client_seen() says,
 * its port changed where two would collide. Where no flow is left, or the rules forbid the client, it
 * gets RST.
 * 0 = one was accepted (whatever became of it); -EAGAIN = none waits; -EMFILE, -ENFILE and others
 * from accept: try later.
 */
int tcp_accept_to_guest(struct nat *nat, struct host_socket *listener,
			const struct ip_endpoint *internal) MUST_USE;

/* nat_connect() */
int tcp_connect_to_guest(struct nat *nat, const struct ip_endpoint *guest, int fd,
			 struct nat_opening *opening) MUST_USE;

void tcp_port_ready(struct nat *nat, uint32_t port);
void tcp_port_gone(struct nat *nat, uint32_t port);
/* nat_review(): the entries from *next on. False: not all were looked at. */
bool tcp_review_slice(struct nat *nat, uint32_t *next) MUST_USE;
void tcp_drain(struct nat *nat);
bool tcp_is_drained(const struct nat *nat);
uint32_t tcp_flow_count(const struct nat *nat);
uint64_t tcp_unsent_bytes(const struct nat *nat);
