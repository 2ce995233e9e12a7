/*
 * How flows end. A host socket is closed in order only when the guest has finished and, in an
 * orderly end, has acknowledged all; otherwise it is reset, so that a peer can tell a stream that
 * was cut off from one that was complete.
 */
#include "nat/tcp_internal.h"

#include <errno.h>

static void reset_host(struct tcp_flow *flow)
{
	if (flow->socket.fd != -1)
		host_call(tcp_flow_host(flow), reset, &flow->socket);
}

/* Bytes that the guest was told to be safe, and that the host has not got. */
static uint32_t debt(const struct tcp_flow *flow)
{
	uint32_t size = (uint32_t)tcp_buffer_size(&flow->buffer);
	uint32_t head = flow->receive_next - (flow->up_finished ? 1 : 0) - size;

	if (size == 0 || !tcp_seq_after(flow->receive_acknowledged, head))
		return 0;
	return flow->receive_acknowledged - head < size ? flow->receive_acknowledged - head : size;
}

static void count_unsent(struct tcp_flow *flow)
{
	struct nat *nat = tcp_flow_nat(flow);
	uint32_t lost = debt(flow);

	flow->table->unsent_bytes += lost;
	drop_add(nat->context.drops, DROP_UNSENT_BYTES, lost);
}

/* Only what the guest itself finished ends with FIN. On an orderly stop of the network, the flows
 * end as those of a process that exits: what is in the socket still goes out. But the program's own
 * ones, which live no longer than the guest, are cut off. */
static void end_host(struct tcp_flow *flow)
{
	bool in_order = flow->up_finished ||
			(flow->phase == TCP_PHASE_OPEN && tcp_flow_nat(flow)->draining &&
			 debt(flow) == 0 && !flow->own_client);

	count_unsent(flow);
	if (in_order && flow->socket.fd != -1)
		host_call(tcp_flow_host(flow), close, &flow->socket);
	else
		reset_host(flow);
}

void tcp_end_silent(struct tcp_flow *flow)
{
	if (flow->phase != TCP_PHASE_TIME_WAIT)
		end_host(flow);
	tcp_flow_free(flow);
}

void tcp_end_abort(struct tcp_flow *flow)
{
	if (flow->phase != TCP_PHASE_ORPHAN && flow->phase != TCP_PHASE_TIME_WAIT)
		tcp_output_reset(flow);
	count_unsent(flow);
	reset_host(flow);
	tcp_flow_free(flow);
}

void tcp_end_by_guest(struct tcp_flow *flow)
{
	tcp_open_tell(flow, -ECONNREFUSED);
	/* Its own wish: nothing is lost that it still wanted to arrive. */
	reset_host(flow);
	tcp_flow_free(flow);
}

static void enter_time_wait(struct tcp_flow *flow)
{
	struct tcp_table *table = flow->table;

	if (table->time_wait_count >= TCP_TIME_WAIT_MAX)
		tcp_flow_free(
			container_of(list_first(&table->time_wait), struct tcp_flow, age_node));
	flow->phase = TCP_PHASE_TIME_WAIT;
	table->time_wait_count++;
	list_append(&table->time_wait, &flow->age_node);
	tcp_flow_give_budget(flow);
	list_remove(&flow->wait_node);
	list_remove(&flow->delay_node);
	tcp_delay_rest(table);
	tcp_timer_stop(flow);
	tcp_timer_idle_in(flow, TCP_TIME_WAIT_NS);
}

bool tcp_end_check(struct tcp_flow *flow)
{
	if (!flow->up_finished || !flow->fin_acknowledged)
		return true;
	host_call(tcp_flow_host(flow), close, &flow->socket);
	tcp_backlog_clear(&flow->backlog, &flow->table->pool);
	if (!flow->closed_first) {
		tcp_flow_free(flow);
		return false;
	}
	enter_time_wait(flow);
	return true;
}

void tcp_end_port_gone(struct tcp_flow *flow)
{
	if (flow->phase != TCP_PHASE_OPEN || tcp_buffer_size(&flow->buffer) == 0) {
		tcp_end_silent(flow);
		return;
	}
	tcp_flow_unindex(flow);
	flow->phase = TCP_PHASE_ORPHAN;
	flow->send_wanted = false;
	flow->ack_owed = false;
	list_remove(&flow->delay_node);
	flow->port_gone = false;
	list_remove(&flow->wait_node);
	tcp_backlog_clear(&flow->backlog, &flow->table->pool);
	tcp_timer_stop(flow);
	tcp_timer_idle_in(flow, TCP_ORPHAN_NS);
}

void tcp_end_orphan(struct tcp_flow *flow)
{
	/* Not reset: that would throw away what the socket has just taken. */
	host_call(tcp_flow_host(flow), close, &flow->socket);
	tcp_flow_free(flow);
}
