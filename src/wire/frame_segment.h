#pragma once
/*
 * The adaptor at the door of a port without offload: completes partial checksums and cuts a
 * super-frame into frames that fit the MTU.
 */

#include <stdbool.h>
#include <stddef.h>

#include "wire/frame.h"

/* Receives each finished frame; `frame` is borrowed for the call. */
typedef void frame_segment_emit(void *context, const struct frame *frame);

/*
 * Emits one frame per segment: TCP sequence numbers, flags (FIN and PSH only on the last, CWR only
 * on the first), IPv4 id and lengths, IPv4 header and L4 checksums are set on each. A frame without
 * GSO is emitted once with its partial checksum completed. Returns the number of frames emitted;
 * 0 when the marks contradict the frame (gso_size 0, GSO type against protocol, headers missing).
 */
size_t frame_segment(struct frame *frame, frame_segment_emit *emit, void *context);

/* Of a super-frame whose marks are sound (frame_check_offload()). */
static inline size_t frame_segment_count(const struct frame *frame)
{
	return (frame->payload_size + frame->offload.gso_size - 1) / frame->offload.gso_size;
}

/* One of its segments. `parts` is what the segment's payload points to and must outlive it. */
void frame_segment_one(const struct frame *frame, size_t index,
		       struct iovec parts[FRAME_PAYLOAD_MAX_PARTS], struct frame *ret_segment);

/* Completes a partial checksum in full and marks it valid; a frame without one is left as it is.
 * False: the marks do not name the frame's TCP or UDP header. */
bool frame_complete_checksum(struct frame *frame) MUST_USE;
