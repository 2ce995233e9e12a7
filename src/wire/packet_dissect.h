#pragma once
/*
 * One look at a frame's headers, whose result travels with the frame: no later stage parses
 * Ethernet, IP or port numbers again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/drop.h"

enum packet_kind {
	PACKET_OTHER, /* an ethertype that we do not look into */
	PACKET_ARP,
	PACKET_IPV4,
	PACKET_IPV6,
};

#define PACKET_IP_PROTOCOL_ICMP	 1
#define PACKET_IP_PROTOCOL_TCP	 6
#define PACKET_IP_PROTOCOL_UDP	 17
#define PACKET_IP_PROTOCOL_ICMP6 58

struct packet {
	enum packet_kind kind;
	struct mac_addr mac_destination;
	struct mac_addr mac_source;
	uint16_t ether_type;

	/* IP only */
	struct ip_addr ip_source;
	struct ip_addr ip_destination;
	uint8_t ip_protocol;
	uint8_t ip_ttl;
	uint8_t ip_tos;
	bool ip_dont_fragment;
	bool ip_has_options; /* IPv4 header longer than 20 bytes, or IPv6 extension headers */
	bool ip_is_fragment; /* more fragments follow, or the offset is not 0 */
	bool ip_more_fragments;
	uint16_t ip_fragment_offset; /* bytes */
	uint32_t ip_id;
	uint16_t l3_offset;	/* from the start of the frame */
	uint16_t ip_total_size; /* header and payload, as the IP header says */

	/* True for unfragmented TCP, UDP and ICMP (both versions) whose header is whole. Else both
	 * offsets are that of the first byte behind the (basic) IP header. */
	bool has_l4;
	uint16_t l4_offset; /* from the start of the frame */
	uint16_t
		payload_offset; /* first byte behind the L4 header; behind the 8-byte ICMP header */
	uint16_t port_source;	/* TCP, UDP; ICMP echo: the identifier in both */
	uint16_t port_destination;
	uint8_t icmp_type;
	uint8_t icmp_code;
};

/*
 * Reads `header`, the first header_size bytes of a frame of frame_size bytes. False: the frame is
 * to be dropped for *ret_reason (SHORT_FRAME, BAD_IP_HEADER, BAD_IP_CHECKSUM, BAD_L4_HEADER).
 * Checks: lengths (IP total length against what is there: CVE-2020-10756; UDP length equal to what
 * the IP header leaves; TCP data offset), the IPv4 header checksum, and that IP version and
 * ethertype agree. It does not verify L4 checksums (see frame_verify_checksum()). Padding behind the IP packet
 * is legal (RFC 894) and no part of ip_total_size. VLAN tags make the frame PACKET_OTHER.
 */
bool packet_dissect(const uint8_t *header, size_t header_size, size_t frame_size,
		    struct packet *ret_packet, enum drop_reason *ret_reason) MUST_USE;
