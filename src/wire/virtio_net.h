#pragma once
/*
 * The virtio-net header (virtio 1.2, 5.1.6) as TAP devices and virtqueues carry it before each
 * frame: little-endian, with num_buffers. Its meaning is that of struct frame_offload.
 */

#include <stdint.h>

#include "wire/frame.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define VIRTIO_NET_HEADER_SIZE 12
/* Where num_buffers stands, for whoever fills it in later (mergeable receive buffers). */
#define VIRTIO_NET_NUM_BUFFERS_OFFSET 10

/*
 * Reads the header in front of a frame. hdr_len and num_buffers are a hint and a relict in this
 * direction and are not believed; DATA_VALID from a guest is not either, so the checksum is still
 * verified. Whether the marks fit the frame's protocols is frame_check_offload()'s question.
 * False: short, a GSO type that was never offered (UFO), GSO without a size.
 */
bool virtio_net_parse(struct reader *reader, struct frame_offload *ret_offload) MUST_USE;

/* The header for a frame whose marks are sound, towards a guest. */
void virtio_net_build(struct writer *writer, const struct frame *frame, uint16_t num_buffers);
