/*
 * Theory of operation
 *
 * A guest's datagram goes by the peer that (guest, destination) names: an answer to a client of a
 * forward leaves by the forward's socket and from the address the client asked; everything else by
 * the mapping's own socket, which is opened once and keeps its port for all destinations
 * (endpoint-independent mapping, RFC 4787 4.1). A guest endpoint that has a forward on the wildcard
 * address talks to the outside by the forward's socket, so that peers see the external port.
 *
 * DF, TTL and TOS are carried. What the host refuses at once comes back to the guest as an ICMP
 * error (udp_send.c); what the network refuses later comes by the socket's error queue
 * (udp_receive.c).
 */

#include "nat/udp.h"

#include "nat/forward.h"
#include "nat/icmp_flow.h"
#include "nat/udp_send.h"
#include "nat/udp_table.h"
#include "wire/frame_segment.h"
#include "wire/icmp.h"

/* The socket that a first datagram to the outside leaves by: a forward's, or the mapping's own. */
static struct host_socket *udp_outside_socket(struct udp_mapping *mapping)
{
	struct nat *nat = mapping->nat;
	const struct nat_forward *forward;
	struct host_socket *socket = forward_udp_socket(nat, &mapping->guest, &forward);

	/* One that is bound to an address cannot send from another. */
	if (socket && ip_addr_is_unspecified(&forward->external.addr))
		return socket;
	if (mapping->socket.fd >= 0 || udp_mapping_open(mapping))
		return &mapping->socket;
	return NULL;
}

/* The first datagram to a destination. */
static struct udp_peer *udp_peer_add(struct udp_mapping *mapping, const struct ip_endpoint *seen,
				     const struct ip_endpoint *real)
{
	const struct ip_addr no_local = {};
	struct host_socket *via = udp_outside_socket(mapping);

	if (!via)
		return NULL;
	/* The same remote by another name (the gateway for a host address): the newer name counts,
	 * since an answer can show only one. */
	struct udp_peer *other = udp_peer_by_real(mapping->nat->shard.udp, via, real, &no_local);
	if (other)
		udp_peer_free(other);
	return udp_peer_new(mapping, via, seen, real, &no_local);
}

static struct udp_peer *udp_peer_towards(struct nat *nat, const struct frame *frame,
					 const struct ip_endpoint *guest,
					 const struct ip_endpoint *seen)
{
	struct udp_table *table = nat->shard.udp;
	struct udp_peer *peer = udp_peer_by_seen(table, guest, seen);
	enum drop_reason reason;
	struct ip_endpoint real;

	if (peer && udp_peer_passes(peer))
		return peer;
	if (!policy_resolve(nat, NAT_PROTOCOL_UDP, seen, &real, &reason)) {
		nat_drop(nat, reason);
		icmp_refuse(nat, frame, ICMP_CODE_ADMIN_PROHIBITED, 0);
		return NULL;
	}
	if (!ip_addr_is_v4(&real.addr)) { /* a hairpin to a forward on IPv6 alone */
		nat_drop(nat, DROP_HOST_ACCESS);
		return NULL;
	}
	struct udp_mapping *mapping = udp_mapping_find(table, guest);
	if (!mapping)
		mapping = udp_mapping_new(table, guest, frame->port);
	if (!mapping)
		return NULL;
	peer = udp_peer_add(mapping, seen, &real);
	if (!peer)
		udp_mapping_free_bare(mapping);
	return peer;
}

/* Of a super-frame's datagrams, more than a kernel ever puts into one would keep all others
 * waiting. */
static bool udp_is_too_many(const struct frame *frame)
{
	return frame->offload.gso != FRAME_GSO_NONE &&
	       frame_segment_count(frame) > UDP_SEND_SUPER_MOST;
}

void udp_input(struct nat *nat, struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	const struct ip_endpoint guest = { packet->ip_source, packet->port_source };
	const struct ip_endpoint seen = { packet->ip_destination, packet->port_destination };
	uint64_t now_ns = nat_now(nat);

	/* CVE-2014-3640: no flow without two valid endpoints. */
	if (guest.port == 0 || seen.port == 0) {
		nat_drop(nat, DROP_BAD_L4_HEADER);
		return;
	}
	if (udp_is_too_many(frame)) {
		nat_drop(nat, DROP_BAD_OFFLOAD);
		return;
	}
	struct udp_peer *peer = udp_peer_towards(nat, frame, &guest, &seen);
	if (!peer)
		return;
	struct udp_mapping *mapping = peer->mapping;
	const struct host_datagram datagram = {
		.remote = peer->real,
		.local = peer->local,
		.ttl = (uint8_t)(packet->ip_ttl > 0 ? packet->ip_ttl - 1 : 0),
		.tos = packet->ip_tos,
		.dont_fragment = packet->ip_dont_fragment,
	};
	bool many = frame->offload.gso != FRAME_GSO_NONE &&
		    frame->payload_size > frame->offload.gso_size;
	mapping->port = frame->port;
	udp_count_several(&mapping->sent, many ? 2 : 1);
	udp_peer_touch(peer, now_ns);
	udp_mapping_touch(mapping, now_ns);
	if (many)
		udp_send_super(nat, peer->via, &datagram, frame);
	else
		udp_send(nat, peer->via, &datagram, frame);
}
