/* When each direction has its turn. What they do: vhost_net_internal.h. */
#include "attach/vhost_user/vhost_net_internal.h"

/* Batches of a loop that does not come to sleep, after which a guest is called about an acknowledgement. */
#define OWED_TURNS 2

/* --- while the loop is awake ----------------------------------------------------------------- */

static const struct virtqueue *transmit_queue(const struct vhost_net *net)
{
	return &net->session->rings[VHOST_RING_TRANSMIT].queue;
}

static bool has_to_transmit(struct vhost_net *net)
{
	return vhost_session_runs(net->session, VHOST_RING_TRANSMIT) &&
	       virtqueue_waiting(transmit_queue(net)) > 0;
}

bool vhost_net_may_read(struct vhost_net *net, unsigned ring)
{
	uint64_t turn = loop_turn(net->attachment->context.loop);

	if (net->reads[ring].turn != turn) {
		net->reads[ring].turn = turn;
		net->reads[ring].descriptors = 0;
	}
	return net->reads[ring].descriptors < VHOST_NET_TURN_DESCRIPTORS;
}

/* Somebody waits for room, and for what was not looked at the guest does not kick again. */
static bool has_to_look_ahead(const struct vhost_net *net)
{
	return net->room_wanted && net->reads_on;
}

static bool is_call_overdue(const struct vhost_net *net)
{
	return net->owes_call &&
	       loop_turn(net->attachment->context.loop) - net->owed_since_turn >= OWED_TURNS;
}

static bool lookout_sees(struct loop_lookout *lookout)
{
	struct vhost_net *net = container_of(lookout, struct vhost_net, lookout);

	return has_to_transmit(net) || is_call_overdue(net) || has_to_look_ahead(net);
}

static void wake_sources(struct vhost_net *net)
{
	struct attachment_context *context = &net->attachment->context;

	net->room_wanted = false;
	context->writable(context->context, net->attachment->port);
}

static void lookout_act(struct loop_lookout *lookout)
{
	struct vhost_net *net = container_of(lookout, struct vhost_net, lookout);

	if (is_call_overdue(net))
		vhost_net_pay_call(net);
	if (has_to_look_ahead(net) && vhost_net_room(net) > 0)
		wake_sources(net);
	if (has_to_transmit(net))
		vhost_net_transmit(net);
}

static bool lookout_announce(struct loop_lookout *lookout)
{
	struct vhost_net *net = container_of(lookout, struct vhost_net, lookout);

	if (net->owes_call)
		vhost_net_pay_call(net);
	return vhost_session_runs(net->session, VHOST_RING_TRANSMIT) &&
	       virtqueue_listen(&net->session->rings[VHOST_RING_TRANSMIT].queue);
}

static const struct loop_lookout_ops lookout_ops = {
	.sees = lookout_sees,
	.act = lookout_act,
	.announce = lookout_announce,
};

/* --- the session -------------------------------------------------------------------------------- */

void vhost_net_kicked(struct vhost_net *net, unsigned ring)
{
	if (!vhost_session_runs(net->session, ring))
		return;
	if (ring == VHOST_RING_TRANSMIT)
		vhost_net_transmit(net);
	else if (net->room_wanted && vhost_net_room(net) > 0)
		wake_sources(net);
}

void vhost_net_settle(struct vhost_net *net)
{
	if (net->chain_count > 0)
		virtqueue_untake(vhost_net_receive_queue(net), (uint16_t)net->chain_count);
	vhost_net_forget_ahead(net);
	net->owes_call = false;
	for (unsigned i = 0; i < VHOST_RINGS; i++) {
		if (net->session->rings[i].started)
			vhost_ring_publish(&net->session->rings[i]);
	}
}

void vhost_net_resume(struct vhost_net *net)
{
	if (vhost_net_receives(net))
		virtqueue_silence(vhost_net_receive_queue(net));
	else
		net->chains_most = 0;
	/* Also where nothing can be received any more: what is pushed now is dropped. */
	if (net->room_wanted && vhost_net_room(net) > 0)
		wake_sources(net);
	if (vhost_session_runs(net->session, VHOST_RING_TRANSMIT))
		vhost_net_transmit(net);
}

void vhost_net_forget(struct vhost_net *net)
{
	vhost_net_forget_calls(net);
	net->owes_call = false;
	vhost_net_forget_ahead(net);
	net->chains_most = 0;
	if (net->room_wanted)
		wake_sources(net);
}

void vhost_net_init(struct vhost_net *net)
{
	loop_lookout_init(&net->lookout, &lookout_ops);
	net->holds_acknowledgements_only = true;
	vhost_net_init_calls(net);
}

void vhost_net_start(struct vhost_net *net)
{
	loop_lookout_add(net->attachment->context.loop, &net->lookout);
}

void vhost_net_done(struct vhost_net *net)
{
	loop_lookout_remove(&net->lookout);
	vhost_net_forget_calls(net);
}
