#include "bridge/guard.h"

#include "wire/arp.h"
#include "wire/reader.h"

#define GUARD_PORT_DHCP_SERVER	   67
#define GUARD_PORT_DHCP6_SERVER	   547
#define GUARD_ROUTER_ADVERTISEMENT 134 /* RFC 4861 4.2 */
#define GUARD_REDIRECT		   137 /* RFC 4861 4.5 */

/*
 * The UDP source port, also of a first fragment, whose ports the dissection leaves alone: a
 * datagram cut in two must not get past the guard.
 */
static bool guard_udp_source(const struct frame *frame, uint16_t *ret_port)
{
	const struct packet *packet = &frame->packet;

	if (packet->ip_protocol != PACKET_IP_PROTOCOL_UDP || packet->ip_fragment_offset != 0)
		return false;
	if (packet->has_l4) {
		*ret_port = packet->port_source;
		return true;
	}
	if (packet->kind != PACKET_IPV4)
		return false;
	struct reader reader = reader_of(frame->header, frame->header_size);
	reader_skip(&reader, packet->l3_offset);
	size_t ip_header_size = (size_t)(reader_u8(&reader) & 0x0f) * 4;
	uint8_t ports[2];

	if (!reader_ok(&reader) || frame_size(frame) < packet->l3_offset + ip_header_size + 2)
		return false;
	size_t at = packet->l3_offset + ip_header_size;
	for (size_t i = 0; i < 2; i++) {
		if (at + i < frame->header_size)
			ports[i] = frame->header[at + i];
		else
			frame_copy_payload(frame, at + i - frame->header_size, &ports[i], 1);
	}
	*ret_port = (uint16_t)((unsigned)ports[0] << 8 | ports[1]);
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

bool guard_judge(const struct frame *frame, const struct ip_addr *gateway,
		 enum drop_reason *ret_reason)
{
	const struct packet *packet = &frame->packet;
	uint16_t port;

	if (packet->kind == PACKET_ARP)
		return guard_judge_arp(frame, gateway, ret_reason);
	if (packet->kind != PACKET_IPV4 && packet->kind != PACKET_IPV6)
		return true;
	*ret_reason = DROP_DHCP_SERVER_GUARD;
	if (guard_udp_source(frame, &port) &&
	    (port == GUARD_PORT_DHCP_SERVER || port == GUARD_PORT_DHCP6_SERVER))
		return false;
	*ret_reason = DROP_ROUTER_GUARD;
	return !(packet->kind == PACKET_IPV6 && packet->has_l4 &&
		 packet->ip_protocol == PACKET_IP_PROTOCOL_ICMP6 &&
		 (packet->icmp_type == GUARD_ROUTER_ADVERTISEMENT ||
		  packet->icmp_type == GUARD_REDIRECT));
}
