#include "rig/rig_guest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig/rig_tcp.h"
#include "wire/arp.h"
#include "wire/frame_segment.h"
#include "wire/icmp.h"
#include "wire/packet_build.h"

void rig_guest_init(struct rig_guest *guest, struct rig_time *time, struct random *random,
		    const struct ip_addr *addr, struct rig_link *up)
{
	*guest = (struct rig_guest){
		.time = time,
		.random = random,
		.mac = { { 0x52, 0x54, 0, 0, 0, 2 } },
		.gateway_mac = { { 0x52, 0x54, 0, 0, 0, 1 } },
		.addr = *addr,
		.up = up,
		.trace = getenv("RIG_TRACE"),
	};
	list_init(&guest->connections);
}

void rig_guest_forget(struct rig_guest *guest)
{
	if (!guest->time)
		return;
	list_for_each_safe(node, next, &guest->connections)
		rig_tcp_done(container_of(node, struct rig_tcp, node));
}

static void rig_guest_trace(const struct rig_guest *guest, const char *way,
			    const struct frame *frame, const struct tcp_header *header)
{
	static const char letters[] = "FSRPAUEC";
	char flags[sizeof(letters)] = {};
	size_t count = 0;

	for (size_t i = 0; i + 1 < sizeof(letters); i++) {
		if (header->flags >> i & 1)
			flags[count++] = letters[i];
	}
	printf("# %12.6f %s %5u > %-5u %-3s seq %u ack %u win %u size %zu\n",
	       (double)(guest->time->now_ns / NS_PER_US) / 1e6, way, frame->packet.port_source,
	       frame->packet.port_destination, flags, header->sequence, header->acknowledgement,
	       header->window, frame->payload_size);
}

static void rig_guest_emit(struct rig_guest *guest, struct frame *frame, size_t padding)
{
	static const uint8_t rubbish[FRAME_MIN_SIZE] = { [0 ... FRAME_MIN_SIZE - 1] = 0xa5 };
	uint8_t *bytes = guest->frame_out;
	size_t size = frame_copy(frame, bytes, FRAME_MAX_SIZE);

	assert(size > 0 && padding <= sizeof(rubbish));
	memcpy(bytes + size, rubbish, padding);
	size += padding;
	if (size < FRAME_MIN_SIZE) {
		memset(bytes + size, 0, FRAME_MIN_SIZE - size);
		size = FRAME_MIN_SIZE;
	}
	rig_link_push(guest->up, bytes, size);
}

static struct packet_link rig_guest_link(struct rig_guest *guest)
{
	return (struct packet_link){
		.source = guest->mac,
		.destination = guest->gateway_mac,
		.id = guest->id++,
		.dont_fragment = true,
	};
}

void rig_guest_send_raw(struct rig_guest *guest, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const struct rig_raw *raw)
{
	struct packet_link link = rig_guest_link(guest);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)raw->payload, .iov_len = raw->size };
	struct frame frame;

	bool built = packet_build_tcp(&frame, &link, from, to, &raw->header, &iov,
				      raw->size > 0 ? 1 : 0, 0);
	assert(built);
	built = frame_complete_checksum(&frame);
	assert(built);
	(void)built;
	if (guest->trace)
		rig_guest_trace(guest, "guest >", &frame, &raw->header);
	if (raw->bad_checksum)
		frame.header[frame.packet.l4_offset + TCP_CHECKSUM_OFFSET] ^= 0x55;
	rig_guest_emit(guest, &frame, raw->padding);
}

void rig_guest_send_tcp(struct rig_guest *guest, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const struct tcp_header *header,
			const uint8_t *payload, size_t size)
{
	struct rig_raw raw = { .header = *header, .payload = payload, .size = size };

	rig_guest_send_raw(guest, from, to, &raw);
}

void rig_guest_send_reset(struct rig_guest *guest, const struct ip_endpoint *from,
			  const struct ip_endpoint *to, uint32_t sequence)
{
	struct tcp_header header = { .sequence = sequence, .flags = TCP_RST };

	guest->resets_sent++;
	rig_guest_send_tcp(guest, from, to, &header, NULL, 0);
}

void rig_guest_send_udp(struct rig_guest *guest, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const void *payload, size_t size)
{
	struct packet_link link = rig_guest_link(guest);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };
	struct frame frame;
	bool built = packet_build_udp(&frame, &link, from, to, &iov, size > 0 ? 1 : 0);

	assert(built);
	(void)built;
	rig_guest_emit(guest, &frame, 0);
}

void rig_guest_send_echo(struct rig_guest *guest, const struct ip_addr *to, uint16_t ident,
			 uint16_t sequence, uint8_t ttl, const void *payload, size_t size)
{
	struct packet_link link = rig_guest_link(guest);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };
	struct icmp_header header = { .type = 8, .identifier = ident, .sequence = sequence };
	struct frame frame;

	link.ttl = ttl;
	bool built =
		packet_build_icmp(&frame, &link, &guest->addr, to, &header, &iov, size > 0 ? 1 : 0);
	assert(built);
	(void)built;
	rig_guest_emit(guest, &frame, 0);
}

static struct rig_tcp *rig_guest_find(const struct rig_guest *guest,
				      const struct ip_endpoint *local,
				      const struct ip_endpoint *remote, bool listening)
{
	for (struct list *node = guest->connections.next; node != &guest->connections;
	     node = node->next) {
		struct rig_tcp *tcp = container_of(node, struct rig_tcp, node);

		if (!ip_endpoint_equal(&tcp->local, local))
			continue;
		if (tcp->state == RIG_TCP_CLOSED ? listening
						 : ip_endpoint_equal(&tcp->remote, remote))
			return tcp;
	}
	return NULL;
}

static void rig_guest_ends(const struct packet *packet, struct ip_endpoint *ret_source,
			   struct ip_endpoint *ret_destination)
{
	*ret_source = (struct ip_endpoint){ packet->ip_source, packet->port_source };
	*ret_destination = (struct ip_endpoint){ packet->ip_destination, packet->port_destination };
}

/* RFC 9293 3.10.7.1: a segment without a connection. */
static void rig_guest_refuse(struct rig_guest *guest, const struct ip_endpoint *local,
			     const struct ip_endpoint *remote, const struct tcp_header *header,
			     size_t size)
{
	struct tcp_header answer = { .flags = TCP_RST };

	if (guest->silent || (header->flags & TCP_RST))
		return;
	if (header->flags & TCP_ACK) {
		answer.sequence = header->acknowledgement;
	} else {
		answer.flags |= TCP_ACK;
		answer.acknowledgement = header->sequence + tcp_seq_size(header->flags, size);
	}
	guest->resets_sent++;
	rig_guest_send_tcp(guest, local, remote, &answer, NULL, 0);
}

static void rig_guest_input_tcp(struct rig_guest *guest, const struct frame *frame,
				const struct tcp_header *header)
{
	struct ip_endpoint source;
	struct ip_endpoint destination;
	struct rig_tcp *tcp;
	uint8_t *payload = guest->payload_in;

	rig_guest_ends(&frame->packet, &source, &destination);
	frame_copy_payload(frame, 0, payload, frame->payload_size);
	tcp = rig_guest_find(guest, &destination, &source,
			     (header->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN);
	if (tcp && tcp->state != RIG_TCP_RESET && tcp->state != RIG_TCP_TIMED_OUT)
		rig_tcp_input(tcp, &source, header, payload, frame->payload_size);
	else
		rig_guest_refuse(guest, &destination, &source, header, frame->payload_size);
}

static bool rig_guest_parse_tcp(const struct frame *frame, struct tcp_header *ret_header)
{
	struct reader reader = frame_l4_reader(frame);

	return frame->packet.has_l4 && frame->packet.ip_protocol == PACKET_IP_PROTOCOL_TCP &&
	       tcp_parse(&reader, ret_header);
}

static void rig_guest_record(struct rig_guest *guest, const struct frame *frame,
			     const struct tcp_header *header)
{
	struct rig_heard *heard = &guest->heard[guest->heard_count++ % RIG_HEARD_MAX];
	size_t size = frame->payload_size < RIG_HEARD_DATA ? frame->payload_size : RIG_HEARD_DATA;

	*heard = (struct rig_heard){
		.packet = frame->packet,
		.tcp = *header,
		.size = frame->payload_size,
	};
	frame_copy_payload(frame, 0, heard->data, size);
}

void rig_guest_announce(struct rig_guest *guest)
{
	struct arp_message message = {
		.operation = ARP_OPERATION_REQUEST,
		.sender_mac = guest->mac,
		.sender_ip = guest->addr,
		.target_ip = guest->addr,
	};
	struct frame frame;
	bool built = packet_build_arp(&frame, &guest->mac, &mac_addr_broadcast, &message);

	assert(built);
	(void)built;
	rig_guest_emit(guest, &frame, 0);
}

/* Answers who asks for its address. */
static void rig_guest_input_arp(struct rig_guest *guest, const struct frame *frame)
{
	struct reader reader = reader_of(frame->header + FRAME_ETHERNET_SIZE,
					 frame->header_size - FRAME_ETHERNET_SIZE);
	struct arp_message message;
	struct frame answer;

	if (!arp_parse(&reader, &message) || message.operation != ARP_OPERATION_REQUEST ||
	    !ip_addr_equal(&message.target_ip, &guest->addr))
		return;
	struct arp_message reply = {
		.operation = ARP_OPERATION_REPLY,
		.sender_mac = guest->mac,
		.sender_ip = guest->addr,
		.target_mac = message.sender_mac,
		.target_ip = message.sender_ip,
	};
	bool built = packet_build_arp(&answer, &guest->mac, &message.sender_mac, &reply);
	assert(built);
	(void)built;
	rig_guest_emit(guest, &answer, 0);
}

void rig_guest_deliver(void *context, const uint8_t *bytes, size_t size)
{
	struct rig_guest *guest = context;
	struct tcp_header header = {};
	enum drop_reason reason;
	struct frame frame;

	if (guest->down)
		return;
	if (!frame_from_bytes(&frame, bytes, size, FRAME_PORT_NONE, &reason) ||
	    size < FRAME_MIN_SIZE || !frame_verify_checksum(&frame)) {
		guest->bad_frames++;
		return;
	}
	if (!mac_addr_equal(&frame.packet.mac_destination, &guest->mac) &&
	    !mac_addr_is_multicast(&frame.packet.mac_destination))
		return;
	if (frame.packet.kind == PACKET_ARP)
		rig_guest_input_arp(guest, &frame);
	if (frame.packet.kind != PACKET_IPV4 ||
	    !ip_addr_equal(&frame.packet.ip_destination, &guest->addr))
		return;
	bool is_tcp = rig_guest_parse_tcp(&frame, &header);
	rig_guest_record(guest, &frame, &header);
	if (is_tcp) {
		if (guest->trace)
			rig_guest_trace(guest, "guest <", &frame, &header);
		rig_guest_input_tcp(guest, &frame, &header);
	} else if (guest->packet) {
		frame_copy_payload(&frame, 0, guest->payload_in, frame.payload_size);
		guest->packet(guest->context, &frame.packet, guest->payload_in, frame.payload_size);
	}
}

void rig_guest_observe(struct rig_guest *guest, const struct frame *frame)
{
	struct ip_endpoint source;
	struct ip_endpoint destination;
	struct tcp_header header;
	struct rig_tcp *tcp;

	if (!rig_guest_parse_tcp(frame, &header))
		return;
	rig_guest_ends(&frame->packet, &source, &destination);
	tcp = rig_guest_find(guest, &destination, &source, false);
	if (tcp)
		rig_tcp_observe(tcp, &header, frame->payload_size);
}

const struct rig_heard *rig_guest_heard(const struct rig_guest *guest, uint64_t n)
{
	if (n >= guest->heard_count || guest->heard_count - n > RIG_HEARD_MAX)
		return NULL;
	return &guest->heard[n % RIG_HEARD_MAX];
}
