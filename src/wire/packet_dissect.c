#include "wire/packet_dissect.h"

#include "wire/ether.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/reader.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define IPV6_HEADER_SIZE 40

/* Next headers that are not an upper layer (IANA "IPv6 Extension Header Types"). */
#define IPV6_HOP_BY_HOP		 0
#define IPV6_ROUTING		 43
#define IPV6_FRAGMENT		 44
#define IPV6_ESP		 50
#define IPV6_AUTHENTICATION	 51
#define IPV6_DESTINATION_OPTIONS 60
#define IPV6_MOBILITY		 135
#define IPV6_HOST_IDENTITY	 139
#define IPV6_SHIM6		 140

static bool is_ipv6_extension(uint8_t next_header)
{
	switch (next_header) {
	case IPV6_HOP_BY_HOP:
	case IPV6_ROUTING:
	case IPV6_FRAGMENT:
	case IPV6_ESP:
	case IPV6_AUTHENTICATION:
	case IPV6_DESTINATION_OPTIONS:
	case IPV6_MOBILITY:
	case IPV6_HOST_IDENTITY:
	case IPV6_SHIM6:
		return true;
	default:
		return false;
	}
}

static bool dissect_tcp(struct reader *reader, struct packet *packet)
{
	struct reader start = *reader;

	packet->port_source = reader_u16(reader);
	packet->port_destination = reader_u16(reader);
	reader_skip(reader, 8);
	size_t header_size = (size_t)(reader_u8(reader) >> 4) * 4;
	if (!reader_ok(reader) || header_size < TCP_HEADER_SIZE)
		return false;
	reader_skip(&start, header_size);
	packet->payload_offset = (uint16_t)(packet->l4_offset + header_size);
	return reader_ok(&start);
}

static bool dissect_udp(struct reader *reader, size_t l4_size, struct packet *packet)
{
	struct udp_header header;

	if (!udp_parse(reader, &header) || header.size != l4_size)
		return false;
	packet->port_source = header.source_port;
	packet->port_destination = header.destination_port;
	packet->payload_offset = (uint16_t)(packet->l4_offset + UDP_HEADER_SIZE);
	return true;
}

static bool dissect_icmp(struct reader *reader, struct packet *packet)
{
	struct icmp_header header;

	if (!icmp_parse(reader, &header))
		return false;
	packet->icmp_type = header.type;
	packet->icmp_code = header.code;
	packet->port_source = header.identifier;
	packet->port_destination = header.identifier;
	packet->payload_offset = (uint16_t)(packet->l4_offset + ICMP_HEADER_SIZE);
	return true;
}

/* ICMPv6 has the same 8 bytes; its echo types are others (RFC 4443 4). */
static bool dissect_icmp6(struct reader *reader, struct packet *packet)
{
	const uint8_t echo_request = 128;
	const uint8_t echo_reply = 129;

	packet->icmp_type = reader_u8(reader);
	packet->icmp_code = reader_u8(reader);
	reader_skip(reader, 2);
	uint16_t identifier = reader_u16(reader);
	reader_skip(reader, 2);
	if (packet->icmp_type == echo_request || packet->icmp_type == echo_reply) {
		packet->port_source = identifier;
		packet->port_destination = identifier;
	}
	packet->payload_offset = (uint16_t)(packet->l4_offset + ICMP_HEADER_SIZE);
	return reader_ok(reader);
}

/* header: behind the IP header, as much of it as was copied. l4_size: what the IP header leaves. */
static bool dissect_l4(struct reader header, size_t l4_size, struct packet *packet)
{
	size_t seen = reader_left(&header);
	/* Padding behind the packet is no part of it. */
	struct reader reader = reader_sub(&header, seen < l4_size ? seen : l4_size);

	switch (packet->ip_protocol) {
	case PACKET_IP_PROTOCOL_TCP:
		packet->has_l4 = dissect_tcp(&reader, packet);
		return packet->has_l4;
	case PACKET_IP_PROTOCOL_UDP:
		packet->has_l4 = dissect_udp(&reader, l4_size, packet);
		return packet->has_l4;
	case PACKET_IP_PROTOCOL_ICMP:
		if (packet->kind != PACKET_IPV4)
			return true;
		packet->has_l4 = dissect_icmp(&reader, packet);
		return packet->has_l4;
	case PACKET_IP_PROTOCOL_ICMP6:
		if (packet->kind != PACKET_IPV6)
			return true;
		packet->has_l4 = dissect_icmp6(&reader, packet);
		return packet->has_l4;
	default:
		return true;
	}
}

static bool dissect_ipv4(struct reader *reader, size_t size, struct packet *packet,
			 enum drop_reason *ret_reason)
{
	struct ipv4_header header;

	*ret_reason = DROP_BAD_IP_HEADER;
	if (!ipv4_parse(reader, &header) || header.total_size > size)
		return false;
	*ret_reason = DROP_BAD_IP_CHECKSUM;
	if (!header.checksum_ok)
		return false;

	packet->kind = PACKET_IPV4;
	packet->ip_source = header.source;
	packet->ip_destination = header.destination;
	packet->ip_protocol = header.protocol;
	packet->ip_ttl = header.ttl;
	packet->ip_tos = header.tos;
	packet->ip_dont_fragment = header.dont_fragment;
	packet->ip_has_options = header.header_size > IPV4_HEADER_SIZE;
	packet->ip_is_fragment = header.more_fragments || header.fragment_offset > 0;
	packet->ip_more_fragments = header.more_fragments;
	packet->ip_fragment_offset = header.fragment_offset;
	packet->ip_id = header.id;
	packet->ip_total_size = header.total_size;
	packet->l4_offset = (uint16_t)(packet->l3_offset + header.header_size);
	packet->payload_offset = packet->l4_offset;

	*ret_reason = DROP_BAD_L4_HEADER;
	return packet->ip_is_fragment ||
	       dissect_l4(*reader, (size_t)header.total_size - header.header_size, packet);
}

static bool dissect_ipv6(struct reader *reader, size_t size, struct packet *packet,
			 enum drop_reason *ret_reason)
{
	uint8_t octet[16];
	uint32_t first = reader_u32(reader); /* version 4, traffic class 8, flow label 20 bits */
	size_t payload_size = reader_u16(reader);

	packet->kind = PACKET_IPV6;
	packet->ip_protocol = reader_u8(reader);
	packet->ip_ttl = reader_u8(reader);
	packet->ip_tos = (uint8_t)(first >> 20);
	reader_bytes(reader, octet, sizeof(octet));
	packet->ip_source = ip_addr_from_v6(octet);
	reader_bytes(reader, octet, sizeof(octet));
	packet->ip_destination = ip_addr_from_v6(octet);

	size_t total_size = IPV6_HEADER_SIZE + payload_size;
	*ret_reason = DROP_BAD_IP_HEADER;
	if (!reader_ok(reader) || first >> 28 != 6 || total_size > size || total_size > UINT16_MAX)
		return false;
	packet->ip_total_size = (uint16_t)total_size;
	packet->l4_offset = (uint16_t)(packet->l3_offset + IPV6_HEADER_SIZE);
	packet->payload_offset = packet->l4_offset;
	packet->ip_has_options = is_ipv6_extension(packet->ip_protocol);
	packet->ip_is_fragment = packet->ip_protocol == IPV6_FRAGMENT;

	*ret_reason = DROP_BAD_L4_HEADER;
	return packet->ip_has_options || dissect_l4(*reader, payload_size, packet);
}

bool packet_dissect(const uint8_t *header, size_t header_size, size_t frame_size,
		    struct packet *ret_packet, enum drop_reason *ret_reason)
{
	struct reader reader =
		reader_of(header, header_size < frame_size ? header_size : frame_size);
	struct ether_header ether;
	struct packet packet = { .kind = PACKET_OTHER };
	enum drop_reason reason = DROP_SHORT_FRAME;
	bool good = true;

	if (!ether_parse(&reader, &ether)) {
		*ret_reason = reason;
		return false;
	}
	packet.mac_destination = ether.destination;
	packet.mac_source = ether.source;
	packet.ether_type = ether.type;
	packet.l3_offset = ETHER_HEADER_SIZE;

	switch (ether.type) {
	case ETHER_TYPE_ARP:
		packet.kind = PACKET_ARP;
		break;
	case ETHER_TYPE_IPV4:
		good = dissect_ipv4(&reader, frame_size - ETHER_HEADER_SIZE, &packet, &reason);
		break;
	case ETHER_TYPE_IPV6:
		good = dissect_ipv6(&reader, frame_size - ETHER_HEADER_SIZE, &packet, &reason);
		break;
	default:
		break;
	}
	if (good)
		*ret_packet = packet;
	else
		*ret_reason = reason;
	return good;
}
