#pragma once
/*
 * Frames through the two rings of a session, without a copy: what the guest transmits is pushed as
 * it lies in the guest's memory; what it is to receive may be received into its buffers right away
 * (reserve).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "attach/attachment_internal.h"
#include "attach/door.h"
#include "attach/vhost_user/vhost_session.h"
#include "loop/loop.h"

/* Receive buffers that are looked at ahead of their use. */
#define VHOST_NET_AHEAD_CHAINS 512
#define VHOST_NET_AHEAD_PARTS  (2 * VIRTQUEUE_CHAIN_MOST)

/*
 * Descriptors of one ring that are read in one batch of the loop; the chain that passes it is the last, so
 * it is 9,216 at most, of some 20 ns each. An honest guest stays far below: 64 frames of 18 pieces twice, or
 * a ring of 256 super-frames to receive. One whose descriptors hold nothing waits for the next batch
 * instead of making others wait.
 */
#define VHOST_NET_TURN_DESCRIPTORS 8192

struct vhost_net_chain {
	uint16_t head;
	uint16_t parts;
	uint64_t size;
};

struct vhost_net {
	struct attachment *attachment;
	struct vhost_session *session;
	/* A ring is broken: the owner ends the session, but not before its caller returned. */
	void (*failed)(struct vhost_net *net, const char *reason);

	struct loop_lookout lookout; /* for what the guest transmits */
	struct {
		uint64_t turn;
		uint64_t descriptors;
	} reads[VHOST_RINGS];	 /* what was read of each ring in one batch */
	struct timer call_timer; /* about what was transmitted and not called about yet */
	unsigned uncalled_frames;
	uint64_t uncalled_bytes;
	bool is_awaited;	 /* the guest may wait for one of these */
	uint64_t call_latest_ns; /* while the timer runs */
	/* What the guest is given to receive and does not see yet. */
	bool holds_acknowledgements_only;
	bool owes_call; /* about what it sees */
	uint64_t owed_since_turn;
	bool room_wanted;     /* somebody was told that there is no room */
	bool reads_on;	      /* looking ahead goes on with the next batch */
	uint32_t chains_most; /* receive buffers that the guest ever had out at once */

	/* Receive chains taken from the ring and not used yet, oldest first. */
	struct vhost_net_chain chains[VHOST_NET_AHEAD_CHAINS];
	size_t chain_first;
	size_t chain_count;
	struct iovec parts[VHOST_NET_AHEAD_PARTS];
	size_t part_first;
	size_t part_count;
	uint64_t ahead_size; /* bytes in all of them */

	struct iovec transmit_parts[VIRTQUEUE_CHAIN_MOST];
	/* For frames in more pieces than a frame may have, and for those that must move. */
	uint8_t transmit_bounce[FRAME_MAX_SIZE];
	uint8_t receive_bounce[FRAME_MAX_SIZE];
};

/* attachment, session and failed are set already. */
void vhost_net_init(struct vhost_net *net);
void vhost_net_done(struct vhost_net *net);
/* In the loop's thread, once. */
void vhost_net_start(struct vhost_net *net);

/* Gives back what was looked at and publishes what was used: afterwards nothing of the rings is in
 * use here, and they may change. */
void vhost_net_settle(struct vhost_net *net);
/* A ring may run now that did not, or no longer. */
void vhost_net_resume(struct vhost_net *net);
/* The session is over. */
void vhost_net_forget(struct vhost_net *net);

/* The guest kicked. */
void vhost_net_kicked(struct vhost_net *net, unsigned ring);

/* The attachment's sink. */
void vhost_net_push(struct vhost_net *net, struct frame *frame);
void vhost_net_flush(struct vhost_net *net);
size_t vhost_net_room(struct vhost_net *net);
size_t vhost_net_reserve(struct vhost_net *net, size_t header_size, size_t size,
			 struct iovec *ret_parts, size_t capacity, size_t *ret_count);
