/* TCP's door for the rest of the room, and the work that waits for the end of a batch. */
#include "nat/tcp_internal.h"

#include <errno.h>
#include <stdlib.h>

#define TIMERS_PER_FLOW 2

/* One turn, for all flows, is two super-frames: then whoever has an event gets theirs. A bulk flow
 * whose window is half a megabyte would keep a short answer waiting for 150 us. */
#define TURN_BYTES (UINT32_C(96) << 10)

/* Once for blocks that came back: who gets none again waits for the next ones. */
static void requeue_starved(struct tcp_table *table)
{
	struct list *node;

	if (!table->fed)
		return;
	table->fed = false;
	while ((node = list_first(&table->starved))) {
		struct tcp_flow *flow = container_of(node, struct tcp_flow, wait_node);

		list_remove(node);
		flow->send_wanted = true;
		if (!list_is_linked(&flow->work_node))
			list_append(&table->work, &flow->work_node);
	}
}

/* One frame of each flow in turn, so that none takes all the room; what is left is for the loop's next
 * batch. */
static void run_work(struct loop_deferred *deferred)
{
	struct tcp_table *table = container_of(deferred, struct tcp_table, deferred);
	struct list *node;
	uint32_t sent = 0;

	requeue_starved(table);
	while (sent < TURN_BYTES && (node = list_first(&table->work))) {
		struct tcp_flow *flow = container_of(node, struct tcp_flow, work_node);
		enum tcp_send_result result = TCP_SEND_DONE;

		list_remove(node);
		if (flow->port_gone) {
			tcp_end_port_gone(flow);
			continue;
		}
		if (!tcp_review_passes(flow))
			continue;
		uint32_t before = flow->send_next;
		if (flow->send_wanted)
			result = tcp_send_once(flow);
		if (result == TCP_SEND_ENDED)
			continue;
		sent += flow->send_next - before;
		if (result == TCP_SEND_MORE) {
			/* Linked again already where the port failed meanwhile. */
			if (!list_is_linked(node))
				list_append(&table->work, node);
			continue;
		}
		flow->send_wanted = false;
		tcp_delay_settle(flow);
	}
	if (!list_is_empty(&table->work))
		loop_defer(table->nat->context.loop, &table->deferred);
}

int tcp_table_new(struct nat *nat, struct tcp_table **ret_table)
{
	const struct nat_config *config = &nat->config;
	struct timers *timers = nat_timers(nat);
	struct tcp_table *table = calloc(1, sizeof(*table));
	int rc;

	if (!table)
		return -ENOMEM;
	table->nat = nat;
	table->capacity = config->flow_capacity + (config->flow_capacity < TCP_TIME_WAIT_MAX
							   ? config->flow_capacity
							   : TCP_TIME_WAIT_MAX);
	table->first_free = INDEX_NONE;
	list_init(&table->time_wait);
	list_init(&table->work);
	list_init(&table->parked);
	list_init(&table->starved);
	tcp_delay_init(table);
	loop_deferred_init(&table->deferred, run_work);
	nat->context.random->fill(nat->context.random, &table->initial_key,
				  sizeof(table->initial_key));
	table->flows = calloc(table->capacity, sizeof(*table->flows));
	table->half_open_port =
		calloc((size_t)config->port_capacity + 1, sizeof(*table->half_open_port));
	table->challenges = calloc((size_t)config->port_capacity + 1, sizeof(*table->challenges));
	table->floods = calloc((size_t)config->port_capacity + 1, sizeof(*table->floods));
	rc = table->flows && table->half_open_port && table->challenges && table->floods ? 0
											 : -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i <= config->port_capacity; i++)
		list_init(&table->half_open_port[i]);
	if (rc == 0)
		rc = index_init(&table->index, table->capacity, nat->context.random);
	if (rc == 0)
		rc = tcp_pool_init(&table->pool, TCP_POOL_BLOCKS, config->port_capacity);
	if (rc == 0)
		rc = budget_init(&table->half_open_budget, config->half_open_capacity,
				 config->port_capacity);
	if (rc == 0) {
		budget_keep_back(&table->half_open_budget);
		rc = timers_reserve(timers,
				    timers->capacity + TIMERS_PER_FLOW * table->capacity + 1);
	}
	if (rc < 0) {
		tcp_table_free(table);
		return rc;
	}
	*ret_table = table;
	return 0;
}

struct tcp_table *tcp_table_free(struct tcp_table *table)
{
	if (!table)
		return NULL;
	for (uint32_t i = 0; table->flows && i < table->touched; i++)
		if (table->flows[i].phase != TCP_PHASE_FREE)
			tcp_end_silent(&table->flows[i]);
	loop_deferred_cancel(&table->deferred);
	tcp_delay_done(table);
	budget_done(&table->half_open_budget);
	tcp_pool_done(&table->pool);
	index_done(&table->index);
	free(table->floods);
	free(table->challenges);
	free(table->half_open_port);
	free(table->flows);
	free(table);
	return NULL;
}

void tcp_port_ready(struct nat *nat, uint32_t port)
{
	list_for_each_safe(node, following, &tcp_table_of(nat)->parked)
	{
		struct tcp_flow *flow = container_of(node, struct tcp_flow, wait_node);

		if (flow->port != port)
			continue;
		list_remove(node);
		tcp_timer_port_ready(flow);
		tcp_flow_want_send(flow);
	}
}

void tcp_port_gone(struct nat *nat, uint32_t port)
{
	struct tcp_table *table = tcp_table_of(nat);

	for (uint32_t i = 0; i < table->touched; i++) {
		struct tcp_flow *flow = &table->flows[i];

		if (flow->phase == TCP_PHASE_FREE || flow->phase == TCP_PHASE_ORPHAN ||
		    flow->port != port)
			continue;
		if (!table->pushing) {
			tcp_end_port_gone(flow);
			continue;
		}
		/* The port failed while a frame of ours went its way: some flow is in the middle
		 * of something. */
		flow->port_gone = true;
		tcp_flow_want_send(flow);
	}
}

void tcp_drain(struct nat *nat)
{
	struct tcp_table *table = tcp_table_of(nat);

	for (uint32_t i = 0; i < table->touched; i++) {
		struct tcp_flow *flow = &table->flows[i];

		if (flow->phase == TCP_PHASE_CONNECTING || flow->phase == TCP_PHASE_SYN_SENT)
			tcp_end_silent(flow);
	}
}

bool tcp_is_drained(const struct nat *nat)
{
	const struct tcp_table *table = tcp_table_of(nat);

	for (uint32_t i = 0; i < table->touched; i++) {
		const struct tcp_flow *flow = &table->flows[i];

		if (flow->phase != TCP_PHASE_FREE && tcp_buffer_size(&flow->buffer) > 0)
			return false;
	}
	return true;
}

uint32_t tcp_flow_count(const struct nat *nat)
{
	return tcp_table_of(nat)->live;
}

uint64_t tcp_unsent_bytes(const struct nat *nat)
{
	return tcp_table_of(nat)->unsent_bytes;
}
