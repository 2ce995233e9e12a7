/*
 * The window towards the guest is the free room of the flow's own buffer, and its right edge never
 * moves left: what was promised once is taken. It moves right in steps worth a segment (RFC 9293
 * 3.8.6.2.2, silly window avoidance).
 *
 * Scaling makes the window a multiple of 4. Rounding it down could move the edge left by up to 3
 * bytes (RFC 7323 2.4), so it is rounded up where that would happen, into a slack that the buffer
 * has behind its capacity. Only a guest that sends thousands of odd segments to a host that takes
 * none can use that slack up. Then the last 1 to 3 bytes are not acknowledged yet: the window from
 * there to the edge is a multiple of 4 again. They are kept all the same, so at worst the guest
 * repeats 3 bytes while it waits.
 */
#include "nat/tcp_internal.h"

static uint32_t step(const struct tcp_flow *flow)
{
	uint32_t segment = tcp_mss_of_mtu(tcp_flow_nat(flow));
	uint32_t half = flow->receive_capacity / 2;

	return segment < half ? segment : half;
}

/* How far the buffer's capacity goes; before receive_next once the slack is in use. */
static uint32_t limit(const struct tcp_flow *flow)
{
	return flow->receive_next - (uint32_t)tcp_buffer_size(&flow->buffer) +
	       flow->receive_capacity;
}

/* By how much the edge could move right; 0 when the promise is ahead of the buffer already. */
static uint32_t gain(const struct tcp_flow *flow)
{
	uint32_t most = limit(flow);

	return tcp_seq_after(most, flow->receive_edge) ? most - flow->receive_edge : 0;
}

void tcp_window_start(struct tcp_flow *flow)
{
	flow->receive_capacity = flow->scaled ? TCP_BUFFER_CAPACITY : TCP_WINDOW_UNSCALED_MAX;
	flow->receive_edge = flow->receive_next + TCP_WINDOW_UNSCALED_MAX;
}

struct tcp_window_offer tcp_window_offer(struct tcp_flow *flow)
{
	uint32_t shift = flow->scaled ? TCP_WINDOW_SHIFT : 0;
	uint32_t unit = UINT32_C(1) << shift;
	uint32_t acknowledgement = flow->receive_next;
	uint32_t edge = flow->receive_edge;
	uint32_t odd;

	if (gain(flow) >= step(flow))
		edge = limit(flow);
	/* The guest's FIN stands behind the promise by one. */
	if (tcp_seq_before(edge, flow->receive_next))
		edge = flow->receive_next;
	odd = (edge - acknowledgement) % unit;
	if (odd > 0 && tcp_seq_after_equal(edge - odd, flow->receive_edge))
		edge -= odd;
	else if (odd > 0 && !tcp_seq_after(edge + unit - odd, limit(flow) + TCP_BUFFER_SLACK))
		edge += unit - odd;
	else if (odd > 0)
		acknowledgement -= unit - odd;
	if (edge - acknowledgement > TCP_WINDOW_UNSCALED_MAX << shift)
		edge = acknowledgement + (TCP_WINDOW_UNSCALED_MAX << shift);
	flow->receive_edge = edge;
	return (struct tcp_window_offer){
		.acknowledgement = acknowledgement,
		.field = (uint16_t)((edge - acknowledgement) >> shift),
	};
}

bool tcp_window_update_due(const struct tcp_flow *flow)
{
	uint32_t known = flow->receive_edge - flow->receive_next;

	return gain(flow) >= step(flow) && gain(flow) >= known;
}

uint32_t tcp_window_usable(const struct tcp_flow *flow)
{
	uint32_t window = flow->send_window;
	uint32_t flight = flow->send_next - flow->send_unacknowledged;

	if (window > flow->congestion_window)
		window = flow->congestion_window;
	if (window > TCP_BACKLOG_CAPACITY)
		window = TCP_BACKLOG_CAPACITY;
	return window > flight ? window - flight : 0;
}
