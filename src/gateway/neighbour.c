#include "gateway/neighbour.h"

#include "gateway/gateway_internal.h"
#include "wire/packet_build.h"

#define ASK_AGAIN_NS NS_PER_S
/* An address that was heard of within this time is not leased to another. */
#define IN_USE_NS (300 * NS_PER_S)

/* Offered but not taken is nobody's yet; an expired lease is not its holder's any more. */
static struct lease *find_owned(const struct gateway *gateway, const struct ip_addr *addr)
{
	struct lease *lease = lease_pool_find_addr(&gateway->leases, addr);

	return lease && lease_is_owned(lease, gateway_now(gateway)) ? lease : NULL;
}

bool neighbour_claim(struct gateway *gateway, const struct ip_addr *addr,
		     const struct mac_addr *mac, uint32_t port)
{
	struct lease *lease = find_owned(gateway, addr);

	if (!lease)
		return neighbour_table_learn(&gateway->neighbour.table, addr, mac, port,
					     gateway_now(gateway));
	if (!mac_addr_equal(&lease->mac, mac))
		return false;
	lease->seen_port = port;
	return true;
}

bool neighbour_in_use(void *context, const struct ip_addr *addr, const struct mac_addr *mac)
{
	struct gateway *gateway = context;
	const struct neighbour_entry *entry = neighbour_table_find(&gateway->neighbour.table, addr);

	return entry && !mac_addr_equal(&entry->mac, mac) &&
	       gateway_now(gateway) - entry->seen_ns < IN_USE_NS;
}

static void answer(struct gateway *gateway, const struct arp_message *request)
{
	const struct gateway_config *config = &gateway->config;
	const struct arp_message reply = {
		.operation = ARP_OPERATION_REPLY,
		.sender_mac = config->mac,
		.sender_ip = config->addr,
		.target_mac = request->sender_mac,
		.target_ip = request->sender_ip,
	};
	struct frame frame;

	if (packet_build_arp(&frame, &config->mac, &request->sender_mac, &reply))
		gateway_push(gateway, &frame);
}

/* The sender's fields: its own MAC, and an address that it may use. 0.0.0.0 is a probe (RFC 5227
 * 1.1), from which nothing is learnt. */
static bool check_sender(struct gateway *gateway, const struct frame *frame,
			 const struct arp_message *message)
{
	if (!mac_addr_equal(&message->sender_mac, &frame->packet.mac_source))
		return false;
	if (ip_addr_is_unspecified(&message->sender_ip))
		return message->operation == ARP_OPERATION_REQUEST;
	return gateway_is_guest_addr(gateway, &message->sender_ip) &&
	       neighbour_claim(gateway, &message->sender_ip, &message->sender_mac, frame->port);
}

void neighbour_arp_input(struct gateway *gateway, struct frame *frame)
{
	struct arp_message message;
	/* An ARP message stands wholly in the copied header (wire/frame.h). */
	struct reader reader = reader_of(frame->header, frame->header_size);

	reader_skip(&reader, FRAME_ETHERNET_SIZE);
	if (!arp_parse(&reader, &message) || !check_sender(gateway, frame, &message)) {
		gateway_drop(gateway, DROP_BAD_ARP);
		return;
	}
	if (message.operation == ARP_OPERATION_REQUEST &&
	    ip_addr_equal(&message.target_ip, &gateway->config.addr))
		answer(gateway, &message);
}

/* One request a second for an address. Addresses share places; the worst is one request more. */
static bool may_ask(struct gateway *gateway, const struct ip_addr *addr)
{
	uint64_t now_ns = gateway_now(gateway);
	struct neighbour_asked *asked =
		&gateway->neighbour.asked[ip_addr_to_v4(addr) % NEIGHBOUR_ASKED];

	if (ip_addr_is_v4(&asked->addr) && now_ns - asked->at_ns < ASK_AGAIN_NS)
		return false;
	*asked = (struct neighbour_asked){ .addr = *addr, .at_ns = now_ns };
	return true;
}

static void ask(struct gateway *gateway, const struct ip_addr *addr)
{
	const struct gateway_config *config = &gateway->config;
	const struct arp_message request = {
		.operation = ARP_OPERATION_REQUEST,
		.sender_mac = config->mac,
		.sender_ip = config->addr,
		.target_ip = *addr,
	};
	struct frame frame;

	if (!gateway_is_guest_addr(gateway, addr) || !may_ask(gateway, addr))
		return;
	if (packet_build_arp(&frame, &config->mac, &mac_addr_broadcast, &request))
		gateway_push(gateway, &frame);
}

void neighbour_output(struct gateway *gateway, struct frame *frame)
{
	const struct ip_addr *addr = &frame->packet.ip_destination;
	const struct lease *lease;
	const struct neighbour_entry *entry;

	if (frame->packet.kind != PACKET_IPV4) {
		gateway_drop(gateway, DROP_UNKNOWN_ETHERTYPE);
		return;
	}
	lease = find_owned(gateway, addr);
	if (lease) {
		/* Never heard on a port that is there (it has a static address, or its port is a
		 * new one): the bridge does not know its MAC either, and its answer teaches it. */
		if (lease->seen_port == LEASE_PORT_NONE)
			ask(gateway, addr);
		packet_set_macs(frame, &gateway->config.mac, &lease->mac);
		frame_sink_push(gateway->context.to_bridge, frame);
		return;
	}
	entry = neighbour_table_find(&gateway->neighbour.table, addr);
	if (entry) {
		packet_set_macs(frame, &gateway->config.mac, &entry->mac);
		frame_sink_push(gateway->context.to_bridge, frame);
		return;
	}
	gateway_drop(gateway, DROP_NO_NEIGHBOUR);
	ask(gateway, addr);
}

int neighbour_init(struct gateway *gateway)
{
	const struct ip_prefix *subnet = &gateway->config.subnet;
	uint32_t most = ip_prefix_last_v4(subnet) - ip_prefix_first_v4(subnet);
	uint32_t capacity = most < NEIGHBOUR_TABLE_MAX ? most + 1 : NEIGHBOUR_TABLE_MAX;

	return neighbour_table_init(&gateway->neighbour.table, capacity, gateway->context.random);
}

void neighbour_done(struct gateway *gateway)
{
	neighbour_table_done(&gateway->neighbour.table);
}
