/*
 * What comes back from the host: answers, datagrams of a forward's clients, and the error queue.
 * An answer on a mapping's own socket passes when the guest talked to that address before
 * (address-dependent filtering, RFC 4787 5), or whatever it is with endpoint-independent filtering.
 */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "nat/icmp_flow.h"
#include "nat/udp.h"
#include "nat/udp_table.h"
#include "wire/icmp.h"
#include "wire/packet_build.h"
#include "wire/udp.h"
#include "wire/writer.h"

/* Datagrams taken from one socket before others get their turn. */
#define UDP_RECEIVE_BATCH 64
#define UDP_ERRORS_MOST	  1024
/* By so much an IPv6 header is longer than an IPv4 header. */
#define UDP_IPV6_HEADER_MORE 20
/* Ports tried for a client whose own port another client of the same address has. */
#define UDP_PORT_TRIES 32
#define UDP_PORT_FIRST 1024

/* --- towards the guest -------------------------------------------------------------------- */

static void udp_deliver(struct udp_peer *peer, const struct host_datagram *datagram, size_t size)
{
	struct udp_mapping *mapping = peer->mapping;
	struct nat *nat = mapping->nat;
	struct udp_table *table = nat->shard.udp;
	struct iovec payload = { table->buffer, size };
	const struct packet_link link = {
		.source = nat->config.mac,
		.tos = datagram->tos,
		.ttl = datagram->ttl,
		.id = table->next_id++,
	};
	struct frame frame;

	if (datagram->size > size ||
	    !packet_build_udp(&frame, &link, &peer->seen, &mapping->guest, &payload, 1) ||
	    !nat_push_datagram(nat, &frame))
		nat_drop(nat, DROP_LONG_FRAME);
}

static bool udp_is_peer_allowed(const struct udp_mapping *mapping, const struct ip_addr *addr)
{
	return mapping->nat->config.udp_endpoint_independent_filtering ||
	       udp_peer_by_addr(mapping, addr);
}

/* The peer that a datagram on the mapping's own socket belongs to; NULL with the drop counted. */
static struct udp_peer *udp_peer_from_outside(struct udp_mapping *mapping,
					      const struct host_datagram *datagram)
{
	struct udp_table *table = mapping->nat->shard.udp;
	const struct ip_addr no_local = {};
	struct udp_peer *peer =
		udp_peer_by_real(table, &mapping->socket, &datagram->remote, &no_local);

	bool allowed = udp_is_peer_allowed(mapping, &datagram->remote.addr);
	if (peer && (allowed || !udp_peer_is_stale(peer)))
		return peer;
	if (!allowed) {
		nat_drop(mapping->nat, DROP_UDP_PEER);
		return NULL;
	}
	struct ip_endpoint seen = policy_client_seen(mapping->nat, &datagram->remote);
	struct udp_peer *same = udp_peer_by_addr(mapping, &datagram->remote.addr);
	if (same) /* the address the guest knows it by */
		seen.addr = same->seen.addr;
	if (udp_peer_by_seen(table, &mapping->guest, &seen)) {
		nat_drop(mapping->nat, DROP_UDP_PEER);
		return NULL;
	}
	return udp_peer_new(mapping, &mapping->socket, &seen, &datagram->remote, &no_local);
}

static void udp_answer(struct udp_mapping *mapping, const struct host_datagram *datagram,
		       size_t size)
{
	struct udp_peer *peer = udp_peer_from_outside(mapping, datagram);
	uint64_t now_ns = nat_now(mapping->nat);

	if (!peer)
		return;
	if (mapping->received < 2)
		mapping->received++;
	udp_peer_touch(peer, now_ns);
	udp_mapping_touch(mapping, now_ns);
	udp_deliver(peer, datagram, size);
}

/* --- clients of a forward ----------------------------------------------------------------- */

/* Ports at which the gateway itself answers guests (DNS, DHCP): an answer to a client that is seen
 * there would not come back to it. */
static bool udp_is_of_gateway(const struct nat *nat, const struct ip_endpoint *seen)
{
	return ip_addr_equal(&seen->addr, &nat->config.addr) &&
	       (seen->port == UDP_PORT_DNS || seen->port == UDP_PORT_DHCP);
}

static bool udp_choose_seen(struct nat *nat, const struct ip_endpoint *guest,
			    struct ip_endpoint *seen)
{
	struct udp_table *table = nat->shard.udp;

	for (unsigned try = 0; try < UDP_PORT_TRIES; try++) {
		if (!udp_is_of_gateway(nat, seen) && !udp_peer_by_seen(table, guest, seen))
			return true;
		seen->port = (uint16_t)(UDP_PORT_FIRST +
					random_below(nat->context.random, 65536 - UDP_PORT_FIRST));
	}
	return false;
}

static struct udp_peer *udp_peer_from_client(struct nat *nat, const struct nat_forward *forward,
					     struct host_socket *socket,
					     const struct host_datagram *datagram)
{
	struct udp_table *table = nat->shard.udp;
	const struct ip_addr no_local = {};
	struct udp_peer *peer =
		udp_peer_by_real(table, socket, &datagram->remote, &datagram->local);

	if (!peer) /* an answer to what the guest sent by this socket */
		peer = udp_peer_by_real(table, socket, &datagram->remote, &no_local);
	if (peer)
		return peer;
	if (datagram->remote.port == 0) { /* nobody could answer it */
		nat_drop(nat, DROP_BAD_L4_HEADER);
		return NULL;
	}
	struct ip_endpoint seen = policy_client_seen(nat, &datagram->remote);
	struct udp_mapping *mapping = udp_mapping_find(table, &forward->internal);

	if (!mapping)
		mapping = udp_mapping_new(table, &forward->internal, FRAME_PORT_NONE);
	if (!mapping)
		return NULL;
	if (udp_choose_seen(nat, &forward->internal, &seen))
		peer = udp_peer_new(mapping, socket, &seen, &datagram->remote, &datagram->local);
	else
		nat_drop(nat, DROP_UDP_PEER_LIMIT);
	if (!peer)
		udp_mapping_free_bare(mapping);
	return peer;
}

/* --- errors ------------------------------------------------------------------------------- */

/* What an error says, as ICMPv4. False: nothing that a guest can be told. */
static bool udp_translate_error(struct host_icmp_error *error)
{
	if (ip_addr_is_v4(&error->origin))
		return true;
	error->type = ICMP_TYPE_UNREACHABLE;
	switch (error->error) {
	case ECONNREFUSED:
		error->code = ICMP_CODE_PORT_UNREACHABLE;
		return true;
	case EMSGSIZE: /* the guest's header is shorter */
		error->code = ICMP_CODE_FRAGMENTATION_NEEDED;
		error->mtu -= error->mtu > UDP_IPV6_HEADER_MORE ? UDP_IPV6_HEADER_MORE : 0;
		return true;
	default:
		return icmp_code_of_error(error->error, &error->code);
	}
}

/* Rebuilds the guest's UDP header and what came back of its payload. */
static void udp_report_error(const struct udp_peer *peer, const struct host_icmp_error *error,
			     size_t size)
{
	struct nat *nat = peer->mapping->nat;
	const struct udp_table *table = nat->shard.udp;
	uint8_t quote[ICMP_QUOTE_MAX];
	struct writer writer = writer_of(quote, sizeof(quote));
	const struct udp_header header = {
		.source_port = peer->mapping->guest.port,
		.destination_port = peer->seen.port,
		.size = (uint16_t)(UDP_HEADER_SIZE + error->payload_size),
	};
	struct host_icmp_error told = *error;

	if (!udp_translate_error(&told))
		return;
	struct ip_addr origin =
		icmp_error_origin(nat, &told.origin, &peer->real.addr, &peer->seen.addr);
	udp_build(&writer, &header);
	writer_bytes(&writer, table->buffer,
		     size < writer_left(&writer) ? size : writer_left(&writer));
	icmp_send_error(nat, peer->mapping->port, &origin, &peer->mapping->guest.addr,
			&peer->seen.addr, PACKET_IP_PROTOCOL_UDP, told.type, told.code, told.mtu,
			quote, header.size);
}

/* The peer an error is about: errors do not say which address the datagram left from. */
static struct udp_peer *udp_peer_of_error(struct udp_table *table, const struct host_socket *socket,
					  const struct ip_endpoint *remote)
{
	const struct ip_addr no_local = {};
	struct udp_peer *peer = udp_peer_by_real(table, socket, remote, &no_local);

	return peer ? peer : udp_peer_by_real(table, socket, remote, NULL);
}

uint32_t udp_drain_errors(struct nat *nat, struct host_socket *socket)
{
	struct udp_table *table = nat->shard.udp;
	uint32_t local_mtu = 0;

	/* Edge-triggered: all of them, but a host that makes them as fast as we take them has to
	 * wait for the next. */
	for (unsigned i = 0; i < UDP_ERRORS_MOST; i++) {
		struct host_icmp_error error;
		int status = host_call(nat->context.host, error_receive, socket, &error, NULL,
				       table->buffer, sizeof(table->buffer));

		if (status < 0)
			break;
		if (error.origin.family == IP_FAMILY_NONE) {
			if (error.error == EMSGSIZE)
				local_mtu = error.mtu;
			continue;
		}
		const struct udp_peer *peer = udp_peer_of_error(table, socket, &error.remote);
		size_t size = error.payload_size < sizeof(table->buffer) ? error.payload_size
									 : sizeof(table->buffer);
		if (peer)
			udp_report_error(peer, &error, size);
	}
	return local_mtu;
}

/* --- sockets ------------------------------------------------------------------------------ */

/* Bytes, or negative: -EAGAIN when the socket is empty; any other error is a peer's and was
 * taken from the error queue, so the socket goes on. */
static ssize_t udp_take(struct nat *nat, struct host_socket *socket,
			struct host_datagram *ret_datagram)
{
	struct udp_table *table = nat->shard.udp;

	return host_call(nat->context.host, udp_receive, socket, ret_datagram, table->buffer,
			 sizeof(table->buffer));
}

static void udp_mapping_receive(struct udp_mapping *mapping)
{
	bool any = false;

	for (unsigned i = 0; i < UDP_RECEIVE_BATCH; i++) {
		struct host_datagram datagram;
		ssize_t size = udp_take(mapping->nat, &mapping->socket, &datagram);

		if (size == -EAGAIN)
			return;
		if (size < 0)
			continue;
		any = true;
		udp_answer(mapping, &datagram, (size_t)size);
	}
	/* Edge-triggered: nobody tells us again of what is left. Nothing but errors is a socket that
	 * is broken, which must not make us spin. */
	if (any)
		loop_defer(mapping->nat->context.loop, &mapping->more);
}

void udp_mapping_more(struct loop_deferred *deferred)
{
	udp_mapping_receive(container_of(deferred, struct udp_mapping, more));
}

void udp_mapping_ready(struct host_socket *socket, uint32_t events)
{
	struct udp_mapping *mapping = container_of(socket, struct udp_mapping, socket);

	if (events & EPOLLERR)
		(void)udp_drain_errors(mapping->nat, socket); /* told when it was sent */
	if (events & EPOLLIN)
		udp_mapping_receive(mapping);
}

bool udp_forward_ready(struct nat *nat, const struct nat_forward *forward,
		       struct host_socket *socket, uint32_t events)
{
	bool any = false;

	if (events & EPOLLERR)
		(void)udp_drain_errors(nat, socket); /* told when it was sent */
	for (unsigned i = 0; i < UDP_RECEIVE_BATCH; i++) {
		struct host_datagram datagram;
		ssize_t size = udp_take(nat, socket, &datagram);

		if (size == -EAGAIN)
			return false;
		if (size < 0)
			continue;
		any = true;
		struct udp_peer *peer = udp_peer_from_client(nat, forward, socket, &datagram);
		if (!peer)
			continue;
		udp_peer_touch(peer, nat_now(nat));
		udp_mapping_touch(peer->mapping, nat_now(nat));
		udp_deliver(peer, &datagram, (size_t)size);
	}
	return any;
}
