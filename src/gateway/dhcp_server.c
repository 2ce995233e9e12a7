#include "gateway/dhcp_server.h"

#include <string.h>

#include "gateway/gateway_internal.h"
#include "wire/dhcp.h"
#include "wire/packet_build.h"

#define MESSAGE_MAX	1472 /* of a client; longer is nonsense */
#define IP_AND_UDP_SIZE 28
/* RFC 2131 4.4.5 */
#define T1_OF(lease_s) ((lease_s) / 2)
#define T2_OF(lease_s) ((lease_s) / 8 * 7)

/* What one message is about, kept together for the length of its handling. */
struct exchange {
	struct gateway *gateway;
	const struct frame *frame;
	const struct dhcp_message *message;
};

static void drop(const struct exchange *exchange, enum drop_reason reason)
{
	gateway_drop(exchange->gateway, reason);
}

static uint64_t now_of(const struct exchange *exchange)
{
	return gateway_now(exchange->gateway);
}

static struct dhcp_reply reply_of(const struct exchange *exchange, enum dhcp_type type)
{
	const struct dhcp_message *message = exchange->message;

	return (struct dhcp_reply){
		.type = type,
		.xid = message->xid,
		.broadcast = message->broadcast,
		.chaddr = message->chaddr,
		.server_id = exchange->gateway->config.addr,
		.client_id = message->client_id.size > 0 ? &message->client_id : NULL,
	};
}

/* What every guest is told, whatever its address. */
static void add_network(const struct exchange *exchange, struct dhcp_reply *reply)
{
	const struct gateway_config *config = &exchange->gateway->config;

	reply->siaddr = config->addr;
	reply->mask = ip_addr_from_v4(ip_length_to_mask(config->subnet.length));
	reply->broadcast_addr = ip_addr_from_v4(ip_prefix_last_v4(&config->subnet));
	reply->mtu = (uint16_t)config->mtu;
	if (config->route)
		reply->router = config->addr;
	if (config->dns) {
		reply->dns[0] = config->addr;
		reply->dns_count = 1;
	}
	if (config->domain[0] != '\0')
		reply->domain = config->domain;
	/* The name is the first reservation's guest's. */
	if (config->hostname[0] != '\0' && config->reservation_count > 0 &&
	    mac_addr_equal(&config->reservations[0].mac, &reply->chaddr))
		reply->hostname = config->hostname;
}

static void add_lease(const struct exchange *exchange, struct dhcp_reply *reply,
		      const struct lease *lease)
{
	add_network(exchange, reply);
	reply->yiaddr = lease->addr;
	reply->has_lease = true;
	reply->lease_s = LEASE_S;
	reply->t1_s = T1_OF(LEASE_S);
	reply->t2_s = T2_OF(LEASE_S);
}

static size_t room_for(const struct exchange *exchange, size_t buffer_size)
{
	size_t room = exchange->message->max_message_size;

	room = room > IP_AND_UDP_SIZE ? room - IP_AND_UDP_SIZE : 0;
	if (room < DHCP_REPLY_ALWAYS_TAKEN)
		room = DHCP_REPLY_ALWAYS_TAKEN;
	return room < buffer_size ? room : buffer_size;
}

/*
 * RFC 2131 4.1: to ciaddr where the client has one; NAK and clients that cannot take unicast yet
 * get a broadcast; the others a unicast to the address that they are about to have.
 */
static void send_reply(const struct exchange *exchange, const struct dhcp_reply *reply)
{
	uint8_t buffer[DHCP_REPLY_ALWAYS_TAKEN];
	struct writer writer = writer_of(buffer, room_for(exchange, sizeof(buffer)));
	struct ip_endpoint to = { .port = DHCP_PORT_CLIENT };
	const struct mac_addr *mac = &exchange->message->chaddr;

	if (!dhcp_build_reply(&writer, reply)) {
		drop(exchange, DROP_BUFFER_LIMIT);
		return;
	}
	if (!ip_addr_is_unspecified(&reply->ciaddr)) {
		to.addr = reply->ciaddr;
	} else if (reply->broadcast) {
		to.addr = ip_addr_from_v4(INADDR_BROADCAST);
		mac = &mac_addr_broadcast;
	} else {
		to.addr = reply->yiaddr;
	}
	gateway_send_udp(exchange->gateway, DHCP_PORT_SERVER, mac, &to, buffer, writer.position);
}

static void send_nak(const struct exchange *exchange, const char *why)
{
	struct dhcp_reply reply = reply_of(exchange, DHCP_TYPE_NAK);

	/* No ciaddr, and to all: it may have moved from another network (RFC 2131 4.3.2). */
	reply.broadcast = true;
	reply.message = why;
	send_reply(exchange, &reply);
}

static void send_ack(const struct exchange *exchange, struct lease *lease)
{
	struct dhcp_reply reply = reply_of(exchange, DHCP_TYPE_ACK);

	lease_pool_bind(&exchange->gateway->leases, lease, exchange->frame->port, now_of(exchange));
	lease->seen_port = exchange->frame->port;
	add_lease(exchange, &reply, lease);
	reply.ciaddr = exchange->message->ciaddr;
	send_reply(exchange, &reply);
}

static struct lease *offer(const struct exchange *exchange, const struct ip_addr *wanted)
{
	struct lease *lease =
		lease_pool_offer(&exchange->gateway->leases, &exchange->message->chaddr,
				 exchange->frame->port, wanted, now_of(exchange));

	if (!lease) {
		drop(exchange, DROP_LEASE_LIMIT);
		log_write_limited(exchange->gateway->context.log, &exchange->gateway->lease_log,
				  now_of(exchange), LOG_LEVEL_WARNING,
				  "dhcp: no address left for another guest");
	}
	return lease;
}

static void discover(const struct exchange *exchange)
{
	struct lease *lease = offer(exchange, &exchange->message->requested_ip);
	struct dhcp_reply reply = reply_of(exchange, DHCP_TYPE_OFFER);

	if (!lease)
		return;
	add_lease(exchange, &reply, lease);
	send_reply(exchange, &reply);
}

static struct lease *held(const struct exchange *exchange)
{
	return lease_pool_find_mac(&exchange->gateway->leases, &exchange->message->chaddr);
}

/* SELECTING: the client took an offer, ours or (none can be here) another server's. */
static void request_selecting(const struct exchange *exchange)
{
	const struct dhcp_message *message = exchange->message;
	struct lease *lease = held(exchange);

	if (!ip_addr_equal(&message->server_id, &exchange->gateway->config.addr)) {
		if (lease && lease->state == LEASE_OFFERED)
			lease_pool_release(&exchange->gateway->leases, lease);
		return;
	}
	if (!lease || !ip_addr_equal(&lease->addr, &message->requested_ip)) {
		send_nak(exchange, "this address was not offered");
		return;
	}
	send_ack(exchange, lease);
}

/* INIT-REBOOT, RENEWING, REBINDING: the client says which address it believes to have. A gateway
 * that was restarted knows nothing of it: then the address is given, if it is free. */
static void request_again(const struct exchange *exchange, const struct ip_addr *addr)
{
	struct lease *lease = held(exchange);
	bool was_held = lease != NULL;

	if (!lease && gateway_is_guest_addr(exchange->gateway, addr))
		lease = offer(exchange, addr);
	if (lease && ip_addr_equal(&lease->addr, addr)) {
		send_ack(exchange, lease);
		return;
	}
	if (lease && !was_held)
		lease_pool_release(&exchange->gateway->leases, lease);
	send_nak(exchange, "this address is not yours here");
}

/* Which state the client is in shows by what it fills in (RFC 2131 4.3.2, table 4 in 4.3.6). */
static void request(const struct exchange *exchange)
{
	const struct dhcp_message *message = exchange->message;
	bool has_ciaddr = !ip_addr_is_unspecified(&message->ciaddr);
	bool has_requested = ip_addr_is_v4(&message->requested_ip);

	if (ip_addr_is_v4(&message->server_id)) {
		if (has_ciaddr || !has_requested)
			drop(exchange, DROP_BAD_DHCP);
		else
			request_selecting(exchange);
	} else if (has_ciaddr && !has_requested) {
		request_again(exchange, &message->ciaddr);
	} else if (has_requested && !has_ciaddr) {
		request_again(exchange, &message->requested_ip);
	} else {
		drop(exchange, DROP_BAD_DHCP);
	}
}

/* The client has an address by other means and wants the rest (RFC 2131 4.3.5). */
static void inform(const struct exchange *exchange)
{
	struct dhcp_reply reply = reply_of(exchange, DHCP_TYPE_ACK);
	const struct ip_addr *ciaddr = &exchange->message->ciaddr;

	if (!gateway_is_guest_addr(exchange->gateway, ciaddr) ||
	    !ip_addr_equal(ciaddr, &exchange->frame->packet.ip_source)) {
		drop(exchange, DROP_BAD_DHCP);
		return;
	}
	add_network(exchange, &reply);
	reply.ciaddr = *ciaddr;
	send_reply(exchange, &reply);
}

/* The lease that a DECLINE or RELEASE is about, if it is the sender's. */
static struct lease *own_lease(const struct exchange *exchange, const struct ip_addr *addr)
{
	const struct dhcp_message *message = exchange->message;
	struct lease *lease = held(exchange);

	if (!lease || !ip_addr_equal(&lease->addr, addr) ||
	    !ip_addr_equal(&message->server_id, &exchange->gateway->config.addr)) {
		drop(exchange, DROP_BAD_DHCP);
		return NULL;
	}
	return lease;
}

static void decline(const struct exchange *exchange)
{
	struct gateway *gateway = exchange->gateway;
	struct lease *lease = own_lease(exchange, &exchange->message->requested_ip);
	char text[IP_ADDR_TEXT_SIZE];

	if (!lease)
		return;
	log_write_limited(gateway->context.log, &gateway->lease_log, now_of(exchange),
			  LOG_LEVEL_WARNING, "dhcp: a guest says that %s is in use already",
			  ip_addr_format(&lease->addr, text));
	lease_pool_quarantine(&gateway->leases, lease, now_of(exchange));
}

static void release(const struct exchange *exchange)
{
	struct lease *lease = own_lease(exchange, &exchange->message->ciaddr);

	if (lease)
		lease_pool_release(&exchange->gateway->leases, lease);
}

/* A client speaks for itself alone, and no relay stands between it and us. */
static bool is_for_us(const struct frame *frame, const struct dhcp_message *message)
{
	return message->op == DHCP_OP_REQUEST && ip_addr_is_unspecified(&message->giaddr) &&
	       mac_addr_equal(&message->chaddr, &frame->packet.mac_source);
}

void dhcp_server_input(struct gateway *gateway, const struct frame *frame)
{
	struct dhcp_message message;
	uint8_t bytes[MESSAGE_MAX];
	const struct exchange exchange = { gateway, frame, &message };

	if (frame->payload_size > sizeof(bytes)) {
		gateway_drop(gateway, DROP_BAD_DHCP);
		return;
	}
	frame_copy_payload(frame, 0, bytes, frame->payload_size);
	if (!dhcp_parse(bytes, frame->payload_size, &message) || !is_for_us(frame, &message)) {
		gateway_drop(gateway, DROP_BAD_DHCP);
		return;
	}
	switch (message.type) {
	case DHCP_TYPE_DISCOVER:
		discover(&exchange);
		break;
	case DHCP_TYPE_REQUEST:
		request(&exchange);
		break;
	case DHCP_TYPE_INFORM:
		inform(&exchange);
		break;
	case DHCP_TYPE_DECLINE:
		decline(&exchange);
		break;
	case DHCP_TYPE_RELEASE:
		release(&exchange);
		break;
	case DHCP_TYPE_NONE:
	case DHCP_TYPE_OFFER:
	case DHCP_TYPE_ACK:
	case DHCP_TYPE_NAK:
		gateway_drop(gateway, DROP_BAD_DHCP);
		break;
	}
}
