#pragma once
/* Datagrams of guests on their way out, kept together until the end of their batch. */

#include <stddef.h>
#include <stdint.h>

#include "host/host.h"
#include "wire/frame.h"

struct nat;

#define UDP_SEND_BATCH 64 /* datagrams that wait */
/* A longer frame is not worth a copy: what it costs is its bytes, not its system call. */
#define UDP_SEND_COPY_MOST  9216
#define UDP_SEND_SUPER_MOST 1024 /* datagrams in one super-frame */

/* One that waits. Its frame stands whole in the batch's bytes, so that an error can quote it. */
struct udp_waiting {
	struct host_socket *via; /* NULL once it is sent */
	struct host_datagram datagram;
	const uint8_t *frame;
	size_t frame_size;
	struct iovec payload; /* of frame */
	uint32_t port;	      /* the bridge port that it came in by */
};

struct udp_batch {
	size_t used; /* bytes */
	size_t count;
	struct udp_waiting waiting[UDP_SEND_BATCH];
	uint32_t arrived; /* datagrams since the last flush */
	bool several;	  /* the batch before had more than one */
	/* What one socket is to send, and which of `waiting` that is. */
	struct host_outgoing outgoing[UDP_SEND_BATCH];
	const struct udp_waiting *sources[UDP_SEND_BATCH];
};

/* Sends the frame's payload by that socket, now or with the flush. */
void udp_send(struct nat *nat, struct host_socket *via, const struct host_datagram *datagram,
	      const struct frame *frame);
/* Sends the datagrams of a super-frame of at most UDP_SEND_SUPER_MOST. */
void udp_send_super(struct nat *nat, struct host_socket *via, const struct host_datagram *datagram,
		    const struct frame *frame);
/* What waits leaves now. */
void udp_send_waiting(struct nat *nat);
/* The guest's batch is over: the same. */
void udp_send_flush(struct nat *nat);
