#include "wire/packet_build.h"

#include <assert.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/ether.h"
#include "wire/ipv4.h"
#include "wire/udp.h"

/* Everything below L4. The writer that is left is for the L4 header. */
static bool start_ipv4(struct frame *frame, const struct packet_link *link,
		       const struct ip_addr *from, const struct ip_addr *to, uint8_t protocol,
		       size_t l4_header_size, const struct iovec *payload, size_t count,
		       struct writer *ret_writer)
{
	size_t room = IPV4_PACKET_MAX - IPV4_HEADER_SIZE - l4_header_size;
	size_t size = 0;

	if (!ip_addr_is_v4(from) || !ip_addr_is_v4(to) || count > FRAME_PAYLOAD_MAX_PARTS)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (payload[i].iov_len > room - size)
			return false;
		size += payload[i].iov_len;
	}

	frame->header_size = ETHER_HEADER_SIZE + IPV4_HEADER_SIZE + l4_header_size;
	frame->payload = payload;
	frame->payload_count = count;
	frame->payload_size = size;
	frame->offload = (struct frame_offload){};
	frame->port = FRAME_PORT_NONE;
	frame->in_place = false;
	frame->single = (struct iovec){};

	struct ether_header ether = {
		.destination = link->destination,
		.source = link->source,
		.type = ETHER_TYPE_IPV4,
	};
	struct ipv4_header ip = {
		.tos = link->tos,
		.total_size = (uint16_t)(IPV4_HEADER_SIZE + l4_header_size + size),
		.id = link->id,
		.dont_fragment = link->dont_fragment,
		.ttl = link->ttl > 0 ? link->ttl : PACKET_TTL_DEFAULT,
		.protocol = protocol,
		.source = *from,
		.destination = *to,
	};
	*ret_writer = writer_of(frame->header, sizeof(frame->header));
	ether_build(ret_writer, &ether);
	ipv4_build(ret_writer, &ip);
	return true;
}

/* What later stages know of the frame is what dissection says of its bytes, as for any other. */
static void finish(struct frame *frame, const struct writer *writer)
{
	enum drop_reason reason;

	assert(writer_ok(writer) && writer->position == frame->header_size);
	bool sound = packet_dissect(frame->header, frame->header_size, frame_size(frame),
				    &frame->packet, &reason);
	assert(sound);
	(void)sound;
}

/* Over the L4 header as written so far (its checksum 0) and the payload. */
static uint16_t l4_checksum(uint64_t sum, const struct frame *frame, size_t l4_header_size)
{
	const uint8_t *l4 = frame->header + ETHER_HEADER_SIZE + IPV4_HEADER_SIZE;

	sum = checksum_add(sum, l4, l4_header_size, false);
	return checksum_finish(checksum_add_iov(sum, frame->payload, frame->payload_count,
						l4_header_size % 2 != 0));
}

/* Writes the header with the checksum's field 0; returns what the pseudo header adds up to. */
static uint64_t start_udp(const struct frame *frame, struct writer *writer,
			  const struct ip_endpoint *from, const struct ip_endpoint *to)
{
	struct udp_header header = {
		.source_port = from->port,
		.destination_port = to->port,
		.size = (uint16_t)(UDP_HEADER_SIZE + frame->payload_size),
	};

	udp_build(writer, &header);
	return checksum_pseudo(&from->addr, &to->addr, PACKET_IP_PROTOCOL_UDP, header.size);
}

bool packet_build_udp(struct frame *frame, const struct packet_link *link,
		      const struct ip_endpoint *from, const struct ip_endpoint *to,
		      const struct iovec *payload, size_t count)
{
	struct writer writer;

	if (!start_ipv4(frame, link, &from->addr, &to->addr, PACKET_IP_PROTOCOL_UDP,
			UDP_HEADER_SIZE, payload, count, &writer))
		return false;

	size_t start = writer.position;
	uint64_t sum = start_udp(frame, &writer, from, to);
	uint16_t checksum = l4_checksum(sum, frame, UDP_HEADER_SIZE);
	/* 0 would mean "none" (RFC 768). */
	writer_patch_u16(&writer, start + UDP_CHECKSUM_OFFSET,
			 checksum == 0 ? UINT16_MAX : checksum);
	frame->offload.checksum_valid = true;
	finish(frame, &writer);
	return true;
}

bool packet_build_udp_partial(struct frame *frame, const struct packet_link *link,
			      const struct ip_endpoint *from, const struct ip_endpoint *to,
			      const struct iovec *payload, size_t count, uint16_t gso_size)
{
	struct writer writer;

	if (!start_ipv4(frame, link, &from->addr, &to->addr, PACKET_IP_PROTOCOL_UDP,
			UDP_HEADER_SIZE, payload, count, &writer))
		return false;

	size_t start = writer.position;
	uint64_t sum = start_udp(frame, &writer, from, to);
	writer_patch_u16(&writer, start + UDP_CHECKSUM_OFFSET, checksum_fold(sum));
	frame->offload.checksum_partial = true;
	frame->offload.checksum_start = (uint16_t)start;
	frame->offload.checksum_offset = UDP_CHECKSUM_OFFSET;
	if (gso_size > 0 && frame->payload_size > gso_size) {
		frame->offload.gso = FRAME_GSO_UDP;
		frame->offload.gso_size = gso_size;
	}
	finish(frame, &writer);
	return true;
}

bool packet_build_tcp(struct frame *frame, const struct packet_link *link,
		      const struct ip_endpoint *from, const struct ip_endpoint *to,
		      const struct tcp_header *header, const struct iovec *payload, size_t count,
		      uint16_t gso_size)
{
	struct tcp_header own = *header;
	size_t header_size = tcp_header_size(header);
	struct writer writer;

	if (!start_ipv4(frame, link, &from->addr, &to->addr, PACKET_IP_PROTOCOL_TCP, header_size,
			payload, count, &writer))
		return false;

	size_t start = writer.position;
	own.source_port = from->port;
	own.destination_port = to->port;
	own.checksum =
		checksum_fold(checksum_pseudo(&from->addr, &to->addr, PACKET_IP_PROTOCOL_TCP,
					      (uint32_t)(header_size + frame->payload_size)));
	tcp_build(&writer, &own);
	frame->offload.checksum_partial = true;
	frame->offload.checksum_start = (uint16_t)start;
	frame->offload.checksum_offset = TCP_CHECKSUM_OFFSET;
	if (gso_size > 0 && frame->payload_size > gso_size) {
		frame->offload.gso = FRAME_GSO_TCP4;
		frame->offload.gso_size = gso_size;
	}
	finish(frame, &writer);
	return true;
}

bool packet_build_icmp(struct frame *frame, const struct packet_link *link,
		       const struct ip_addr *from, const struct ip_addr *to,
		       const struct icmp_header *header, const struct iovec *payload, size_t count)
{
	struct icmp_header own = *header;
	struct writer writer;

	if (!start_ipv4(frame, link, from, to, PACKET_IP_PROTOCOL_ICMP, ICMP_HEADER_SIZE, payload,
			count, &writer))
		return false;

	size_t start = writer.position;
	own.checksum = 0;
	icmp_build(&writer, &own);
	writer_patch_u16(&writer, start + ICMP_CHECKSUM_OFFSET,
			 l4_checksum(0, frame, ICMP_HEADER_SIZE));
	frame->offload.checksum_valid = true;
	finish(frame, &writer);
	return true;
}

bool packet_build_arp(struct frame *frame, const struct mac_addr *source,
		      const struct mac_addr *destination, const struct arp_message *message)
{
	struct ether_header ether = {
		.destination = *destination,
		.source = *source,
		.type = ETHER_TYPE_ARP,
	};
	struct writer writer = writer_of(frame->header, sizeof(frame->header));

	if (!ip_addr_is_v4(&message->sender_ip) || !ip_addr_is_v4(&message->target_ip))
		return false;
	ether_build(&writer, &ether);
	arp_build(&writer, message);
	frame->header_size = writer.position;
	frame->payload = NULL;
	frame->payload_count = 0;
	frame->payload_size = 0;
	frame->offload = (struct frame_offload){};
	frame->port = FRAME_PORT_NONE;
	frame->in_place = false;
	frame->single = (struct iovec){};
	finish(frame, &writer);
	return true;
}

void packet_set_macs(struct frame *frame, const struct mac_addr *source,
		     const struct mac_addr *destination)
{
	if (source)
		frame->packet.mac_source = *source;
	if (destination)
		frame->packet.mac_destination = *destination;

	struct ether_header ether = {
		.destination = frame->packet.mac_destination,
		.source = frame->packet.mac_source,
		.type = frame->packet.ether_type,
	};
	struct writer writer = writer_of(frame->header, ETHER_HEADER_SIZE);
	ether_build(&writer, &ether);
}

static bool is_single_host(const struct ip_addr *addr)
{
	const uint32_t class_e = 0xf0000000; /* with the limited broadcast */

	return !ip_addr_is_unspecified(addr) && !ip_addr_is_loopback(addr) &&
	       !ip_addr_is_multicast(addr) && ip_addr_to_v4(addr) < class_e;
}

bool packet_allows_error(const struct packet *packet)
{
	const uint32_t limited_broadcast = 0xffffffff;

	if (packet->kind != PACKET_IPV4 || mac_addr_is_multicast(&packet->mac_destination) ||
	    packet->ip_fragment_offset > 0)
		return false;
	/* The type of a fragmented ICMP message was not looked at: it may be an error. */
	if (packet->ip_protocol == PACKET_IP_PROTOCOL_ICMP &&
	    (!packet->has_l4 || icmp_is_error(packet->icmp_type)))
		return false;
	return is_single_host(&packet->ip_source) &&
	       !ip_addr_is_multicast(&packet->ip_destination) &&
	       ip_addr_to_v4(&packet->ip_destination) != limited_broadcast;
}

size_t packet_quote(const struct frame *frame, uint8_t buffer[ICMP_QUOTE_MAX])
{
	struct writer writer = writer_of(buffer, ICMP_QUOTE_MAX);
	size_t headers = frame->header_size - frame->packet.l3_offset;

	writer_bytes(&writer, frame->header + frame->packet.l3_offset, headers);
	size_t size = writer_left(&writer) < frame->payload_size ? writer_left(&writer)
								 : frame->payload_size;
	uint8_t *room = writer_take(&writer, size);
	if (room)
		frame_copy_payload(frame, 0, room, size);
	return writer.position;
}
