#pragma once
/* What the kinds of attachment share. */

#include "attach/attachment.h"
#include "wire/frame.h"

struct attachment_ops {
	void (*start)(struct attachment *attachment);
	void (*disown)(struct attachment *attachment);
	void (*free)(struct attachment *attachment);
};

struct attachment {
	const struct attachment_ops *ops;
	struct attachment_context context;
	struct frame_sink sink; /* towards the guest */
	struct frame_sink *ingress;
	uint32_t port;
	struct log_limit log_limit;
};

/* The longest frame that may pass: MTU, Ethernet header, one VLAN tag. */
static inline size_t attachment_frame_limit(const struct attachment *attachment)
{
	return (size_t)attachment->context.mtu + FRAME_ETHERNET_SIZE + 4;
}

/* One frame's bytes from the guest: dissects, counts what is wrong, pushes the rest. */
void attachment_receive(struct attachment *attachment, const uint8_t *bytes, size_t size);

/* The same for a frame in pieces (at most FRAME_PAYLOAD_MAX_PARTS) with offload marks as the guest
 * set them. A super-frame may be longer than the MTU. Returns whether its sender may wait
 * for the frame's memory: not where it is a bare acknowledgement. */
bool attachment_receive_parts(struct attachment *attachment, const struct frame_offload *offload,
			      const struct iovec *parts, size_t count, size_t size);

/* SO_TYPE type, and AF_UNIX where that is SOCK_DGRAM, else -EINVAL with a sentence; *ret_listening
 * by SO_ACCEPTCONN. */
int attachment_check_socket(int fd, int type, bool *ret_listening, struct error *err) MUST_USE;
