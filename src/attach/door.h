#pragma once
/*
 * The door of a port: turns what the stages push (super-frames, partial checksums) into what this
 * port takes. For a port without offload that is plain Ethernet frames of at least 60 bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/frame.h"

/* What the port takes as it is (virtio's GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, GUEST_USO). */
struct door_caps {
	bool checksum; /* the others need it */
	bool tso4;
	bool tso6;
	bool uso;
};

/* Of a port without offload. */
static const struct door_caps door_plain = {};

/* Whether the port takes the frame as it is; else it is cut, or its checksum completed. */
bool door_takes(const struct door_caps *caps, const struct frame *frame) MUST_USE;

/*
 * A finished frame: `size` bytes in `parts`, borrowed for the call; its marks, where it has any,
 * are in frame->offload.
 */
typedef void door_emit(void *context, const struct frame *frame, const struct iovec *parts,
		       size_t count, size_t size);

/* Returns false where the marks contradict the frame (BAD_OFFLOAD): nothing was emitted. */
bool door_pass(struct frame *frame, const struct door_caps *caps, door_emit *emit, void *context);
