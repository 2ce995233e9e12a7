#pragma once
/*
 * The door between two stages: all that a stage knows of its neighbour.
 *
 *     guest -> attach -> bridge -> gateway -> nat        (each pushes into the next one's sink)
 *     nat -> gateway (neighbour) -> bridge -> attach -> guest
 */

#include <stddef.h>
#include <stdint.h>

struct frame;
struct frame_sink;

struct frame_sink_ops {
	/* Consumes the frame, always, also when it drops it (and counts the drop). It may change
	 * frame->header. */
	void (*push)(struct frame_sink *sink, struct frame *frame);
	/* The batch is over: what was pushed leaves now. */
	void (*flush)(struct frame_sink *sink);
	/*
	 * How many bytes the port towards the guest takes now without dropping; 0 = full. A source
	 * that can wait (TCP) asks before it pushes; after a 0 the port's owner calls the network's
	 * port_ready door once there is room. SIZE_MAX where nothing can fill up.
	 */
	size_t (*room)(struct frame_sink *sink, uint32_t port);
};

struct frame_sink {
	const struct frame_sink_ops *ops;
};

static inline void frame_sink_push(struct frame_sink *sink, struct frame *frame)
{
	sink->ops->push(sink, frame);
}

static inline void frame_sink_flush(struct frame_sink *sink)
{
	sink->ops->flush(sink);
}

static inline size_t frame_sink_room(struct frame_sink *sink, uint32_t port)
{
	return sink->ops->room(sink, port);
}
