/*
 * The door of NAT: dispatches a guest's packet by protocol, collects what goes back to the guests
 * into one flush a batch, and passes port events on to the protocols.
 */

#include "nat/nat.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "nat/forward.h"
#include "nat/icmp_flow.h"
#include "nat/nat_internal.h"
#include "nat/tcp.h"
#include "nat/udp.h"
#include "nat/udp_send.h"
#include "wire/frame_fragment.h"

static void nat_input(struct frame_sink *sink, struct frame *frame)
{
	struct nat *nat = container_of(sink, struct nat, guest_side);

	if (frame->packet.kind != PACKET_IPV4 || !frame->packet.has_l4) {
		nat_drop(nat, DROP_UNKNOWN_PROTOCOL);
		return;
	}
	if (frame->offload.gso != FRAME_GSO_NONE && !frame_check_offload(frame)) {
		nat_drop(nat, DROP_BAD_OFFLOAD);
		return;
	}
	switch (frame->packet.ip_protocol) {
	case PACKET_IP_PROTOCOL_TCP:
		tcp_input(nat, frame);
		break;
	case PACKET_IP_PROTOCOL_UDP:
		udp_input(nat, frame);
		break;
	case PACKET_IP_PROTOCOL_ICMP:
		icmp_input(nat, frame);
		break;
	default:
		nat_drop(nat, DROP_UNKNOWN_PROTOCOL);
		break;
	}
}

/* What goes back to the guests leaves with the deferred flush, which runs once the batch is over. */
static void nat_input_flush(struct frame_sink *sink)
{
	udp_send_flush(container_of(sink, struct nat, guest_side));
}

/* A guest is never asked to wait here: each protocol has its own window or drops. */
static size_t nat_input_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static const struct frame_sink_ops nat_guest_side_ops = {
	.push = nat_input,
	.flush = nat_input_flush,
	.room = nat_input_room,
};

static void nat_flush(struct loop_deferred *deferred)
{
	frame_sink_flush(container_of(deferred, struct nat, flush)->context.to_guest);
}

void nat_push_to_guest(struct nat *nat, struct frame *frame)
{
	frame_sink_push(nat->context.to_guest, frame);
	loop_defer_last(nat->context.loop, &nat->flush);
}

static void nat_emit_fragment(void *context, const struct frame *frame)
{
	struct frame copy = *frame;

	if (frame->payload == &frame->single)
		copy.payload = &copy.single;
	nat_push_to_guest(context, &copy);
}

bool nat_push_datagram(struct nat *nat, struct frame *frame)
{
	/* As it is, with a checksum that the guest's port may not even need. */
	if (frame->offload.gso != FRAME_GSO_NONE ||
	    frame->packet.ip_total_size <= nat->config.mtu) {
		nat_push_to_guest(nat, frame);
		return true;
	}
	return frame_fragment(frame, nat->config.mtu, nat_emit_fragment, nat) > 0;
}

int nat_new(const struct nat_config *config, const struct nat_context *context,
	    struct nat **ret_nat)
{
	struct nat *nat = calloc(1, sizeof(*nat));

	if (!nat)
		return -ENOMEM;
	nat->config = *config;
	nat->context = *context;
	nat->guest_side.ops = &nat_guest_side_ops;
	loop_deferred_init(&nat->flush, nat_flush);
	nat->port_backlog = calloc(config->port_capacity, sizeof(*nat->port_backlog));
	int status = nat->port_backlog ? 0 : -ENOMEM;
	for (uint32_t i = 0; status == 0 && i < config->port_capacity; i++)
		nat->port_backlog[i] = config->backlog;
	if (status == 0)
		status = review_init(nat);
	if (status == 0)
		status = budget_init(&nat->budget, config->flow_capacity, config->port_capacity);
	if (status == 0) {
		budget_keep_back(&nat->budget);
		status = forward_table_new(nat, &nat->forwards);
	}
	if (status == 0)
		status = tcp_table_new(nat, &nat->shard.tcp);
	if (status == 0)
		status = udp_table_new(nat, &nat->shard.udp);
	if (status == 0)
		status = icmp_table_new(nat, &nat->shard.icmp);
	if (status < 0) {
		nat_free(nat);
		return status;
	}
	*ret_nat = nat;
	return 0;
}

/* Listeners first: nothing new comes while the flows go. */
struct nat *nat_free(struct nat *nat)
{
	if (!nat)
		return NULL;
	nat->forwards = forward_table_free(nat->forwards);
	nat->shard.tcp = tcp_table_free(nat->shard.tcp);
	nat->shard.udp = udp_table_free(nat->shard.udp);
	nat->shard.icmp = icmp_table_free(nat->shard.icmp);
	loop_deferred_cancel(&nat->flush);
	review_done(nat);
	budget_done(&nat->budget);
	free(nat->port_backlog);
	free(nat);
	return NULL;
}

void nat_review(struct nat *nat, enum nat_host_access access)
{
	const bool narrower = access < nat->config.host_access;

	nat->config.host_access = access;
	review_begin(nat, narrower);
}

bool nat_is_reviewed(const struct nat *nat)
{
	return review_is_over(nat);
}

void nat_drain(struct nat *nat)
{
	nat->draining = true;
	tcp_drain(nat);
}

bool nat_is_drained(const struct nat *nat)
{
	return tcp_is_drained(nat);
}

struct frame_sink *nat_guest_side(struct nat *nat)
{
	return &nat->guest_side;
}

void nat_port_added(struct nat *nat, uint32_t port, enum nat_backlog backlog)
{
	assert(port < nat->config.port_capacity);
	nat->port_backlog[port] = backlog;
}

void nat_port_ready(struct nat *nat, uint32_t port)
{
	tcp_port_ready(nat, port);
	review_port_ready(nat, port);
}

void nat_port_gone(struct nat *nat, uint32_t port)
{
	tcp_port_gone(nat, port);
	udp_port_gone(nat, port);
	icmp_port_gone(nat, port);
}

int nat_connect(struct nat *nat, const struct ip_endpoint *guest, int fd,
		struct nat_opening *opening)
{
	return tcp_connect_to_guest(nat, guest, fd, opening);
}

void nat_get_statistics(const struct nat *nat, struct nat_statistics *ret_statistics)
{
	*ret_statistics = (struct nat_statistics){
		.tcp_flows = tcp_flow_count(nat),
		.udp_flows = udp_flow_count(nat),
		.icmp_flows = icmp_flow_count(nat),
		.unsent_bytes = tcp_unsent_bytes(nat),
	};
}
