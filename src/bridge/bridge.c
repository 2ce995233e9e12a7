/*
 * Theory of operation
 *
 * A port is a slot: an ingress sink embedded in it, which the attachment pushes into, and the sink
 * of the attachment. A frame from a guest is judged by its source (never a group address, zero, the
 * gateway's or another port's), then goes by its destination: the gateway's MAC to the gateway, a
 * known MAC to its port, a group or broadcast to the gateway and all other ports, an unknown MAC
 * nowhere: flooding it would show one guest's traffic to another, and a guest that is really there
 * has shown its MAC by ARP or DHCP before anybody can know it.
 *
 * With `isolated` a guest's frame goes to the gateway or nowhere.
 *
 * Frames are pushed in batches; the sinks touched since the last flush are flushed together.
 */

#include "bridge/bridge.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/fdb.h"
#include "bridge/guard.h"
#include "wire/frame.h"

struct bridge_port {
	struct frame_sink ingress;   /* first: a port is found from its sink */
	struct frame_sink *to_guest; /* NULL = slot free */
	struct bridge *bridge;
	bool dirty; /* pushed to since the last flush */
};

struct bridge {
	struct bridge_config config;
	struct loop *loop;
	struct drop_counters *drops;
	struct frame_sink gateway_side;
	struct frame_sink *to_gateway;
	struct frame_sink *capture;
	struct fdb fdb;
	struct bridge_counters counters;
	struct bridge_port *ports;
	uint32_t port_count;
	bool gateway_dirty;
};

/* RFC 894 frames with one VLAN tag at the most; the dissection already cut padding off. */
static bool bridge_is_too_long(const struct bridge *bridge, const struct frame *frame)
{
	size_t tag_size = frame->packet.kind == PACKET_OTHER ? 4 : 0;

	return frame->offload.gso == FRAME_GSO_NONE &&
	       frame_size(frame) > (size_t)bridge->config.mtu + FRAME_ETHERNET_SIZE + tag_size;
}

/* Group addresses that no bridge passes on (IEEE 802.1Q 8.6.3): the link's own talk. */
static bool bridge_is_reserved_group(const struct mac_addr *addr)
{
	static const uint8_t prefix[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };

	return memcmp(addr->octet, prefix, sizeof(prefix)) == 0 && addr->octet[5] < 0x10;
}

static void bridge_capture(struct bridge *bridge, struct frame *frame)
{
	if (bridge->capture)
		frame_sink_push(bridge->capture, frame);
}

/* What a port gets, whoever sent it, is seen as not from a guest. */
static void bridge_capture_to_guest(struct bridge *bridge, struct frame *frame)
{
	uint32_t port = frame->port;

	frame->port = FRAME_PORT_NONE;
	bridge_capture(bridge, frame);
	frame->port = port;
}

static void bridge_push_to_port(struct bridge *bridge, uint32_t index, struct frame *frame)
{
	struct bridge_port *port = &bridge->ports[index];

	if (!port->to_guest) {
		drop_count(bridge->drops, DROP_PORT_GONE);
		return;
	}
	bridge->counters.frames_to_guests++;
	bridge->counters.bytes_to_guests += frame_size(frame);
	loop_note_bytes(bridge->loop, frame_size(frame));
	port->dirty = true;
	frame_sink_push(port->to_guest, frame);
}

/*
 * A stage may change the headers of what it is pushed, so everybody but the last receiver gets a
 * copy of the frame (its payload stays borrowed). Captured once, however many get it.
 */
static void bridge_flood(struct bridge *bridge, struct frame *frame)
{
	bool captured = false;

	for (uint32_t i = 0; i < bridge->config.port_capacity; i++) {
		if (i == frame->port || !bridge->ports[i].to_guest)
			continue;
		if (!captured)
			bridge_capture_to_guest(bridge, frame);
		captured = true;
		struct frame copy = *frame;

		if (frame->payload == &frame->single)
			copy.payload = &copy.single;
		bridge_push_to_port(bridge, i, &copy);
	}
}

static bool bridge_judge_source(struct bridge *bridge, const struct frame *frame, uint32_t port,
				enum drop_reason *ret_reason)
{
	const struct mac_addr *source = &frame->packet.mac_source;

	if (mac_addr_is_multicast(source) || mac_addr_is_zero(source) ||
	    mac_addr_equal(source, &bridge->config.gateway_mac)) {
		*ret_reason = DROP_BAD_SOURCE_MAC;
		return false;
	}
	switch (fdb_learn(&bridge->fdb, source, port, loop_now(bridge->loop))) {
	case FDB_KNOWN:
	case FDB_LEARNT:
		return true;
	case FDB_MOVED:
		*ret_reason = DROP_MAC_MOVED;
		return false;
	case FDB_FULL:
		*ret_reason = DROP_FDB_FULL;
		return false;
	}
	return false;
}

static void bridge_push_to_gateway(struct bridge *bridge, struct frame *frame)
{
	bridge->gateway_dirty = true;
	frame_sink_push(bridge->to_gateway, frame);
}

static void bridge_ingress_push(struct frame_sink *sink, struct frame *frame)
{
	struct bridge_port *port = container_of(sink, struct bridge_port, ingress);
	struct bridge *bridge = port->bridge;
	const struct mac_addr *destination = &frame->packet.mac_destination;
	uint32_t index = (uint32_t)(port - bridge->ports);
	enum drop_reason reason = DROP_LONG_FRAME;
	uint32_t to;

	frame->port = index;
	bridge_capture(bridge, frame);
	if (bridge_is_too_long(bridge, frame) ||
	    !bridge_judge_source(bridge, frame, index, &reason) ||
	    !guard_judge(frame, &bridge->config.gateway_addr, &reason)) {
		drop_count(bridge->drops, reason);
		return;
	}
	bridge->counters.frames_from_guests++;
	bridge->counters.bytes_from_guests += frame_size(frame);
	loop_note_bytes(bridge->loop, frame_size(frame));

	if (bridge_is_reserved_group(destination)) {
		drop_count(bridge->drops, DROP_NO_PORT);
		return;
	}
	if (mac_addr_equal(destination, &bridge->config.gateway_mac)) {
		bridge_push_to_gateway(bridge, frame);
	} else if (mac_addr_is_multicast(destination)) {
		if (!bridge->config.isolated)
			bridge_flood(bridge, frame);
		bridge_push_to_gateway(bridge, frame);
	} else if (!bridge->config.isolated && fdb_find(&bridge->fdb, destination, &to) &&
		   to != index) {
		bridge_capture_to_guest(bridge, frame);
		bridge_push_to_port(bridge, to, frame);
	} else {
		drop_count(bridge->drops, DROP_NO_PORT);
	}
}

static void bridge_flush_ports(struct bridge *bridge)
{
	for (uint32_t i = 0; i < bridge->config.port_capacity; i++) {
		struct bridge_port *port = &bridge->ports[i];

		if (!port->dirty)
			continue;
		port->dirty = false;
		if (port->to_guest)
			frame_sink_flush(port->to_guest);
	}
	/* A capture can be read while the network runs. */
	if (bridge->capture)
		frame_sink_flush(bridge->capture);
}

static void bridge_ingress_flush(struct frame_sink *sink)
{
	struct bridge *bridge = container_of(sink, struct bridge_port, ingress)->bridge;

	bridge_flush_ports(bridge);
	if (bridge->gateway_dirty) {
		bridge->gateway_dirty = false;
		frame_sink_flush(bridge->to_gateway);
	}
}

/* An attachment never waits for the bridge: what cannot go on is dropped and counted. */
static size_t bridge_ingress_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static const struct frame_sink_ops bridge_ingress_ops = {
	.push = bridge_ingress_push,
	.flush = bridge_ingress_flush,
	.room = bridge_ingress_room,
};

static void bridge_gateway_push(struct frame_sink *sink, struct frame *frame)
{
	struct bridge *bridge = container_of(sink, struct bridge, gateway_side);
	uint32_t to;

	frame->port = FRAME_PORT_NONE;
	if (mac_addr_is_multicast(&frame->packet.mac_destination)) {
		bridge_flood(bridge, frame);
	} else if (fdb_find(&bridge->fdb, &frame->packet.mac_destination, &to)) {
		bridge_capture_to_guest(bridge, frame);
		bridge_push_to_port(bridge, to, frame);
	} else {
		drop_count(bridge->drops, DROP_NO_PORT);
	}
}

static void bridge_gateway_flush(struct frame_sink *sink)
{
	bridge_flush_ports(container_of(sink, struct bridge, gateway_side));
}

static size_t bridge_gateway_room(struct frame_sink *sink, uint32_t index)
{
	struct bridge *bridge = container_of(sink, struct bridge, gateway_side);

	/* What has no port is dropped at once, so nobody should wait for it. */
	if (index >= bridge->config.port_capacity || !bridge->ports[index].to_guest)
		return SIZE_MAX;
	return frame_sink_room(bridge->ports[index].to_guest, index);
}

static size_t bridge_gateway_reserve(struct frame_sink *sink, uint32_t index, size_t header_size,
				     size_t size, struct iovec *ret_parts, size_t capacity,
				     size_t *ret_count)
{
	struct bridge *bridge = container_of(sink, struct bridge, gateway_side);

	if (index >= bridge->config.port_capacity || !bridge->ports[index].to_guest)
		return 0;
	return frame_sink_reserve(bridge->ports[index].to_guest, index, header_size, size,
				  ret_parts, capacity, ret_count);
}

static const struct frame_sink_ops bridge_gateway_ops = {
	.push = bridge_gateway_push,
	.flush = bridge_gateway_flush,
	.room = bridge_gateway_room,
	.reserve = bridge_gateway_reserve,
};

int bridge_new(const struct bridge_config *config, struct loop *loop, struct random *random,
	       struct drop_counters *drops, struct bridge **ret_bridge)
{
	struct bridge *bridge = calloc(1, sizeof(*bridge));

	if (!bridge)
		return -ENOMEM;
	bridge->config = *config;
	bridge->loop = loop;
	bridge->drops = drops;
	bridge->gateway_side.ops = &bridge_gateway_ops;
	bridge->ports = calloc(config->port_capacity, sizeof(*bridge->ports));
	if (!bridge->ports ||
	    fdb_init(&bridge->fdb, config->port_capacity, BRIDGE_MACS_PER_PORT, random) < 0) {
		bridge_free(bridge);
		return -ENOMEM;
	}
	*ret_bridge = bridge;
	return 0;
}

struct bridge *bridge_free(struct bridge *bridge)
{
	if (!bridge)
		return NULL;
	if (bridge->fdb.entries)
		fdb_done(&bridge->fdb);
	free(bridge->ports);
	free(bridge);
	return NULL;
}

void bridge_set_gateway(struct bridge *bridge, struct frame_sink *to_gateway)
{
	bridge->to_gateway = to_gateway;
}

void bridge_set_capture(struct bridge *bridge, struct frame_sink *capture)
{
	bridge->capture = capture;
}

struct frame_sink *bridge_gateway_side(struct bridge *bridge)
{
	return &bridge->gateway_side;
}

int bridge_port_add(struct bridge *bridge, struct frame_sink *to_guest, uint32_t *ret_port,
		    struct frame_sink **ret_ingress)
{
	for (uint32_t i = 0; i < bridge->config.port_capacity; i++) {
		struct bridge_port *port = &bridge->ports[i];

		if (port->to_guest)
			continue;
		*port = (struct bridge_port){ .ingress.ops = &bridge_ingress_ops,
					      .to_guest = to_guest,
					      .bridge = bridge };
		bridge->port_count++;
		*ret_port = i;
		*ret_ingress = &port->ingress;
		return 0;
	}
	return -ENOSPC;
}

void bridge_port_remove(struct bridge *bridge, uint32_t index)
{
	assert(index < bridge->config.port_capacity && bridge->ports[index].to_guest);
	bridge->ports[index].to_guest = NULL;
	bridge->ports[index].dirty = false;
	bridge->port_count--;
	fdb_forget_port(&bridge->fdb, index);
}

uint32_t bridge_port_count(const struct bridge *bridge)
{
	return bridge->port_count;
}

void bridge_get_counters(const struct bridge *bridge, struct bridge_counters *ret_counters)
{
	*ret_counters = bridge->counters;
}
