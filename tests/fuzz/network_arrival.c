/* What arrives at a guest of the fuzzer's network, and what must be true of it. */

#include <string.h>

#include "attach/door.h"
#include "frame_check.h"
#include "network_world.h"
#include "wire/tcp.h"

struct world_arrival {
	struct world *world;
	bool ours;    /* not from another guest */
	bool offload; /* another guest decided how it is cut */
};

/* What peers say is a function of its place in the stream (rig_app.h), however often it comes. */
static void check_bytes(const struct world_talk *talk, const struct tcp_header *header,
			const struct frame *frame)
{
	uint32_t remote = ip_addr_to_v4(&talk->remote.addr);
	static uint8_t bytes[FRAME_MAX_SIZE];
	static uint8_t expected[FRAME_MAX_SIZE];
	size_t size = frame->payload_size;

	if (size == 0 || !talk->began ||
	    (remote != WORLD_ADDR_SERVER && remote != WORLD_ADDR_CLIENT))
		return;
	frame_copy_payload(frame, 0, bytes, size);
	rig_pattern(0, header->sequence - talk->initial - 1, expected, size);
	FUZZ_CHECK(memcmp(bytes, expected, size) == 0);
}

static void note_tcp(struct world *world, const struct frame *frame)
{
	struct reader reader = frame_l4_reader(frame);
	const struct packet *packet = &frame->packet;
	struct world_talk *talk = NULL;
	struct tcp_header header;

	FUZZ_CHECK(tcp_parse(&reader, &header));
	FUZZ_CHECK((header.flags & (TCP_SYN | TCP_FIN)) != (TCP_SYN | TCP_FIN));
	FUZZ_CHECK((header.flags & (TCP_SYN | TCP_RST)) != (TCP_SYN | TCP_RST));
	FUZZ_CHECK(!(header.flags & (TCP_SYN | TCP_RST)) || frame->payload_size == 0);
	FUZZ_CHECK(header.flags & (TCP_SYN | TCP_RST | TCP_ACK));
	for (size_t i = 0; i < WORLD_TALKS && !talk; i++) {
		struct world_talk *other = &world->talks[i];
		struct ip_addr addr = world_guest_addr(other->guest);

		if (other->port == packet->port_destination &&
		    other->remote.port == packet->port_source &&
		    ip_addr_equal(&other->remote.addr, &packet->ip_source) &&
		    ip_addr_equal(&addr, &packet->ip_destination))
			talk = other;
	}
	if (!talk && packet->port_destination == WORLD_GUEST_TCP) {
		talk = &world->talks[WORLD_TALK_FORWARD];
		talk->remote = (struct ip_endpoint){ packet->ip_source, packet->port_source };
		talk->began = false;
	}
	if (!talk)
		return;
	if (header.flags & TCP_SYN) {
		talk->began = true;
		talk->initial = header.sequence;
	}
	check_bytes(talk, &header, frame);
	talk->acknowledge = header.sequence + tcp_seq_size(header.flags, frame->payload_size);
	if (header.flags & TCP_ACK)
		talk->next = header.acknowledgement;
}

static void check_ours(struct world *world, struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	const struct ip_prefix subnet = { ip_addr_from_v4(WORLD_ADDR_GATEWAY - 1), WORLD_PREFIX };
	struct ip_addr gateway = ip_addr_from_v4(WORLD_ADDR_GATEWAY);

	FUZZ_CHECK(mac_addr_equal(&packet->mac_source, &world_gateway_mac));
	FUZZ_CHECK(frame_size(frame) <= world->mtu + FRAME_ETHERNET_SIZE);
	FUZZ_CHECK(packet->kind == PACKET_ARP || packet->kind == PACKET_IPV4);
	if (packet->kind == PACKET_ARP)
		return;
	FUZZ_CHECK(packet->ip_ttl > 0 && !packet->ip_has_options);
	FUZZ_CHECK(packet->has_l4 || packet->ip_is_fragment);
	FUZZ_CHECK(frame_verify_checksum(frame));
	FUZZ_CHECK(ip_prefix_contains(&subnet, &packet->ip_destination) ||
		   ip_addr_to_v4(&packet->ip_destination) == INADDR_BROADCAST);
	FUZZ_CHECK(!ip_addr_is_multicast(&packet->ip_source));
	FUZZ_CHECK(!ip_addr_is_unspecified(&packet->ip_source));
	/* No client of a forward may look like a neighbour. */
	FUZZ_CHECK(!ip_prefix_contains(&subnet, &packet->ip_source) ||
		   ip_addr_equal(&packet->ip_source, &gateway));
	if (packet->has_l4 && packet->ip_protocol == PACKET_IP_PROTOCOL_TCP)
		note_tcp(world, frame);
}

static void world_emit(void *context, const struct frame *finished, const struct iovec *parts,
		       size_t count, size_t size)
{
	static uint8_t bytes[FRAME_MAX_SIZE + FRAME_MIN_SIZE];
	const struct world_arrival *arrival = context;
	enum drop_reason reason;
	struct frame frame;
	size_t at = 0;

	for (size_t i = 0; i < count; i++) {
		FUZZ_CHECK(parts[i].iov_len <= sizeof(bytes) - at);
		if (parts[i].iov_len > 0)
			memcpy(bytes + at, parts[i].iov_base, parts[i].iov_len);
		at += parts[i].iov_len;
	}
	FUZZ_CHECK(at == size && size >= FRAME_MIN_SIZE);
	FUZZ_CHECK(!finished->offload.checksum_partial && finished->offload.gso == FRAME_GSO_NONE);
	if (!arrival->offload)
		FUZZ_CHECK(size <= arrival->world->mtu + FRAME_ETHERNET_SIZE + 4);
	FUZZ_CHECK(frame_from_bytes(&frame, bytes, size, 0, &reason));
	if (arrival->ours)
		check_ours(arrival->world, &frame);
}

static void port_push(struct frame_sink *sink, struct frame *frame)
{
	struct world_port *port = container_of(sink, struct world_port, sink);
	struct world_arrival arrival = {
		.world = port->world,
		.ours = frame->port == FRAME_PORT_NONE,
		.offload = frame->port != FRAME_PORT_NONE && frame->offload.gso != FRAME_GSO_NONE,
	};

	port->world->time.activity++;
	if (port->full) {
		drop_count(&port->world->drops, DROP_PORT_FULL);
		return;
	}
	frame_check(frame, FRAME_MAX_SIZE);
	if (!door_pass(frame, &door_plain, world_emit, &arrival))
		FUZZ_CHECK(!arrival.ours);
}

static void port_flush(struct frame_sink *sink)
{
	container_of(sink, struct world_port, sink)->world->time.activity++;
}

static size_t port_room(struct frame_sink *sink, uint32_t number)
{
	struct world_port *port = container_of(sink, struct world_port, sink);

	FUZZ_CHECK(number == port->index);
	port->asked |= port->full;
	return port->full ? 0 : SIZE_MAX;
}

const struct frame_sink_ops world_port_ops = {
	.push = port_push,
	.flush = port_flush,
	.room = port_room,
};
