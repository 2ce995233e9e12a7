#pragma once
/*
 * Whole packets of our own: fills frame->header with Ethernet, IPv4 and the L4 header, borrows the
 * payload (the iovec array, too: it must outlive the frame), and fills frame->packet as packet_dissect() would. frame->port is FRAME_PORT_NONE; the
 * caller sets it where it knows the guest's port. The frame needs no initialisation before.
 *
 * All return false, with the frame unusable, when an address is not IPv4 (IPv6 comes later), the
 * packet would be longer than 65535 bytes, or the payload has more than FRAME_PAYLOAD_MAX_PARTS
 * parts. Packets are never fragmented here: see wire/frame_fragment.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/arp.h"
#include "wire/frame.h"
#include "wire/icmp.h"
#include "wire/tcp.h"

#define PACKET_TTL_DEFAULT 64

/* The lower layers. All zero is a good start: MACs to be filled in later, TTL 64. */
struct packet_link {
	struct mac_addr source;
	struct mac_addr destination;
	uint8_t tos;
	uint8_t ttl; /* 0 = PACKET_TTL_DEFAULT */
	uint16_t id;
	bool dont_fragment;
};

/* The checksum is computed in full (offload.checksum_valid). */
bool packet_build_udp(struct frame *frame, const struct packet_link *link,
		      const struct ip_endpoint *from, const struct ip_endpoint *to,
		      const struct iovec *payload, size_t count) MUST_USE;

/*
 * The checksum is left partial (offload.checksum_partial) for the port's door. A payload longer than
 * gso_size makes a super-frame of datagrams of that size each, the last of what is left; gso_size 0
 * = never. Not for what a guest's raw sockets read (DHCP): they look before the sum is complete.
 */
bool packet_build_udp_partial(struct frame *frame, const struct packet_link *link,
			      const struct ip_endpoint *from, const struct ip_endpoint *to,
			      const struct iovec *payload, size_t count,
			      uint16_t gso_size) MUST_USE;

/*
 * The ports come from `from` and `to`, not from the header. The checksum is left partial
 * (offload.checksum_partial) for the port's door. A payload longer than gso_size makes a GSO frame
 * of that segment size; gso_size 0 = never.
 */
bool packet_build_tcp(struct frame *frame, const struct packet_link *link,
		      const struct ip_endpoint *from, const struct ip_endpoint *to,
		      const struct tcp_header *header, const struct iovec *payload, size_t count,
		      uint16_t gso_size) MUST_USE;

/* ICMP with its checksum; payload is what follows the 8 header bytes (echo data; for an error the
 * quoted packet, which the caller keeps within ICMP_QUOTE_MAX). */
bool packet_build_icmp(struct frame *frame, const struct packet_link *link,
		       const struct ip_addr *from, const struct ip_addr *to,
		       const struct icmp_header *header, const struct iovec *payload,
		       size_t count) MUST_USE;

/* ARP has no IP header: link is not needed, the MACs of the Ethernet header are given. */
bool packet_build_arp(struct frame *frame, const struct mac_addr *source,
		      const struct mac_addr *destination,
		      const struct arp_message *message) MUST_USE;

/* Fills in the Ethernet addresses of a built (or any dissected) frame; NULL = leave as it is. */
void packet_set_macs(struct frame *frame, const struct mac_addr *source,
		     const struct mac_addr *destination);

/*
 * May an ICMP error be sent about this packet? Not about an ICMP error, a fragment other than the
 * first, a broadcast or multicast (frame or address), or a source that is no single host (RFC 1122
 * 3.2.2).
 */
bool packet_allows_error(const struct packet *packet) MUST_USE;

/* Copies what an ICMP error quotes of a frame's IP packet, from the IP header on. Returns the size.
 */
size_t packet_quote(const struct frame *frame, uint8_t buffer[ICMP_QUOTE_MAX]);
