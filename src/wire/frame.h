#pragma once
/*
 * A frame on its way through the stages: a private copy of its headers (guest memory can change
 * under us: copy, then judge the copy), its payload as borrowed memory, and what the dissection
 * found. Lives on the stack of whoever pushes it; nothing of it may be kept after push() returns.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/drop.h"
#include "wire/packet_dissect.h"
#include "wire/reader.h"

/* Ethernet 14 + IPv4 60 + TCP 60, and room for an ARP or ICMP message beside. */
#define FRAME_HEADER_MAX    256
#define FRAME_ETHERNET_SIZE 14
#define FRAME_MIN_SIZE	    60 /* without FCS; shorter frames are padded (IEEE 802.3) */
/* The largest IP packet and its Ethernet header: the largest super-frame. */
#define FRAME_MAX_SIZE (65535 + FRAME_ETHERNET_SIZE)
/* A super-frame in receive buffers of 1 KiB each. */
#define FRAME_PAYLOAD_MAX_PARTS 64

/* As in the virtio-net header (virtio 1.2, 5.1.6). */
enum frame_gso {
	FRAME_GSO_NONE,
	FRAME_GSO_TCP4,
	FRAME_GSO_TCP6,
	FRAME_GSO_UDP,
};

struct frame_offload {
	/* The L4 checksum field holds only the pseudo header's sum; it is completed at the port's
	 * door. start and offset are bytes from the start of the frame. */
	bool checksum_partial;
	/* The L4 checksum was verified, or comes from ourselves. */
	bool checksum_valid;
	uint16_t checksum_start;
	uint16_t checksum_offset;
	enum frame_gso gso;
	bool gso_ecn;	   /* TCP: CWR is on the first segment only (RFC 3168 6.1.2) */
	uint16_t gso_size; /* payload bytes per segment */
};

#define FRAME_PORT_NONE UINT32_MAX

struct frame {
	size_t header_size; /* bytes valid in header */
	const struct iovec *payload;
	size_t payload_count;
	size_t payload_size;
	struct packet packet;
	struct frame_offload offload;
	/* The bridge port that the frame came in by; FRAME_PORT_NONE for frames of our own. */
	uint32_t port;
	/* The payload stands in the receiving port's own memory already (frame_sink_reserve()). */
	bool in_place;
	uint8_t header[FRAME_HEADER_MAX];
	struct iovec single; /* where payload points for a frame made from one piece of memory */
};

/*
 * From the bytes of one whole Ethernet frame, which must outlive the frame. Dissects; cuts the
 * padding behind an IP packet off. False: drop for *ret_reason. The payload is what follows the L4
 * header where the packet has one (packet.has_l4), else what follows the IP header, else (ARP and
 * unknown ethertypes) what follows the first FRAME_HEADER_MAX bytes at the most.
 */
bool frame_from_bytes(struct frame *frame, const void *bytes, size_t size, uint32_t port,
		      enum drop_reason *ret_reason) MUST_USE;

/*
 * The same from several pieces of memory (a guest's, that may change while we look): the headers
 * are copied first and only the copy is judged. `parts` is of at most FRAME_PAYLOAD_MAX_PARTS;
 * ret_payload, as long, gets what the frame's payload points to and must outlive the frame.
 */
bool frame_from_parts(struct frame *frame, const struct iovec *parts, size_t count, size_t size,
		      uint32_t port, struct iovec ret_payload[FRAME_PAYLOAD_MAX_PARTS],
		      enum drop_reason *ret_reason) MUST_USE;

/*
 * True when the offload marks, as a guest set them, fit what the dissection found: a partial
 * checksum names the TCP or UDP header that we found ourselves, and GSO has its size, its protocol
 * and a partial checksum.
 */
bool frame_check_offload(const struct frame *frame) MUST_USE;

/*
 * Verifies the L4 checksum of an unfragmented TCP, UDP or ICMP packet in full (UDP over IPv4 with
 * checksum 0 has none: RFC 768) unless the frame is marked checksum_valid or checksum_partial.
 * Marks it valid. False: wrong.
 */
bool frame_verify_checksum(struct frame *frame) MUST_USE;

/* TCP that says nothing but what has come: no bytes, no SYN, FIN or RST. */
bool frame_is_acknowledgement(const struct frame *frame);

static inline size_t frame_size(const struct frame *frame)
{
	return frame->header_size + frame->payload_size;
}

/* Copies `size` payload bytes from `offset` on; the range must be inside the payload. */
void frame_copy_payload(const struct frame *frame, size_t offset, void *ret_bytes, size_t size);

/*
 * Copies the whole frame, headers first. Returns its size, or 0 when it does not fit. Does not pad.
 */
size_t frame_copy(const struct frame *frame, void *buffer, size_t size) MUST_USE;

/* The copied L4 header (with TCP's options; 8 bytes of ICMP). Fails on read when !packet.has_l4. */
static inline struct reader frame_l4_reader(const struct frame *frame)
{
	const struct packet *packet = &frame->packet;

	if (!packet->has_l4)
		return (struct reader){ .failed = true };
	return reader_of(frame->header + packet->l4_offset,
			 (size_t)packet->payload_offset - packet->l4_offset);
}
