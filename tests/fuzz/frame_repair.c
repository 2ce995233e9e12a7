#include "frame_repair.h"

#include <string.h>

#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/ether.h"
#include "wire/ipv4.h"
#include "wire/packet_dissect.h"
#include "wire/reader.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/writer.h"

#define ARP_SENDER_MAC_OFFSET  8
#define ARP_SENDER_IP_OFFSET   14
#define ICMP_CHECKSUM_OFFSET   2
#define ICMP_HEADER_SIZE_LEAST 8

static uint16_t get_u16(const uint8_t *bytes)
{
	return (uint16_t)((unsigned)bytes[0] << 8 | bytes[1]);
}

static void put_u16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static void put_v4(uint8_t *bytes, const struct ip_addr *addr)
{
	uint32_t value = ip_addr_to_v4(addr);

	put_u16(bytes, (uint16_t)(value >> 16));
	put_u16(bytes + 2, (uint16_t)value);
}

static void repair_arp(const struct frame_repair *repair, uint8_t *arp, size_t size)
{
	if (size < ARP_MESSAGE_SIZE || (repair->keep & FRAME_REPAIR_KEEP_SOURCE))
		return;
	memcpy(arp + ARP_SENDER_MAC_OFFSET, repair->mac.octet, sizeof(repair->mac.octet));
	put_v4(arp + ARP_SENDER_IP_OFFSET, &repair->addr);
}

/* Where in the L4 header its checksum is; 0 = none that we know, or the header is too short. */
static size_t checksum_offset(uint8_t protocol, size_t size)
{
	switch (protocol) {
	case PACKET_IP_PROTOCOL_TCP:
		return size >= TCP_HEADER_SIZE ? TCP_CHECKSUM_OFFSET : 0;
	case PACKET_IP_PROTOCOL_UDP:
		return size >= UDP_HEADER_SIZE ? UDP_CHECKSUM_OFFSET : 0;
	case PACKET_IP_PROTOCOL_ICMP:
		return size >= ICMP_HEADER_SIZE_LEAST ? ICMP_CHECKSUM_OFFSET : 0;
	default:
		return 0;
	}
}

static void repair_l4(const struct frame_repair *repair, const uint8_t *ip, uint8_t *l4,
		      size_t size)
{
	uint8_t protocol = ip[9];
	size_t offset = checksum_offset(protocol, size);
	uint64_t sum = 0;

	if (offset == 0)
		return;
	if (!(repair->keep & FRAME_REPAIR_KEEP_SIZES)) {
		if (protocol == PACKET_IP_PROTOCOL_UDP)
			put_u16(l4 + 4, (uint16_t)size);
		if (protocol == PACKET_IP_PROTOCOL_TCP &&
		    ((l4[12] >> 4) * 4U < TCP_HEADER_SIZE || (l4[12] >> 4) * 4U > size))
			l4[12] = (uint8_t)(TCP_HEADER_SIZE / 4 << 4);
	}
	put_u16(l4 + offset, 0);
	if (protocol != PACKET_IP_PROTOCOL_ICMP) {
		struct reader reader = reader_of(ip + 12, 8);
		struct ip_addr source = ip_addr_from_v4(reader_u32(&reader));
		struct ip_addr destination = ip_addr_from_v4(reader_u32(&reader));

		sum = checksum_pseudo(&source, &destination, protocol, (uint32_t)size);
	}
	put_u16(l4 + offset, checksum_finish(checksum_add(sum, l4, size, false)));
}

static void repair_ipv4(const struct frame_repair *repair, uint8_t *ip, size_t size)
{
	static const uint8_t unspecified[4];
	size_t header_size = (size_t)(ip[0] & 15) * 4;
	size_t total = get_u16(ip + 2);

	if (ip[0] >> 4 != 4 || header_size < IPV4_HEADER_SIZE || header_size > size) {
		ip[0] = 0x45;
		header_size = IPV4_HEADER_SIZE;
	}
	if (!(repair->keep & FRAME_REPAIR_KEEP_SIZES) && (total < header_size || total > size)) {
		total = size < IPV4_PACKET_MAX ? size : IPV4_PACKET_MAX;
		put_u16(ip + 2, (uint16_t)total);
	}
	if (!(repair->keep & FRAME_REPAIR_KEEP_SOURCE) && memcmp(ip + 12, unspecified, 4) != 0)
		put_v4(ip + 12, &repair->addr);
	if (repair->keep & FRAME_REPAIR_KEEP_CHECKSUM)
		return;
	put_u16(ip + 10, 0);
	put_u16(ip + 10, checksum_finish(checksum_add(0, ip, header_size, false)));
	bool is_fragment = (get_u16(ip + 6) & 0x3fff) != 0;
	if (!is_fragment && total >= header_size && total <= size)
		repair_l4(repair, ip, ip + header_size, total - header_size);
}

void frame_repair(const struct frame_repair *repair, uint8_t *bytes, size_t size)
{
	if (size < ETHER_HEADER_SIZE)
		return;
	if (!(repair->keep & FRAME_REPAIR_KEEP_MACS)) {
		if ((bytes[0] & 1) == 0)
			memcpy(bytes, repair->gateway.octet, sizeof(repair->gateway.octet));
		memcpy(bytes + 6, repair->mac.octet, sizeof(repair->mac.octet));
	}
	uint16_t type = get_u16(bytes + 12);
	bytes += ETHER_HEADER_SIZE;
	size -= ETHER_HEADER_SIZE;
	if (type == ETHER_TYPE_ARP)
		repair_arp(repair, bytes, size);
	else if (type == ETHER_TYPE_IPV4 && size >= IPV4_HEADER_SIZE)
		repair_ipv4(repair, bytes, size);
}
