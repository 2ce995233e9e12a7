#pragma once
/*
 * The door between two stages: all that a stage knows of its neighbour.
 *
 *     guest -> attach -> bridge -> gateway -> nat        (each pushes into the next one's sink)
 *     nat -> gateway (neighbour) -> bridge -> attach -> guest
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

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
	/*
	 * Optional: where the port has memory of its own (a guest's receive buffers), the place of
	 * up to `size` payload bytes behind header_size bytes of headers, in at most `capacity`
	 * parts. Returns how many bytes have a place; 0: none, push from memory of your own.
	 *
	 * It is a look, and takes nothing: the source receives into the parts and pushes a frame
	 * with in_place set, whose payload is the beginning of them; that takes them. Any other
	 * push, flush or reserve forgets the place. A frame may end up at another port than the one
	 * that was asked: a port takes a frame as in place only where the place is its own.
	 */
	size_t (*reserve)(struct frame_sink *sink, uint32_t port, size_t header_size, size_t size,
			  struct iovec *ret_parts, size_t capacity, size_t *ret_count);
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

static inline size_t frame_sink_reserve(struct frame_sink *sink, uint32_t port, size_t header_size,
					size_t size, struct iovec *ret_parts, size_t capacity,
					size_t *ret_count)
{
	if (!sink->ops->reserve)
		return 0;
	return sink->ops->reserve(sink, port, header_size, size, ret_parts, capacity, ret_count);
}
