#pragma once
/*
 * What a front end told: features, memory, two rings. One session lasts as long as its connection.
 *
 *     ring:   stopped --SET_VRING_KICK (with size, addresses, memory)--> started
 *             started --GET_VRING_BASE--> stopped        (its size and base change only here)
 *             disabled <--SET_VRING_ENABLE--> enabled    (always enabled where PROTOCOL_FEATURES
 *                                                         was not acknowledged)
 *
 * A ring runs while it is started, enabled and its memory is mapped. A message that has no place in
 * this picture ends the session: a front end that is wrong once cannot be understood any more.
 *
 * Frames are not known here; whoever moves them gives every buffer back before a message is handled,
 * so that memory and rings may change with any message, also while traffic runs.
 */

#include <stdbool.h>
#include <stdint.h>

#include "attach/vhost_user/call_guard.h"
#include "attach/vhost_user/dirty_log.h"
#include "attach/vhost_user/guest_memory.h"
#include "attach/vhost_user/vhost_message.h"
#include "attach/vhost_user/virtqueue.h"
#include "base/error.h"
#include "loop/loop.h"

/* Feature bits: virtio 1.2, 5.1.3 and 6; vhost-user. */
#define VHOST_BIT(number)		((uint64_t)1 << (number))
#define VIRTIO_NET_F_CSUM		VHOST_BIT(0)
#define VIRTIO_NET_F_GUEST_CSUM		VHOST_BIT(1)
#define VIRTIO_NET_F_MTU		VHOST_BIT(3)
#define VIRTIO_NET_F_GUEST_TSO4		VHOST_BIT(7)
#define VIRTIO_NET_F_GUEST_TSO6		VHOST_BIT(8)
#define VIRTIO_NET_F_HOST_TSO4		VHOST_BIT(11)
#define VIRTIO_NET_F_HOST_TSO6		VHOST_BIT(12)
#define VIRTIO_NET_F_MRG_RXBUF		VHOST_BIT(15)
#define VHOST_F_LOG_ALL			VHOST_BIT(26)
#define VIRTIO_F_INDIRECT_DESC		VHOST_BIT(28)
#define VIRTIO_F_EVENT_IDX		VHOST_BIT(29)
#define VHOST_USER_F_PROTOCOL_FEATURES	VHOST_BIT(30)
#define VIRTIO_F_VERSION_1		VHOST_BIT(32)
#define VIRTIO_NET_F_GUEST_USO4		VHOST_BIT(54)
#define VIRTIO_NET_F_GUEST_USO6		VHOST_BIT(55)
#define VIRTIO_NET_F_HOST_USO		VHOST_BIT(56)
#define VHOST_USER_PROTOCOL_F_LOG_SHMFD VHOST_BIT(1)
#define VHOST_USER_PROTOCOL_F_REPLY_ACK VHOST_BIT(3)
#define VHOST_USER_PROTOCOL_F_NET_MTU	VHOST_BIT(4)

#define VHOST_FEATURES                                                                             \
	(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MTU |                          \
	 VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_HOST_TSO4 |              \
	 VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_MRG_RXBUF | VHOST_F_LOG_ALL |                       \
	 VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VHOST_USER_F_PROTOCOL_FEATURES |            \
	 VIRTIO_F_VERSION_1 | VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6 |                  \
	 VIRTIO_NET_F_HOST_USO)
#define VHOST_PROTOCOL_FEATURES                                                                    \
	(VHOST_USER_PROTOCOL_F_LOG_SHMFD | VHOST_USER_PROTOCOL_F_REPLY_ACK |                       \
	 VHOST_USER_PROTOCOL_F_NET_MTU)

/* One queue pair, named from the guest's side. */
#define VHOST_RING_RECEIVE  0
#define VHOST_RING_TRANSMIT 1
#define VHOST_RINGS	    2

#define VHOST_SESSION_REPLY_MOST (VHOST_MESSAGE_HEADER_SIZE + 8)

struct vhost_session;

struct vhost_ring {
	struct virtqueue queue;
	struct vhost_vring_address address;
	bool has_address;
	bool started;
	bool enabled;
	int kick_fd;
	int call_fd;
	struct loop_watch kick;
	struct vhost_session *session;
};

struct vhost_session {
	struct loop *loop;
	struct call_guard *call_guard;
	/* The guest has something for us on that ring, or room. */
	void (*kicked)(struct vhost_session *session, unsigned index);
	/* `blocks` became true, perhaps in the middle of a push. */
	void (*blocked)(struct vhost_session *session);
	uint32_t mtu_most;
	bool allow_unsealed;

	bool over; /* set by the owner: nothing runs any more */
	/* A call blocked: the front end made its eventfd so after it was given. It is not called again. */
	bool blocks;
	uint64_t features;
	uint64_t protocol_features;
	struct guest_memory memory;
	struct dirty_log log;
	struct vhost_ring rings[VHOST_RINGS];
};

/* What is above `over` is set already. */
void vhost_session_init(struct vhost_session *session);
/* Forgets everything that the front end told; the session may be used for the next one. */
void vhost_session_reset(struct vhost_session *session);

/*
 * Handles one message. Descriptors that it keeps are replaced by -1 in fds; the rest is the
 * caller's to close. What the front end is to be answered is written to `reply`, perhaps nothing.
 * Negative errno with a sentence: the session is over (answer first, where there is an answer).
 */
int vhost_session_handle(struct vhost_session *session, const struct vhost_message *message,
			 int *fds, struct writer *reply, struct error *err) MUST_USE;

/* Whether frames may pass that ring. */
bool vhost_session_runs(const struct vhost_session *session, unsigned index);

static inline bool vhost_session_has(const struct vhost_session *session, uint64_t features)
{
	return (session->features & features) == features;
}

/* Makes what was used visible to the guest, and calls it where it asked for that. */
void vhost_ring_publish(struct vhost_ring *ring);
/* The same, but whether the guest is to be called is seen with the next vhost_ring_publish(). */
void vhost_ring_show(struct vhost_ring *ring);
