/*
 * Acknowledgements that wait a moment for an answer to travel with. Each one alone costs a frame
 * towards the guest, and the guest's whole stack for it; where the far end answers what the guest
 * says, its answer carries the acknowledgement for nothing.
 *
 * One is put off only where that is likely to pay and cannot hurt (RFC 9293 3.8.6.3): the far end has
 * just answered (ping-pong), a single segment is owed for, and it is shorter than a full one. A second
 * segment is acknowledged at once. When the moment passes without an answer, ping-pong is over until
 * the next one: a guest whose Nagle algorithm waits for us loses 10 ms once, not each time.
 *
 * All wait for the same time, so the list is in the order of their ends and one timer serves it. It is
 * left running when the list empties: setting it for each answer would cost each of them. But when a
 * connection ends and nothing waits, nobody is woken up for it.
 */
#include "nat/tcp_internal.h"

#define DELAY_NS (10 * NS_PER_MS)

static bool may_wait(const struct tcp_flow *flow)
{
	uint32_t owed = flow->receive_next - flow->receive_acknowledged;

	return flow->phase == TCP_PHASE_OPEN && flow->ping_pong && flow->owed_segments <= 1 &&
	       owed > 0 && owed < flow->mss && !tcp_flow_nat(flow)->draining &&
	       !tcp_window_update_due(flow);
}

static void start_timer(struct tcp_table *table, uint64_t at_ns)
{
	timer_set(nat_timers(table->nat), &table->delay, at_ns);
}

static void delay_expired(struct timer *timer, uint64_t now_ns)
{
	struct tcp_table *table = container_of(timer, struct tcp_table, delay);
	struct list *node;

	while ((node = list_first(&table->delayed))) {
		struct tcp_flow *flow = container_of(node, struct tcp_flow, delay_node);

		if (flow->delay_until_ns > now_ns) {
			start_timer(table, flow->delay_until_ns);
			return;
		}
		flow->ping_pong = false;
		tcp_output_ack(flow); /* takes it off the list */
	}
}

void tcp_delay_init(struct tcp_table *table)
{
	list_init(&table->delayed);
	timer_init(&table->delay, delay_expired);
}

void tcp_delay_done(struct tcp_table *table)
{
	timer_clear(nat_timers(table->nat), &table->delay);
}

void tcp_delay_settle(struct tcp_flow *flow)
{
	struct tcp_table *table = flow->table;

	if (!flow->ack_owed)
		return;
	if (!may_wait(flow)) {
		tcp_output_ack(flow);
		return;
	}
	if (list_is_linked(&flow->delay_node))
		return;
	flow->delay_until_ns = nat_now(table->nat) + DELAY_NS;
	list_append(&table->delayed, &flow->delay_node);
	if (!timer_is_set(&table->delay))
		start_timer(table, flow->delay_until_ns);
}

void tcp_delay_rest(struct tcp_table *table)
{
	if (list_is_empty(&table->delayed))
		timer_clear(nat_timers(table->nat), &table->delay);
}

void tcp_delay_heard(struct tcp_flow *flow)
{
	flow->heard_ns = nat_now(tcp_flow_nat(flow));
	flow->owed_segments++;
}

void tcp_delay_answered(struct tcp_flow *flow)
{
	if (flow->heard_ns != 0 && nat_now(tcp_flow_nat(flow)) - flow->heard_ns < DELAY_NS)
		flow->ping_pong = true;
}

void tcp_delay_acknowledged(struct tcp_flow *flow)
{
	flow->ack_owed = false;
	flow->owed_segments = 0;
	list_remove(&flow->delay_node);
}
