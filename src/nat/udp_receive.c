/*
 * Theory of operation
 *
 * What comes back from the host: answers, datagrams of a forward's clients, and the error queue.
 * An answer on a mapping's own socket passes when the guest talked to that address before
 * (address-dependent filtering, RFC 4787 5), or whatever it is with endpoint-independent filtering.
 *
 * One call takes what waits in a socket, up to a batch; then others get their turn. Neighbours that
 * are alike in all but their bytes (and, for the last, a shorter size), and what the kernel has put
 * together already, are one super-frame to the guest: its port cuts it where the guest cannot, so
 * that every datagram arrives as it was sent.
 */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "nat/icmp_flow.h"
#include "nat/udp.h"
#include "nat/udp_table.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/packet_build.h"
#include "wire/udp.h"
#include "wire/writer.h"

#define UDP_ERRORS_MOST 1024
/* By so much an IPv6 header is longer than an IPv4 header. */
#define UDP_IPV6_HEADER_MORE 20
/* Ports tried for a client whose own port another client of the same address has. */
#define UDP_PORT_TRIES 32
#define UDP_PORT_FIRST 1024
/* Datagrams that a super-frame carries (UDP_MAX_SEGMENTS of older kernels). */
#define UDP_SUPER_MOST 64

/* --- towards the guest -------------------------------------------------------------------- */

/* Datagrams that go to the guest together. */
struct udp_parcel {
	const struct host_datagram *datagram; /* the first; the others are like it */
	const struct iovec *parts;
	size_t part_count;
	size_t count;	       /* datagrams */
	uint16_t segment_size; /* of each but the last; of no meaning for a single one */
};

static void udp_deliver(struct udp_peer *peer, const struct udp_parcel *parcel)
{
	struct udp_mapping *mapping = peer->mapping;
	struct nat *nat = mapping->nat;
	struct udp_table *table = nat->shard.udp;
	const struct packet_link link = {
		.source = nat->config.mac,
		.tos = parcel->datagram->tos,
		.ttl = parcel->datagram->ttl,
		.id = table->next_id,
	};
	struct frame frame;

	table->next_id = (uint16_t)(table->next_id + parcel->count);
	if (!packet_build_udp_partial(&frame, &link, &peer->seen, &mapping->guest, parcel->parts,
				      parcel->part_count,
				      parcel->count > 1 ? parcel->segment_size : 0) ||
	    !nat_push_datagram(nat, &frame))
		nat_drop(nat, DROP_LONG_FRAME);
}

static bool udp_is_peer_allowed(struct udp_mapping *mapping, const struct ip_addr *addr)
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

	if (peer && !udp_peer_passes(peer)) /* the mapping stays: it has a socket */
		peer = NULL;
	bool allowed = udp_is_peer_allowed(mapping, &datagram->remote.addr);
	if (peer && (allowed || !udp_peer_is_stale(peer)))
		return peer;
	if (!allowed) {
		nat_drop(mapping->nat, DROP_UDP_PEER);
		return NULL;
	}
	if (!policy_admits_client(mapping->nat, NAT_PROTOCOL_UDP, &datagram->remote)) {
		nat_drop(mapping->nat, DROP_FILTERED);
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
	if (peer && udp_peer_passes(peer))
		return peer;
	if (datagram->remote.port == 0) { /* nobody could answer it */
		nat_drop(nat, DROP_BAD_L4_HEADER);
		return NULL;
	}
	if (!policy_admits_client(nat, NAT_PROTOCOL_UDP, &datagram->remote)) {
		nat_drop(nat, DROP_FILTERED);
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
	writer_bytes(&writer, table->memory.error,
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
				       table->memory.error, HOST_DATAGRAM_MAX);

		if (status < 0)
			break;
		if (error.origin.family == IP_FAMILY_NONE) {
			if (error.error == EMSGSIZE)
				local_mtu = error.mtu;
			continue;
		}
		const struct udp_peer *peer = udp_peer_of_error(table, socket, &error.remote);
		size_t size = error.payload_size < HOST_DATAGRAM_MAX ? error.payload_size
								     : HOST_DATAGRAM_MAX;
		if (peer)
			udp_report_error(peer, &error, size);
	}
	return local_mtu;
}

/* --- sockets ------------------------------------------------------------------------------ */

/* Which peer a datagram is from; NULL with the drop counted. */
struct udp_source {
	struct udp_mapping *mapping; /* on its own socket, or NULL: */
	const struct nat_forward *forward;
	struct host_socket *socket;
};

static struct udp_peer *udp_peer_of(struct nat *nat, const struct udp_source *source,
				    const struct host_datagram *datagram)
{
	if (source->mapping)
		return udp_peer_from_outside(source->mapping, datagram);
	return udp_peer_from_client(nat, source->forward, source->socket, datagram);
}

static bool udp_is_super(const struct nat *nat, size_t segment_size)
{
	return segment_size > 0 &&
	       segment_size + IPV4_HEADER_SIZE + UDP_HEADER_SIZE <= nat->config.mtu;
}

/* How many of those that arrived, from `first` on, are one parcel. */
static size_t udp_run(const struct nat *nat, size_t first, size_t count)
{
	const struct host_datagram *arrived = nat->shard.udp->arrived + first;
	size_t size = arrived->size;
	size_t run = 1;

	if (arrived->segment_size > 0 || !udp_is_super(nat, arrived->size))
		return 1;
	while (first + run < count && run < FRAME_PAYLOAD_MAX_PARTS) {
		const struct host_datagram *next = arrived + run;

		size += next->size;
		if (next->segment_size > 0 || next->size == 0 || next->size > arrived->size ||
		    size > UDP_PAYLOAD_MAX_V4 || next->tos != arrived->tos ||
		    next->ttl != arrived->ttl ||
		    !ip_endpoint_equal(&next->remote, &arrived->remote) ||
		    !ip_addr_equal(&next->local, &arrived->local))
			break;
		run++;
		if (next->size < arrived->size)
			break;
	}
	return run;
}

/* Neighbours that came singly. */
static void udp_deliver_run(struct udp_peer *peer, size_t first, size_t run)
{
	const struct udp_table *table = peer->mapping->nat->shard.udp;
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];

	for (size_t i = 0; i < run; i++)
		parts[i] = (struct iovec){ table->memory.arrivals + (first + i) * HOST_DATAGRAM_MAX,
					   table->arrived[first + i].size };
	const struct udp_parcel parcel = {
		.datagram = &table->arrived[first],
		.parts = parts,
		.part_count = run,
		.count = run,
		.segment_size = (uint16_t)table->arrived[first].size,
	};
	udp_deliver(peer, &parcel);
}

/* What the kernel put together, but for the first `skipped`, in as many parcels as it takes:
 * datagrams longer than the guest's MTU go in fragments, each on its own. */
static void udp_deliver_coalesced(struct udp_peer *peer, size_t index, size_t skipped)
{
	const struct nat *nat = peer->mapping->nat;
	const struct udp_table *table = nat->shard.udp;
	const struct host_datagram *datagram = &table->arrived[index];
	size_t each = datagram->segment_size;
	size_t most = each;

	if (udp_is_super(nat, each))
		most = UDP_SUPER_MOST * each < UDP_PAYLOAD_MAX_V4 ? UDP_SUPER_MOST * each
								  : UDP_PAYLOAD_MAX_V4;
	for (size_t offset = skipped * each; offset < datagram->size;) {
		size_t left = datagram->size - offset;
		size_t size = left <= most ? left : most / each * each;
		const struct iovec part = {
			table->memory.arrivals + index * HOST_DATAGRAM_MAX + offset,
			size,
		};
		const struct udp_parcel parcel = {
			.datagram = datagram,
			.parts = &part,
			.part_count = 1,
			.count = (size + each - 1) / each,
			.segment_size = datagram->segment_size,
		};

		udp_deliver(peer, &parcel);
		offset += size;
	}
}

/* Whether what comes in makes the flow last. Not under rules, where the guest began it: whom it asked once could call
 * it for ever then (RFC 4787 12). */
static bool udp_keeps(const struct nat *nat, const struct udp_peer *peer)
{
	return !nat->config.admits || peer->local.family != IP_FAMILY_NONE;
}

/* `run` of those that arrived, from `first` on, which are alike; or one that is several. */
static void udp_take(struct nat *nat, const struct udp_source *source, size_t first, size_t run)
{
	const struct host_datagram *datagram = &nat->shard.udp->arrived[first];
	uint64_t now_ns = nat_now(nat);
	struct udp_peer *peer = NULL;
	size_t count = run;
	size_t skipped = 0;

	if (datagram->size > HOST_DATAGRAM_MAX) {
		nat_drop(nat, DROP_LONG_FRAME);
		return;
	}
	if (datagram->segment_size > 0) {
		count = (datagram->size + datagram->segment_size - 1) / datagram->segment_size;
		nat->shard.udp->coalesced = true;
	}
	/* Each is asked about until one may pass, so that each drop counts as one. */
	while (!peer && skipped < count) {
		peer = udp_peer_of(nat, source, datagram);
		skipped += peer ? 0 : 1;
	}
	if (!peer)
		return;
	if (source->mapping)
		udp_count_several(&source->mapping->received, count - skipped);
	if (udp_keeps(nat, peer)) {
		udp_peer_touch(peer, now_ns);
		udp_mapping_touch(peer->mapping, now_ns);
	}
	if (datagram->segment_size > 0)
		udp_deliver_coalesced(peer, first, skipped);
	else
		udp_deliver_run(peer, first + skipped, run - skipped);
}

/* One batch. True: more may wait, of which nobody tells us again (the socket is edge-triggered). */
static bool udp_receive(struct nat *nat, const struct udp_source *source)
{
	struct udp_table *table = nat->shard.udp;
	size_t most = table->coalesced ? UDP_RECEIVE_COALESCED : UDP_RECEIVE_BATCH;
	ssize_t count = host_call(nat->context.host, udp_receive_batch, source->socket,
				  table->arrived, table->memory.arrivals, most);

	/* Empty; or broken, which must not make us spin. */
	if (count < 0)
		return false;
	udp_memory_use(&table->memory, nat_now(nat));
	table->coalesced = false;
	for (size_t first = 0; first < (size_t)count;) {
		size_t run = udp_run(nat, first, (size_t)count);

		udp_take(nat, source, first, run);
		first += run;
	}
	return (size_t)count == most;
}

static void udp_mapping_receive(struct udp_mapping *mapping)
{
	const struct udp_source source = { .mapping = mapping, .socket = &mapping->socket };

	if (udp_receive(mapping->nat, &source))
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
	const struct udp_source source = { .forward = forward, .socket = socket };

	if (events & EPOLLERR)
		(void)udp_drain_errors(nat, socket); /* told when it was sent */
	return udp_receive(nat, &source);
}
