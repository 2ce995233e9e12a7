#include "bridge/guard.h"

#include "wire/arp.h"
#include "wire/reader.h"

#define GUARD_PORT_DHCP_SERVER	   67
#define GUARD_PORT_DHCP6_SERVER	   547
#define GUARD_ROUTER_ADVERTISEMENT 134 /* RFC 4861 4.2 */
#define GUARD_REDIRECT		   137 /* RFC 4861 4.5 */

/* Below it, the field is a length and an LLC header follows (IEEE 802.3). */
#define GUARD_ETHERTYPE_MIN 0x600
#define GUARD_VLAN	    0x8100
#define GUARD_VLAN_SERVICE  0x88a8
#define GUARD_VLAN_OLD	    0x9100
#define GUARD_VLAN_ID_MASK  0x0fff

/* Next header values of IPv6 (RFC 8200 4, RFC 4302). */
#define GUARD_HOP_BY_HOP     0
#define GUARD_ROUTING	     43
#define GUARD_FRAGMENT	     44
#define GUARD_AUTHENTICATION 51
#define GUARD_DESTINATION    60
/* More headers than any honest packet has. */
#define GUARD_HEADERS_MOST 8

#define GUARD_IPV6_HEADER_SIZE 40

/* Bytes of the frame, wherever they are. False: it ends before. */
static bool guard_bytes(const struct frame *frame, size_t at, uint8_t *ret_bytes, size_t size)
{
	if (at > frame_size(frame) || size > frame_size(frame) - at)
		return false;
	for (size_t i = 0; i < size; i++, at++) {
		if (at < frame->header_size)
			ret_bytes[i] = frame->header[at];
		else
			frame_copy_payload(frame, at - frame->header_size, &ret_bytes[i], 1);
	}
	return true;
}

static bool guard_u16(const struct frame *frame, size_t at, uint16_t *ret_value)
{
	uint8_t bytes[2];

	if (!guard_bytes(frame, at, bytes, sizeof(bytes)))
		return false;
	*ret_value = (uint16_t)((unsigned)bytes[0] << 8 | bytes[1]);
	return true;
}

static bool guard_judge_arp(const struct frame *frame, const struct ip_addr *gateway,
			    enum drop_reason *ret_reason)
{
	struct reader reader = reader_of(frame->header, frame->header_size);
	struct arp_message arp;

	*ret_reason = DROP_BAD_ARP;
	reader_skip(&reader, FRAME_ETHERNET_SIZE);
	if (!arp_parse(&reader, &arp))
		return false;
	return !ip_addr_equal(&arp.sender_ip, gateway) &&
	       mac_addr_equal(&arp.sender_mac, &frame->packet.mac_source);
}

/* The ports of a first fragment are looked at, too: the dissection leaves them alone, and the rest
 * of the datagram needs it. */
static bool guard_judge_ipv4(const struct frame *frame, const struct ip_addr *gateway,
			     enum drop_reason *ret_reason)
{
	const struct packet *packet = &frame->packet;
	uint16_t port;

	*ret_reason = DROP_BAD_SOURCE_ADDRESS;
	if (ip_addr_equal(&packet->ip_source, gateway))
		return false;
	*ret_reason = DROP_DHCP_SERVER_GUARD;
	return packet->ip_protocol != PACKET_IP_PROTOCOL_UDP || packet->ip_fragment_offset != 0 ||
	       !guard_u16(frame, packet->l4_offset, &port) || port != GUARD_PORT_DHCP_SERVER;
}

struct guard_chain {
	size_t at;    /* of the header that follows */
	uint8_t next; /* its kind */
	bool is_rest; /* behind the first fragment: there is nothing to look at */
};

/* One extension header on. False: it is cut off. */
static bool guard_step(const struct frame *frame, struct guard_chain *chain)
{
	uint8_t bytes[4];

	if (!guard_bytes(frame, chain->at, bytes, sizeof(bytes)))
		return false;
	if (chain->next == GUARD_FRAGMENT) {
		chain->is_rest = ((unsigned)bytes[2] << 8 | bytes[3]) >> 3 != 0;
		chain->at += 8;
	} else if (chain->next == GUARD_AUTHENTICATION) {
		chain->at += ((size_t)bytes[1] + 2) * 4;
	} else {
		chain->at += ((size_t)bytes[1] + 1) * 8;
	}
	chain->next = bytes[0];
	return true;
}

/* The whole chain of headers must be in the packet or its first fragment (RFC 7112, RFC 7113 3). */
static bool guard_judge_ipv6(const struct frame *frame, enum drop_reason *ret_reason)
{
	struct guard_chain chain = {
		.at = (size_t)frame->packet.l3_offset + GUARD_IPV6_HEADER_SIZE,
		.next = frame->packet.ip_protocol,
	};
	uint8_t type;
	uint16_t port;

	*ret_reason = DROP_ROUTER_GUARD;
	for (unsigned i = 0; i < GUARD_HEADERS_MOST; i++) {
		if (chain.is_rest)
			return true;
		switch (chain.next) {
		case GUARD_HOP_BY_HOP:
		case GUARD_ROUTING:
		case GUARD_FRAGMENT:
		case GUARD_AUTHENTICATION:
		case GUARD_DESTINATION:
			if (!guard_step(frame, &chain))
				return false;
			break;
		case PACKET_IP_PROTOCOL_ICMP6:
			return guard_bytes(frame, chain.at, &type, 1) &&
			       type != GUARD_ROUTER_ADVERTISEMENT && type != GUARD_REDIRECT;
		case PACKET_IP_PROTOCOL_UDP:
			*ret_reason = DROP_DHCP_SERVER_GUARD;
			return guard_u16(frame, chain.at, &port) && port != GUARD_PORT_DHCP6_SERVER;
		default:
			return true;
		}
	}
	return false;
}

/* A tag without a VLAN is taken off by receivers, who then read the frame as ours to guard. One
 * with a VLAN is for a network that is not ours. */
static bool guard_judge_other(const struct frame *frame, enum drop_reason *ret_reason)
{
	uint16_t tag;

	*ret_reason = DROP_UNKNOWN_ETHERTYPE;
	switch (frame->packet.ether_type) {
	case GUARD_VLAN:
	case GUARD_VLAN_SERVICE:
	case GUARD_VLAN_OLD:
		return guard_u16(frame, FRAME_ETHERNET_SIZE, &tag) &&
		       (tag & GUARD_VLAN_ID_MASK) != 0;
	default:
		return frame->packet.ether_type >= GUARD_ETHERTYPE_MIN;
	}
}

bool guard_judge(const struct frame *frame, const struct ip_addr *gateway,
		 enum drop_reason *ret_reason)
{
	switch (frame->packet.kind) {
	case PACKET_ARP:
		return guard_judge_arp(frame, gateway, ret_reason);
	case PACKET_IPV4:
		return guard_judge_ipv4(frame, gateway, ret_reason);
	case PACKET_IPV6:
		return guard_judge_ipv6(frame, ret_reason);
	case PACKET_OTHER:
		return guard_judge_other(frame, ret_reason);
	}
	return false;
}
