#pragma once
/* What the two directions of a vhost-user port share:
 *
 *     vhost_transmit.c   from the guest, and when it is called about what it transmitted
 *     vhost_receive.c    to the guest
 *     vhost_net.c        when the one and the other has its turn
 */

#include "attach/vhost_user/vhost_net.h"
#include "wire/virtio_net.h"

/* Before VERSION_1 the header had num_buffers only with mergeable buffers (virtio 1.2, 5.1.6.1). */
#define VHOST_NET_HEADER_SIZE_LEGACY 10

static inline struct virtqueue *vhost_net_receive_queue(struct vhost_net *net)
{
	return &net->session->rings[VHOST_RING_RECEIVE].queue;
}

static inline bool vhost_net_receives(const struct vhost_net *net)
{
	return vhost_session_runs(net->session, VHOST_RING_RECEIVE);
}

static inline bool vhost_net_merges_buffers(const struct vhost_net *net)
{
	return vhost_session_has(net->session, VIRTIO_NET_F_MRG_RXBUF);
}

static inline size_t vhost_net_header_size(const struct vhost_net *net)
{
	if (vhost_net_merges_buffers(net) || vhost_session_has(net->session, VIRTIO_F_VERSION_1))
		return VIRTIO_NET_HEADER_SIZE;
	return VHOST_NET_HEADER_SIZE_LEGACY;
}

/* False when the batch has had its part of this ring. */
bool vhost_net_may_read(struct vhost_net *net, unsigned ring);

/* What the guest has put into its ring, at most a turn's worth of it. The ring has to run. */
void vhost_net_transmit(struct vhost_net *net);
/* The guest gets something to receive, and looks at what it transmitted, too. One that does not is
 * called all the same, later. */
void vhost_net_call_later(struct vhost_net *net);
/* The call about what was transmitted is not to come any more. */
void vhost_net_forget_calls(struct vhost_net *net);
void vhost_net_init_calls(struct vhost_net *net);

/* The call about what the guest received. */
void vhost_net_pay_call(struct vhost_net *net);
/* What was looked at ahead is not the guest's, or is its own again. */
void vhost_net_forget_ahead(struct vhost_net *net);
