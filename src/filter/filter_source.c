#include "filter/filter_source.h"

#include "wire/arp.h"
#include "wire/reader.h"

#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
/* Groups, and behind them what is reserved and broadcast. */
#define FIRST_GROUP_OCTET 224

static bool source_is_bound(const struct filter_binding *binding, const struct ip_addr *addr)
{
	return binding->addr.family != IP_FAMILY_NONE && ip_addr_equal(&binding->addr, addr);
}

static bool source_judge_arp(const struct frame *frame, const struct filter_binding *binding,
			     enum drop_reason *ret_reason)
{
	struct reader reader = reader_of(frame->header, frame->header_size);
	struct arp_message arp;

	*ret_reason = DROP_BAD_ARP;
	reader_skip(&reader, FRAME_ETHERNET_SIZE);
	return arp_parse(&reader, &arp) && mac_addr_equal(&arp.sender_mac, &binding->mac) &&
	       (ip_addr_is_unspecified(&arp.sender_ip) || source_is_bound(binding, &arp.sender_ip));
}

static bool source_is_dhcp(const struct packet *packet)
{
	return packet->has_l4 && packet->ip_protocol == PACKET_IP_PROTOCOL_UDP &&
	       packet->port_source == DHCP_CLIENT_PORT &&
	       packet->port_destination == DHCP_SERVER_PORT;
}

static bool source_judge_ipv4(const struct frame *frame, const struct filter_binding *binding,
			      enum drop_reason *ret_reason)
{
	const struct packet *packet = &frame->packet;
	const bool to_all = ip_addr_to_v4(&packet->ip_destination) == INADDR_BROADCAST;

	*ret_reason = DROP_IP_OPTIONS;
	if (packet->ip_has_options)
		return false;
	*ret_reason = DROP_BAD_SOURCE_ADDRESS;
	if (!source_is_bound(binding, &packet->ip_source) &&
	    !(ip_addr_is_unspecified(&packet->ip_source) && to_all && source_is_dhcp(packet)))
		return false;
	*ret_reason = DROP_FILTERED;
	if (ip_addr_is_multicast(&packet->ip_destination))
		return false;
	return !to_all || source_is_dhcp(packet);
}

/* Nearly every frame: IPv4 from the address that is bound to one host. The longer way says the same. */
static bool source_is_plain(const struct packet *packet, const struct filter_binding *binding)
{
	return packet->kind == PACKET_IPV4 && !packet->ip_has_options &&
	       ip_addr_equal(&binding->addr, &packet->ip_source) &&
	       packet->ip_destination.octet[0] < FIRST_GROUP_OCTET;
}

bool filter_judge_source(const struct frame *frame, const struct filter_binding *binding,
			 enum drop_reason *ret_reason)
{
	*ret_reason = DROP_BAD_SOURCE_MAC;
	if (!mac_addr_equal(&frame->packet.mac_source, &binding->mac))
		return false;
	if (source_is_plain(&frame->packet, binding))
		return true;
	switch (frame->packet.kind) {
	case PACKET_ARP:
		return source_judge_arp(frame, binding, ret_reason);
	case PACKET_IPV4:
		return source_judge_ipv4(frame, binding, ret_reason);
	case PACKET_IPV6:
		*ret_reason = DROP_IPV6_OFF;
		return false;
	case PACKET_OTHER:
		*ret_reason = DROP_UNKNOWN_ETHERTYPE;
		return false;
	}
	return false;
}
