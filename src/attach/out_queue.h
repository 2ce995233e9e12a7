#pragma once
/*
 * Frames on their way to the guest, each behind its 32-bit big-endian length: QEMU's stream framing,
 * which the datagram attachment reads back. A ring of fixed size: full means a counted drop, and a
 * source that asked for room() is told when half of it is free again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"

#define OUT_QUEUE_SIZE	      ((size_t)1 << 20) /* bytes; a power of two */
#define OUT_QUEUE_LENGTH_SIZE 4

struct out_queue {
	uint8_t *ring;
	uint64_t written; /* bytes ever put in */
	uint64_t read;	  /* bytes ever taken out */
	bool room_wanted; /* somebody was told that there is none */
};

/* 0 or -ENOMEM. */
int out_queue_init(struct out_queue *queue) MUST_USE;
void out_queue_done(struct out_queue *queue);

static inline size_t out_queue_used(const struct out_queue *queue)
{
	return (size_t)(queue->written - queue->read);
}

/* Appends length and frame; false when it does not fit. */
bool out_queue_put(struct out_queue *queue, const struct iovec *parts, size_t count,
		   size_t size) MUST_USE;
/* What is queued as one or two pieces; returns how many. */
size_t out_queue_peek(const struct out_queue *queue, struct iovec ret_parts[2]);
/*
 * The frame (without its length) that begins at *offset bytes behind the first one, as one or two
 * pieces; returns how many, 0 when there is none. *offset moves on to the next frame: it starts at 0,
 * and is what out_queue_take() takes once the frames before it are sent.
 */
size_t out_queue_peek_frame(const struct out_queue *queue, size_t *offset,
			    struct iovec ret_parts[2]);
/* Takes `size` bytes out; for a frame, its size and OUT_QUEUE_LENGTH_SIZE. */
void out_queue_take(struct out_queue *queue, size_t size);
/* Forgets everything (the peer left). */
void out_queue_clear(struct out_queue *queue);

/* For frame_sink_ops.room. Payload bytes that surely fit, segment headers allowed for; 0 sets
 * room_wanted. */
size_t out_queue_room(struct out_queue *queue);
/* True once after room() said 0 and half the ring is free again. */
bool out_queue_room_returned(struct out_queue *queue);
