#pragma once
/*
 * A guest at the far end of a port's socket, who speaks in frames. Whatever is awaited is awaited
 * with poll().
 */

#include "network_rig.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/dhcp.h"
#include "wire/frame.h"
#include "wire/packet_build.h"

#define GUEST_WAIT_MS	 60000
#define GUEST_FRAME_SIZE 2048

struct guest {
	int fd;
	bool stream; /* QEMU's framing */
	struct mac_addr mac;
	struct ip_addr addr; /* 0.0.0.0 until it has one */
	struct mac_addr gateway_mac;
	struct ip_addr gateway;
	struct ip_addr network;
	vmnet_port_t port;
	unsigned dhcp_answers; /* seen so far */
	size_t sent_size;
	size_t got_size;
	uint8_t sent[GUEST_FRAME_SIZE]; /* the last frame that it sent */
	uint8_t got[GUEST_FRAME_SIZE];	/* the last frame that it got */
};

static inline struct ip_addr guest_addr_at(const struct guest *guest, uint32_t offset)
{
	return ip_addr_from_v4(ip_addr_to_v4(&guest->network) + offset);
}

static inline void guest_init(struct guest *guest, vmnet_network_ref network, int fd, bool stream,
			      uint8_t number)
{
	struct in_addr gateway;
	struct in_addr subnet;
	struct ether_addr mac;

	vmnet_network_get_gateway(network, &gateway, &mac);
	vmnet_network_get_ipv4_subnet(network, &subnet, NULL);
	*guest = (struct guest){
		.fd = fd,
		.stream = stream,
		.mac = { { 2, 0, 0, 0, 0, number } },
		.addr = ip_addr_from_v4(0),
		.gateway = ip_addr_from_v4(ntohl(gateway.s_addr)),
		.network = ip_addr_from_v4(ntohl(subnet.s_addr)),
	};
	memcpy(guest->gateway_mac.octet, mac.ether_addr_octet, sizeof(guest->gateway_mac.octet));
}

/* By a pair of datagram sockets. */
static inline void guest_attach(struct guest *guest, vmnet_network_ref network, uint8_t number)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	guest_init(guest, network, fds[1], false, number);
	assert_int_equal(
		vmnet_network_attach_datagram_fd(network, fds[0], NULL, &guest->port, NULL),
		VMNET_SUCCESS);
}

/* --- sending ------------------------------------------------------------------------------ */

static inline void guest_send_bytes(const struct guest *guest, const void *bytes, size_t size)
{
	uint8_t buffer[GUEST_FRAME_SIZE + 4];
	struct writer writer = writer_of(buffer, sizeof(buffer));

	if (guest->stream)
		writer_u32(&writer, (uint32_t)size);
	writer_bytes(&writer, bytes, size);
	assert_true(writer_ok(&writer));
	assert_int_equal(send(guest->fd, buffer, writer.position, MSG_NOSIGNAL), writer.position);
}

static inline void guest_send(struct guest *guest, const struct frame *frame)
{
	guest->sent_size = frame_copy(frame, guest->sent, sizeof(guest->sent));
	assert_true(guest->sent_size > 0);
	if (frame->offload.checksum_partial) {
		size_t start = frame->offload.checksum_start;
		struct writer writer = writer_of(guest->sent, sizeof(guest->sent));
		uint64_t sum =
			checksum_add(0, guest->sent + start, guest->sent_size - start, false);

		writer.position = guest->sent_size;
		writer_patch_u16(&writer, start + frame->offload.checksum_offset,
				 checksum_finish(sum));
	}
	guest_send_bytes(guest, guest->sent, guest->sent_size);
}

static inline void guest_send_udp(struct guest *guest, const struct mac_addr *to_mac,
				  const struct ip_endpoint *from, const struct ip_endpoint *to,
				  const void *payload, size_t size)
{
	const struct packet_link link = { .source = guest->mac, .destination = *to_mac };
	uint8_t copy[GUEST_FRAME_SIZE];
	struct frame frame;

	assert_true(size <= sizeof(copy));
	memcpy(copy, payload, size);
	const struct iovec part = { copy, size };
	assert_true(packet_build_udp(&frame, &link, from, to, &part, 1));
	guest_send(guest, &frame);
}

/* requested: family NONE for a discover. */
static inline void guest_send_dhcp(struct guest *guest, enum dhcp_type type,
				   const struct ip_addr *requested)
{
	static const uint8_t wanted[] = { DHCP_OPTION_MASK, DHCP_OPTION_ROUTER, DHCP_OPTION_DNS };
	const struct ip_endpoint from = { ip_addr_from_v4(0), DHCP_PORT_CLIENT };
	const struct ip_endpoint to = { ip_addr_from_v4(UINT32_MAX), DHCP_PORT_SERVER };
	uint8_t bytes[DHCP_REPLY_MIN];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	writer_u8(&writer, DHCP_OP_REQUEST);
	writer_u8(&writer, 1); /* Ethernet */
	writer_u8(&writer, 6);
	writer_u8(&writer, 0);
	writer_u32(&writer, 0x01020304);
	writer_zeroes(&writer, 20);
	writer_bytes(&writer, guest->mac.octet, 6);
	writer_zeroes(&writer, 10 + 64 + 128);
	writer_u32(&writer, 0x63825363);
	writer_u8(&writer, DHCP_OPTION_TYPE);
	writer_u8(&writer, 1);
	writer_u8(&writer, (uint8_t)type);
	writer_u8(&writer, DHCP_OPTION_PARAMETERS);
	writer_u8(&writer, sizeof(wanted));
	writer_bytes(&writer, wanted, sizeof(wanted));
	if (requested) {
		writer_u8(&writer, DHCP_OPTION_REQUESTED_IP);
		writer_u8(&writer, 4);
		writer_u32(&writer, ip_addr_to_v4(requested));
		writer_u8(&writer, DHCP_OPTION_SERVER_ID);
		writer_u8(&writer, 4);
		writer_u32(&writer, ip_addr_to_v4(&guest->gateway));
	}
	writer_u8(&writer, DHCP_OPTION_END);
	writer_zeroes(&writer, writer_left(&writer));
	assert_true(writer_ok(&writer));
	guest_send_udp(guest, &mac_addr_broadcast, &from, &to, bytes, sizeof(bytes));
}

/* Who has `target`? Under the MAC `source`, which need not be the guest's own. */
static inline void guest_send_arp(struct guest *guest, const struct mac_addr *source,
				  const struct ip_addr *target)
{
	const struct arp_message message = { .operation = ARP_OPERATION_REQUEST,
					     .sender_mac = *source,
					     .sender_ip = guest->addr,
					     .target_ip = *target };
	struct frame frame;

	assert_true(packet_build_arp(&frame, source, &mac_addr_broadcast, &message));
	guest_send(guest, &frame);
}

/* --- receiving ---------------------------------------------------------------------------- */

static inline void await_readable(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&wait, 1, GUEST_WAIT_MS), 1);
	assert_true(wait.revents & POLLIN);
}

static inline void guest_read(const struct guest *guest, uint8_t *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		await_readable(guest->fd);
		ssize_t got = recv(guest->fd, bytes + done, size - done, MSG_DONTWAIT);

		assert_true(got > 0);
		done += (size_t)got;
	}
}

/* The next frame, whatever it is; it borrows guest->got. */
static inline void guest_receive(struct guest *guest, struct frame *ret_frame)
{
	enum drop_reason reason;

	if (guest->stream) {
		uint8_t length[4];

		guest_read(guest, length, sizeof(length));
		struct reader reader = reader_of(length, sizeof(length));
		guest->got_size = reader_u32(&reader);
		assert_in_range(guest->got_size, FRAME_ETHERNET_SIZE, sizeof(guest->got));
		guest_read(guest, guest->got, guest->got_size);
	} else {
		await_readable(guest->fd);
		ssize_t got = recv(guest->fd, guest->got, sizeof(guest->got), MSG_DONTWAIT);

		assert_true(got > 0);
		guest->got_size = (size_t)got;
	}
	assert_true(
		frame_from_bytes(ret_frame, guest->got, guest->got_size, FRAME_PORT_NONE, &reason));
	assert_true(frame_verify_checksum(ret_frame));
	if (ret_frame->packet.has_l4 && ret_frame->packet.ip_protocol == PACKET_IP_PROTOCOL_UDP &&
	    ret_frame->packet.port_destination == DHCP_PORT_CLIENT)
		guest->dhcp_answers++;
}

static inline bool guest_read_arp(const struct frame *frame, struct arp_message *ret_arp)
{
	struct reader reader = reader_of(frame->header, frame->header_size);

	reader_skip(&reader, FRAME_ETHERNET_SIZE);
	return frame->packet.kind == PACKET_ARP && arp_parse(&reader, ret_arp);
}

/* Skips what comes before the next ARP message of that kind. */
static inline void guest_await_arp(struct guest *guest, uint16_t operation,
				   const struct ip_addr *sender, struct arp_message *ret_arp)
{
	struct frame frame;

	do {
		guest_receive(guest, &frame);
	} while (!guest_read_arp(&frame, ret_arp) || ret_arp->operation != operation ||
		 !ip_addr_equal(&ret_arp->sender_ip, sender));
}

/* When this returns, the network has seen all that the guest sent before. */
static inline void guest_ask_gateway(struct guest *guest)
{
	struct arp_message arp;

	guest_send_arp(guest, &guest->mac, &guest->gateway);
	guest_await_arp(guest, ARP_OPERATION_REPLY, &guest->gateway, &arp);
	assert_true(mac_addr_equal(&arp.sender_mac, &guest->gateway_mac));
	assert_true(mac_addr_equal(&arp.target_mac, &guest->mac));
}

/* The payload of the next packet of that protocol to that port; its size, with the packet. */
static inline size_t guest_await_port(struct guest *guest, uint8_t protocol, uint16_t port,
				      struct frame *ret_frame, uint8_t *ret_bytes, size_t size)
{
	do {
		guest_receive(guest, ret_frame);
	} while (!ret_frame->packet.has_l4 || ret_frame->packet.ip_protocol != protocol ||
		 ret_frame->packet.port_destination != port);
	assert_true(ret_frame->payload_size <= size);
	frame_copy_payload(ret_frame, 0, ret_bytes, ret_frame->payload_size);
	return ret_frame->payload_size;
}

struct guest_dhcp {
	struct dhcp_message message;
	size_t size;
	uint8_t bytes[GUEST_FRAME_SIZE];
};

static inline void guest_await_dhcp(struct guest *guest, enum dhcp_type type,
				    struct guest_dhcp *ret_dhcp)
{
	struct frame frame;

	ret_dhcp->size = guest_await_port(guest, PACKET_IP_PROTOCOL_UDP, DHCP_PORT_CLIENT, &frame,
					  ret_dhcp->bytes, sizeof(ret_dhcp->bytes));
	assert_true(dhcp_parse(ret_dhcp->bytes, ret_dhcp->size, &ret_dhcp->message));
	assert_int_equal(ret_dhcp->message.type, type);
	assert_int_equal(ret_dhcp->message.xid, 0x01020304);
}

/* Whether the message has the option; where it is an address it must be `expected`. */
static inline bool guest_dhcp_has(const struct guest_dhcp *dhcp, uint8_t code,
				  const struct ip_addr *expected)
{
	struct dhcp_bytes value;

	if (!dhcp_find_option(dhcp->bytes, dhcp->size, code, &value))
		return false;
	assert_int_equal(value.size, 4);
	assert_memory_equal(value.bytes, expected->octet, 4);
	return true;
}

/* Discover, offer, request, ack. The offer is left in *ret_offer. */
static inline void guest_configure(struct guest *guest, struct guest_dhcp *ret_offer)
{
	struct guest_dhcp ack;

	guest_send_dhcp(guest, DHCP_TYPE_DISCOVER, NULL);
	guest_await_dhcp(guest, DHCP_TYPE_OFFER, ret_offer);
	guest_send_dhcp(guest, DHCP_TYPE_REQUEST, &ret_offer->message.yiaddr);
	guest_await_dhcp(guest, DHCP_TYPE_ACK, &ack);
	assert_true(ip_addr_equal(&ack.message.yiaddr, &ret_offer->message.yiaddr));
	guest->addr = ack.message.yiaddr;
}
