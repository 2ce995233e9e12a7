#include "gateway/gateway.h"

#include <errno.h>
#include <stdlib.h>

#include "gateway/dhcp_server.h"
#include "gateway/dns_forwarder.h"
#include "gateway/dns_stream.h"
#include "gateway/document_server.h"
#include "gateway/echo.h"
#include "gateway/gateway_internal.h"
#include "wire/dhcp.h"
#include "wire/dns.h"
#include "wire/frame_fragment.h"
#include "wire/icmp.h"
#include "wire/packet_build.h"

/*
 * What comes from a guest passes these questions in this order, and a "no" ends it:
 *
 *     ARP or IPv4?  options?  a DHCP server?  by broadcast: a DHCP client?
 *     is the source the sender's own?  a fragment: whole by now?
 *     for the gateway: echo, DHCP, DNS are answered here; TCP and other UDP go to NAT, which knows
 *     DNS over TCP, documents, host access and hairpins
 *     for the world: TTL left?  checksum right?  then NAT
 */

bool gateway_rate_take(struct gateway_rate *rate, uint64_t now_ns, uint32_t per_second)
{
	if (rate->used == 0 || now_ns - rate->start_ns >= NS_PER_S) {
		rate->start_ns = now_ns;
		rate->used = 0;
	}
	if (rate->used >= per_second)
		return false;
	rate->used++;
	return true;
}

bool gateway_is_guest_addr(const struct gateway *gateway, const struct ip_addr *addr)
{
	const struct ip_prefix *subnet = &gateway->config.subnet;

	return ip_addr_is_v4(addr) && ip_prefix_contains(subnet, addr) &&
	       !ip_addr_equal(addr, &gateway->config.addr) &&
	       ip_addr_to_v4(addr) != ip_prefix_first_v4(subnet) &&
	       ip_addr_to_v4(addr) != ip_prefix_last_v4(subnet);
}

uint16_t gateway_ip_id(struct gateway *gateway)
{
	return gateway->ip_id++;
}

void gateway_push(struct gateway *gateway, struct frame *frame)
{
	frame_sink_push(gateway->context.to_bridge, frame);
	loop_defer_last(gateway->context.loop, &gateway->flush);
}

static void push_fragment(void *context, const struct frame *fragment)
{
	struct frame copy = *fragment;

	if (fragment->payload == &fragment->single)
		copy.payload = &copy.single;
	gateway_push(context, &copy);
}

void gateway_push_fragmented(struct gateway *gateway, struct frame *frame)
{
	if (frame->packet.ip_total_size <= gateway->config.mtu) {
		gateway_push(gateway, frame);
		return;
	}
	if (frame_fragment(frame, gateway->config.mtu, push_fragment, gateway) == 0)
		gateway_drop(gateway, DROP_LONG_FRAME);
}

void gateway_send_udp(struct gateway *gateway, uint16_t from_port, const struct mac_addr *mac,
		      const struct ip_endpoint *to, const void *payload, size_t size)
{
	const struct packet_link link = {
		.source = gateway->config.mac,
		.destination = *mac,
		.id = gateway_ip_id(gateway),
	};
	const struct ip_endpoint from = { gateway->config.addr, from_port };
	/* The builder only reads it, but an iovec knows no const. */
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };
	struct frame frame;

	if (!packet_build_udp(&frame, &link, &from, to, &iov, 1)) {
		gateway_drop(gateway, DROP_BUFFER_LIMIT);
		return;
	}
	gateway_push_fragmented(gateway, &frame);
}

static bool is_dhcp_client(const struct packet *packet)
{
	return packet->has_l4 && packet->ip_protocol == PACKET_IP_PROTOCOL_UDP &&
	       packet->port_source == DHCP_PORT_CLIENT &&
	       packet->port_destination == DHCP_PORT_SERVER;
}

static bool is_dhcp_server(const struct packet *packet)
{
	return packet->has_l4 && packet->ip_protocol == PACKET_IP_PROTOCOL_UDP &&
	       packet->port_source == DHCP_PORT_SERVER;
}

static bool is_broadcast(const struct gateway *gateway, const struct packet *packet)
{
	const struct ip_addr *destination = &packet->ip_destination;

	return mac_addr_is_multicast(&packet->mac_destination) ||
	       ip_addr_is_multicast(destination) ||
	       ip_addr_to_v4(destination) == INADDR_BROADCAST ||
	       ip_addr_to_v4(destination) == ip_prefix_last_v4(&gateway->config.subnet);
}

/* What we consume must be one datagram, and arrived well. */
static bool is_sound(struct gateway *gateway, struct frame *frame)
{
	if (frame->offload.gso != FRAME_GSO_NONE) {
		gateway_drop(gateway, DROP_BAD_OFFLOAD);
		return false;
	}
	if (!frame_verify_checksum(frame)) {
		gateway_drop(gateway, DROP_BAD_L4_CHECKSUM);
		return false;
	}
	return true;
}

static void dhcp_input(struct gateway *gateway, struct frame *frame)
{
	if (is_sound(gateway, frame))
		dhcp_server_input(gateway, frame);
}

/*
 * Of what guests send to all, only DHCP is for us. Its source may be 0.0.0.0, or an address from
 * another network that a client carried along (RFC 2131 4.3.2, REBINDING): nothing is learnt from
 * it and nothing is sent there but a NAK by broadcast.
 */
static void broadcast_input(struct gateway *gateway, struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	if (gateway->config.dhcp && is_dhcp_client(packet) &&
	    ip_addr_to_v4(&packet->ip_destination) == INADDR_BROADCAST)
		dhcp_input(gateway, frame);
	else
		gateway_drop(gateway, DROP_FORBIDDEN_DESTINATION);
}

/* UDP and ICMP are checked here, because NAT trusts them; TCP checks its own when it takes bytes. */
static void pass_to_nat(struct gateway *gateway, struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	if (!gateway->to_nat) {
		gateway_drop(gateway, DROP_NAT_OFF);
		return;
	}
	if (packet->ip_protocol != PACKET_IP_PROTOCOL_TCP && !frame_verify_checksum(frame)) {
		gateway_drop(gateway, DROP_BAD_L4_CHECKSUM);
		return;
	}
	frame_sink_push(gateway->to_nat, frame);
}

static bool is_carried(const struct packet *packet)
{
	return packet->has_l4 && (packet->ip_protocol == PACKET_IP_PROTOCOL_TCP ||
				  packet->ip_protocol == PACKET_IP_PROTOCOL_UDP ||
				  packet->ip_protocol == PACKET_IP_PROTOCOL_ICMP);
}

static bool is_admitted(struct gateway *gateway, const struct frame *frame, uint16_t port)
{
	const struct gateway_config *config = &gateway->config;

	if (!config->admits ||
	    config->admits(config->admits_context, frame->packet.ip_protocol, port))
		return true;
	gateway_drop(gateway, DROP_FILTERED);
	echo_send_error(gateway, frame, ICMP_TYPE_UNREACHABLE, ICMP_CODE_ADMIN_PROHIBITED);
	return false;
}

static void own_input(struct gateway *gateway, struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	if (!is_carried(packet)) {
		gateway_drop(gateway, DROP_UNKNOWN_PROTOCOL);
		echo_send_error(gateway, frame, ICMP_TYPE_UNREACHABLE,
				ICMP_CODE_PROTOCOL_UNREACHABLE);
	} else if (packet->ip_protocol == PACKET_IP_PROTOCOL_ICMP &&
		   packet->icmp_type == ICMP_TYPE_ECHO_REQUEST) {
		if (is_sound(gateway, frame) && is_admitted(gateway, frame, 0))
			echo_reply(gateway, frame);
	} else if (gateway->config.dhcp && is_dhcp_client(packet)) {
		dhcp_input(gateway, frame);
	} else if (gateway->dns && packet->ip_protocol == PACKET_IP_PROTOCOL_UDP &&
		   packet->port_destination == DNS_PORT) {
		if (is_sound(gateway, frame) && is_admitted(gateway, frame, DNS_PORT))
			dns_forwarder_input(gateway->dns, frame);
	} else {
		pass_to_nat(gateway, frame);
	}
}

static void world_input(struct gateway *gateway, struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	if (ip_prefix_contains(&gateway->config.subnet, &packet->ip_destination)) {
		gateway_drop(gateway, DROP_FORBIDDEN_DESTINATION); /* guests talk by the bridge */
		return;
	}
	if (!is_carried(packet)) {
		gateway_drop(gateway, DROP_UNKNOWN_PROTOCOL);
		return;
	}
	if (packet->ip_ttl <= 1) {
		gateway_drop(gateway, DROP_TTL_EXPIRED);
		echo_send_error(gateway, frame, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_TTL_EXCEEDED);
		return;
	}
	pass_to_nat(gateway, frame);
}

static void whole_input(struct gateway *gateway, struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	if (is_dhcp_server(packet))
		gateway_drop(gateway, DROP_DHCP_SERVER_GUARD);
	else if (ip_addr_equal(&packet->ip_destination, &gateway->config.addr))
		own_input(gateway, frame);
	else
		world_input(gateway, frame);
}

static void ipv4_input(struct gateway *gateway, struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	struct frame whole;

	if (packet->ip_has_options) {
		gateway_drop(gateway, DROP_IP_OPTIONS);
		return;
	}
	if (is_dhcp_server(packet)) {
		gateway_drop(gateway, DROP_DHCP_SERVER_GUARD);
		return;
	}
	if (is_broadcast(gateway, packet)) {
		broadcast_input(gateway, frame);
		return;
	}
	if (!gateway_is_guest_addr(gateway, &packet->ip_source) ||
	    !neighbour_claim(gateway, &packet->ip_source, &packet->mac_source, frame->port)) {
		gateway_drop(gateway, DROP_BAD_SOURCE_ADDRESS);
		return;
	}
	if (!packet->ip_is_fragment)
		whole_input(gateway, frame);
	else if (reassembly_add(gateway->reassembly, frame, &whole))
		whole_input(gateway, &whole);
}

static struct gateway *of_guest_side(struct frame_sink *sink)
{
	return container_of(sink, struct gateway, guest_side);
}

static struct gateway *of_nat_side(struct frame_sink *sink)
{
	return container_of(sink, struct gateway, nat_side);
}

static void guest_side_push(struct frame_sink *sink, struct frame *frame)
{
	struct gateway *gateway = of_guest_side(sink);

	switch (frame->packet.kind) {
	case PACKET_ARP:
		neighbour_arp_input(gateway, frame);
		break;
	case PACKET_IPV4:
		ipv4_input(gateway, frame);
		break;
	case PACKET_IPV6:
		gateway_drop(gateway, DROP_IPV6_OFF);
		break;
	case PACKET_OTHER:
		gateway_drop(gateway, DROP_UNKNOWN_ETHERTYPE);
		break;
	}
}

static void guest_side_flush(struct frame_sink *sink)
{
	struct gateway *gateway = of_guest_side(sink);

	if (gateway->to_nat)
		frame_sink_flush(gateway->to_nat);
}

static size_t guest_side_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static void nat_side_push(struct frame_sink *sink, struct frame *frame)
{
	neighbour_output(of_nat_side(sink), frame);
}

static void nat_side_flush(struct frame_sink *sink)
{
	frame_sink_flush(of_nat_side(sink)->context.to_bridge);
}

static size_t nat_side_room(struct frame_sink *sink, uint32_t port)
{
	return frame_sink_room(of_nat_side(sink)->context.to_bridge, port);
}

static size_t nat_side_reserve(struct frame_sink *sink, uint32_t port, size_t header_size,
			       size_t size, struct iovec *ret_parts, size_t capacity,
			       size_t *ret_count)
{
	return frame_sink_reserve(of_nat_side(sink)->context.to_bridge, port, header_size, size,
				  ret_parts, capacity, ret_count);
}

static void flush_run(struct loop_deferred *deferred)
{
	struct gateway *gateway = container_of(deferred, struct gateway, flush);

	frame_sink_flush(gateway->context.to_bridge);
}

static int parts_new(struct gateway *gateway)
{
	const struct gateway_context *context = &gateway->context;
	int rc = lease_pool_init(&gateway->leases, &gateway->config, context->random);

	if (rc == 0)
		rc = neighbour_init(gateway);
	if (rc == 0)
		rc = reassembly_new(context->loop, context->drops, &gateway->reassembly);
	if (rc == 0 && gateway->config.dns)
		rc = dns_forwarder_new(gateway, &gateway->dns);
	if (rc == 0 && gateway->config.dns)
		rc = dns_stream_new(gateway, &gateway->stream);
	if (rc == 0 && gateway->config.document_count > 0)
		rc = document_server_new(gateway, &gateway->documents);
	gateway->config.documents = NULL; /* they are the caller's */
	return rc;
}

int gateway_new(const struct gateway_config *config, const struct gateway_context *context,
		struct gateway **ret_gateway)
{
	static const struct frame_sink_ops guest_side = {
		.push = guest_side_push,
		.flush = guest_side_flush,
		.room = guest_side_room,
	};
	static const struct frame_sink_ops nat_side = {
		.push = nat_side_push,
		.flush = nat_side_flush,
		.room = nat_side_room,
		.reserve = nat_side_reserve,
	};
	struct gateway *gateway;
	int rc;

	if (config->reservation_count > GATEWAY_MAX_RESERVATIONS || !ip_addr_is_v4(&config->addr) ||
	    !ip_addr_is_v4(&config->subnet.addr) || config->mtu < IPV4_PACKET_ALWAYS_TAKEN ||
	    ((config->dns || config->document_count > 0) && !context->host))
		return -EINVAL;
	gateway = calloc(1, sizeof(*gateway));
	if (!gateway)
		return -ENOMEM;
	gateway->config = *config;
	gateway->context = *context;
	gateway->guest_side.ops = &guest_side;
	gateway->nat_side.ops = &nat_side;
	gateway->ip_id = (uint16_t)random_u32(context->random);
	loop_deferred_init(&gateway->flush, flush_run);
	dns_zone_init(&gateway->zone, &gateway->config, context->host);
	rc = parts_new(gateway);
	if (rc < 0) {
		gateway_free(gateway);
		return rc;
	}
	gateway->leases.in_use = neighbour_in_use;
	gateway->leases.in_use_context = gateway;
	*ret_gateway = gateway;
	return 0;
}

struct gateway *gateway_free(struct gateway *gateway)
{
	if (!gateway)
		return NULL;
	loop_deferred_cancel(&gateway->flush);
	document_server_free(gateway->documents);
	dns_stream_free(gateway->stream);
	dns_forwarder_free(gateway->dns);
	reassembly_free(gateway->reassembly);
	neighbour_done(gateway);
	lease_pool_done(&gateway->leases);
	free(gateway);
	return NULL;
}

void gateway_set_nat(struct gateway *gateway, struct frame_sink *to_nat)
{
	gateway->to_nat = to_nat;
}

struct frame_sink *gateway_guest_side(struct gateway *gateway)
{
	return &gateway->guest_side;
}

struct frame_sink *gateway_nat_side(struct gateway *gateway)
{
	return &gateway->nat_side;
}

struct host_stream_service *gateway_dns_stream(struct gateway *gateway)
{
	return gateway->stream ? dns_stream_service(gateway->stream) : NULL;
}

struct host_stream_service *gateway_documents(struct gateway *gateway)
{
	return gateway->documents ? document_server_service(gateway->documents) : NULL;
}

void gateway_port_gone(struct gateway *gateway, uint32_t port)
{
	neighbour_table_port_gone(&gateway->neighbour.table, port);
	lease_pool_port_gone(&gateway->leases, port);
	reassembly_port_gone(gateway->reassembly, port);
	if (gateway->dns)
		dns_forwarder_port_gone(gateway->dns, port);
	if (gateway->stream)
		dns_stream_port_gone(gateway->stream, port);
	if (gateway->documents)
		document_server_port_gone(gateway->documents, port);
}

/* A lease that runs, or a reserved address that its holder was heard to use without asking. */
static bool neighbour_of_lease(const struct lease *lease, uint64_t now_ns,
			       struct gateway_neighbour *ret_neighbour)
{
	bool leased = lease->state == LEASE_BOUND && now_ns < lease->expires_ns;

	if (!leased && (!lease->reserved || lease->seen_port == LEASE_PORT_NONE))
		return false;
	*ret_neighbour = (struct gateway_neighbour){
		.mac = lease->mac,
		.addr = lease->addr,
		.leased = leased,
		.lease_left_s = leased ? (lease->expires_ns - now_ns) / NS_PER_S : 0,
	};
	return true;
}

bool gateway_address_of(const struct gateway *gateway, const struct mac_addr *mac,
			struct ip_addr *ret_addr, uint64_t *ret_until_ns)
{
	const struct lease *lease = lease_pool_find_mac(&gateway->leases, mac);

	if (!lease || !lease_is_owned(lease, gateway_now(gateway)))
		return false;
	*ret_addr = lease->addr;
	*ret_until_ns = lease_owned_until(lease);
	return true;
}

uint32_t gateway_address_changes(const struct gateway *gateway)
{
	return gateway->leases.changes;
}

size_t gateway_neighbours(const struct gateway *gateway, struct gateway_neighbour *ret_neighbours,
			  size_t capacity)
{
	const struct lease_pool *leases = &gateway->leases;
	const struct neighbour_table *table = &gateway->neighbour.table;
	uint64_t now_ns = gateway_now(gateway);
	struct gateway_neighbour neighbour;
	size_t count = 0;

	for (uint32_t i = 0; i < leases->count; i++) {
		if (!neighbour_of_lease(&leases->leases[i], now_ns, &neighbour))
			continue;
		if (count < capacity)
			ret_neighbours[count] = neighbour;
		count++;
	}
	for (uint32_t i = 0; i < table->capacity; i++) {
		const struct neighbour_entry *entry = &table->entries[i];
		const struct lease *lease = lease_pool_find_addr(leases, &entry->addr);

		if (!ip_addr_is_v4(&entry->addr) || (lease && lease_is_owned(lease, now_ns)))
			continue;
		if (count < capacity)
			ret_neighbours[count] = (struct gateway_neighbour){
				.mac = entry->mac,
				.addr = entry->addr,
			};
		count++;
	}
	return count;
}
