#include "rig/rig_port.h"

#include <assert.h>
#include <string.h>

#include "wire/frame_segment.h"
#include "wire/packet_build.h"

static void rig_port_emit(void *context, const struct frame *frame)
{
	struct rig_port *port = context;
	size_t size = frame_copy(frame, port->bytes, FRAME_MAX_SIZE);

	assert(size > 0);
	if (size < FRAME_MIN_SIZE) {
		memset(port->bytes + size, 0, FRAME_MIN_SIZE - size);
		size = FRAME_MIN_SIZE;
	}
	port->frames++;
	rig_guest_observe(port->guest, frame);
	rig_link_push(port->down, port->bytes, size);
}

static void rig_port_push(struct frame_sink *sink, struct frame *frame)
{
	struct rig_port *port = container_of(sink, struct rig_port, sink);

	port->pushed++;
	if (!port->keeps_macs)
		packet_set_macs(frame, &port->guest->gateway_mac, &port->guest->mac);
	if (rig_link_room(port->down) == 0)
		port->overflows++;
	if (frame_segment(frame, rig_port_emit, port) == 0)
		port->refused++;
}

static void rig_port_flush(struct frame_sink *sink)
{
	container_of(sink, struct rig_port, sink)->flushes++;
}

static size_t rig_port_room(struct frame_sink *sink, uint32_t number)
{
	struct rig_port *port = container_of(sink, struct rig_port, sink);
	size_t room = rig_link_room(port->down);

	(void)number;
	if (room == 0)
		port->waited_for = true;
	return room;
}

/* A port wakes whoever waits once half of its queue is free, as a real one does. */
static void rig_port_drained(void *context)
{
	struct rig_port *port = ((struct rig_guest *)context)->port;

	if (!port->waited_for || rig_link_room(port->down) < port->down->model.room / 2)
		return;
	port->waited_for = false;
	port->ready(port->context);
}

static const struct frame_sink_ops rig_port_ops = {
	.push = rig_port_push,
	.flush = rig_port_flush,
	.room = rig_port_room,
};

void rig_port_init(struct rig_port *port, struct rig_guest *guest, struct rig_link *down)
{
	*port = (struct rig_port){ .sink.ops = &rig_port_ops, .guest = guest, .down = down };
	guest->port = port;
	down->deliver = rig_guest_deliver;
	down->drained = rig_port_drained;
	down->context = guest;
}
