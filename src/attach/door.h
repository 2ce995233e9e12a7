#pragma once
/*
 * The door of a port without offload: turns what the stages push (super-frames, partial checksums)
 * into plain Ethernet frames of at least 60 bytes, one at a time.
 */

#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

/* A finished frame: `size` bytes in `parts`, borrowed for the call. */
typedef void door_emit(void *context, const struct iovec *parts, size_t count, size_t size);

/* Returns false where the marks contradict the frame (BAD_OFFLOAD): nothing was emitted. */
bool door_pass(struct frame *frame, door_emit *emit, void *context);
