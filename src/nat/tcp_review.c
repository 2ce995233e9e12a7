/* Connections that are there when the rules change: see review.h. */
#include "nat/tcp_internal.h"

#include <errno.h>

static bool may_go_on(const struct tcp_flow *flow)
{
	const struct nat *nat = tcp_flow_nat(flow);
	const struct ip_endpoint client = { flow->client, flow->remote.port };

	if (flow->client.family != IP_FAMILY_NONE)
		return policy_admits_client(nat, NAT_PROTOCOL_TCP, &client);
	if (flow->own_service) /* of the gateway, whatever of the host is open */
		return policy_admits(nat, NAT_PROTOCOL_TCP, &flow->remote);
	return policy_may_go_on(nat, NAT_PROTOCOL_TCP, &flow->remote, nat->review.narrower);
}

/* True where it may; the flow is told so. */
static bool look_at(struct tcp_flow *flow)
{
	/* What is in TIME_WAIT moves nothing, and its peer has heard all. */
	if (flow->phase != TCP_PHASE_TIME_WAIT && !may_go_on(flow))
		return false;
	flow->review = tcp_flow_nat(flow)->review.number;
	return true;
}

static void end(struct tcp_flow *flow)
{
	nat_drop(tcp_flow_nat(flow), DROP_FILTERED);
	tcp_open_tell(flow, -ECONNABORTED);
	tcp_end_abort(flow);
}

bool tcp_review_flow(struct tcp_flow *flow)
{
	if (look_at(flow))
		return true;
	end(flow);
	return false;
}

bool tcp_review_slice(struct nat *nat, uint32_t *next)
{
	struct tcp_table *table = tcp_table_of(nat);
	struct review *review = &nat->review;

	for (; *next < table->touched; ++*next) {
		struct tcp_flow *flow = &table->flows[*next];

		if (!review_look(review))
			return false;
		if (flow->phase == TCP_PHASE_FREE || flow->review == review->number ||
		    look_at(flow))
			continue;
		if (!review_has_room(review, flow->port))
			return false;
		review_charge_end(review);
		end(flow);
	}
	return true;
}
