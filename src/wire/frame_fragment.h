#pragma once
/* IPv4 fragmentation of a packet of our own that is longer than the guest's MTU (RFC 791 3.2). */

#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"
#include "wire/frame_segment.h"

/*
 * Emits the packet in fragments of at most mtu bytes of IP each (one frame, unchanged, when it
 * fits). Completes a partial checksum first. The caller gave the packet an id that is unique for
 * its addresses and protocol. Returns the number of frames emitted; 0 when it is no IPv4 packet
 * without options, is a fragment or GSO frame itself, or mtu is below 68 (RFC 791 3.2).
 */
size_t frame_fragment(struct frame *frame, uint32_t mtu, frame_segment_emit *emit, void *context);
