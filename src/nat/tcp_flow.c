#include "nat/tcp_flow.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "nat/tcp_internal.h"

struct tcp_key tcp_key_of(const struct ip_endpoint *guest, const struct ip_endpoint *remote)
{
	const struct ip_endpoint *ends[2] = { guest, remote };
	struct tcp_key key = { .size = 0 };

	for (size_t i = 0; i < 2; i++) {
		size_t size = ip_addr_size(&ends[i]->addr);

		memcpy(key.bytes + key.size, ends[i]->addr.octet, size);
		memcpy(key.bytes + key.size + size, &ends[i]->port, 2);
		key.size += size + 2;
	}
	return key;
}

struct lookup {
	const struct ip_endpoint *guest;
	const struct ip_endpoint *remote;
};

static bool match(const void *context, uint32_t entry, const void *key)
{
	const struct tcp_table *table = context;
	const struct tcp_flow *flow = &table->flows[entry];
	const struct lookup *lookup = key;

	return ip_endpoint_equal(&flow->guest, lookup->guest) &&
	       ip_endpoint_equal(&flow->remote, lookup->remote);
}

static uint32_t hash_of(const struct tcp_table *table, const struct ip_endpoint *guest,
			const struct ip_endpoint *remote)
{
	struct tcp_key key = tcp_key_of(guest, remote);

	return index_hash(&table->index, key.bytes, key.size);
}

static uint32_t number_of(const struct tcp_flow *flow)
{
	return (uint32_t)(flow - flow->table->flows);
}

static struct list *port_list(struct tcp_table *table, uint32_t port)
{
	uint32_t most = table->nat->config.port_capacity;

	return &table->half_open_port[port < most ? port : most];
}

struct tcp_flow *tcp_flow_find(struct tcp_table *table, const struct ip_endpoint *guest,
			       const struct ip_endpoint *remote)
{
	struct lookup lookup = { .guest = guest, .remote = remote };
	uint32_t entry =
		index_find(&table->index, hash_of(table, guest, remote), match, table, &lookup);

	return entry == INDEX_NONE ? NULL : &table->flows[entry];
}

struct tcp_flow *tcp_half_open_oldest(struct tcp_table *table, uint32_t port)
{
	struct list *node = list_first(port_list(table, port));

	return node ? container_of(node, struct tcp_flow, port_node) : NULL;
}

/* Black-holed connections must not use up what new ones need: first those of the port itself, then
 * those of the port that has the most flows. */
static bool take_budget(struct tcp_table *table, uint32_t port)
{
	struct budget *budget = &table->nat->budget;
	uint32_t from = port;
	struct tcp_flow *oldest;

	if (budget_take(budget, port))
		return true;
	oldest = tcp_half_open_oldest(table, from);
	if (!oldest) {
		from = budget_richest(budget, port);
		oldest = tcp_half_open_oldest(table, from);
	}
	if (!oldest || oldest->charged_port != from)
		return false;
	nat_drop(table->nat, DROP_HALF_OPEN_LIMIT);
	tcp_end_silent(oldest);
	return budget_take(budget, port);
}

static uint32_t take_entry(struct tcp_table *table)
{
	uint32_t entry = table->first_free;

	if (entry == INDEX_NONE && table->touched < table->capacity)
		return table->touched++;
	if (entry == INDEX_NONE) {
		struct list *node = list_first(&table->time_wait);

		if (!node)
			return INDEX_NONE;
		tcp_flow_free(container_of(node, struct tcp_flow, age_node));
		entry = table->first_free;
	}
	table->first_free = table->flows[entry].next_free;
	return entry;
}

struct tcp_flow *tcp_flow_new(struct tcp_table *table, uint32_t port)
{
	struct tcp_flow *flow;
	uint32_t entry;

	if (!take_budget(table, port))
		return NULL;
	entry = take_entry(table);
	if (entry == INDEX_NONE) {
		budget_give(&table->nat->budget, port);
		return NULL;
	}
	flow = &table->flows[entry];
	*flow = (struct tcp_flow){
		.table = table,
		.review = table->nat->review.number,
		.port = port,
		.charged_port = port,
		.has_budget = true,
	};
	host_socket_init(&flow->socket, tcp_host_ready);
	list_init(&flow->work_node);
	list_init(&flow->wait_node);
	list_init(&flow->delay_node);
	list_init(&flow->age_node);
	list_init(&flow->port_node);
	tcp_timer_init(flow);
	tcp_buffer_init(&flow->buffer);
	table->live++;
	return flow;
}

void tcp_flow_set_ends(struct tcp_flow *flow, const struct ip_endpoint *guest,
		       const struct ip_endpoint *remote)
{
	struct tcp_table *table = flow->table;

	flow->guest = *guest;
	flow->remote = *remote;
	flow->hash = hash_of(table, guest, remote);
	flow->is_indexed = index_insert(&table->index, flow->hash, number_of(flow));
	assert(flow->is_indexed); /* it holds as many as the table */
}

void tcp_flow_unindex(struct tcp_flow *flow)
{
	if (flow->is_indexed)
		index_remove(&flow->table->index, flow->hash, number_of(flow));
	flow->is_indexed = false;
}

void tcp_flow_give_budget(struct tcp_flow *flow)
{
	if (!flow->has_budget)
		return;
	budget_give(&flow->table->nat->budget, flow->charged_port);
	flow->has_budget = false;
	flow->table->live--;
}

void tcp_flow_free(struct tcp_flow *flow)
{
	struct tcp_table *table = flow->table;
	struct timers *timers = nat_timers(table->nat);

	assert(flow->phase != TCP_PHASE_FREE && flow->socket.fd == -1);
	tcp_open_tell(flow, -ECONNABORTED);
	tcp_flow_unindex(flow);
	if (flow->phase == TCP_PHASE_TIME_WAIT)
		table->time_wait_count--;
	tcp_flow_end_half_open(flow);
	timer_clear(timers, &flow->retransmit);
	timer_clear(timers, &flow->idle);
	list_remove(&flow->work_node);
	list_remove(&flow->wait_node);
	list_remove(&flow->delay_node);
	tcp_delay_rest(table);
	list_remove(&flow->age_node);
	tcp_buffer_clear(&flow->buffer, &table->pool);
	tcp_backlog_clear(&flow->backlog, &table->pool);
	tcp_flow_give_budget(flow);
	flow->phase = TCP_PHASE_FREE;
	flow->next_free = table->first_free;
	table->first_free = number_of(flow);
	tcp_table_feed_starved(table);
}

void tcp_flow_set_port(struct tcp_flow *flow, uint32_t port)
{
	struct budget *budget = &flow->table->nat->budget;

	flow->port = port;
	if (flow->charged_port == port || !flow->has_budget || !budget_take(budget, port))
		return;
	budget_give(budget, flow->charged_port);
	flow->charged_port = port;
}

bool tcp_flow_begin_half_open(struct tcp_flow *flow)
{
	struct tcp_table *table = flow->table;
	struct budget *budget = &table->half_open_budget;

	/* More than one only where a port is beyond the share it has now that others came, once: what
	 * goes here was paid for by a SYN each. */
	while (!budget_take(budget, flow->port)) {
		struct tcp_flow *oldest =
			tcp_half_open_oldest(table, budget_richest(budget, flow->port));

		nat_drop(table->nat, DROP_HALF_OPEN_LIMIT);
		if (!oldest)
			return false;
		tcp_end_silent(oldest);
	}
	flow->is_half_open = true;
	list_append(port_list(table, flow->port), &flow->port_node);
	return true;
}

void tcp_flow_end_half_open(struct tcp_flow *flow)
{
	if (!flow->is_half_open)
		return;
	flow->is_half_open = false;
	budget_give(&flow->table->half_open_budget, flow->port);
	list_remove(&flow->port_node);
}

struct tcp_backlog_source tcp_flow_source(struct tcp_flow *flow)
{
	return (struct tcp_backlog_source){
		.host = tcp_flow_host(flow),
		.socket = &flow->socket,
		.pool = &flow->table->pool,
		.port = flow->port,
		.scratch = flow->table->scratch,
	};
}

static void add_work(struct tcp_flow *flow)
{
	struct tcp_table *table = flow->table;

	if (!list_is_linked(&flow->work_node))
		list_append(&table->work, &flow->work_node);
	loop_defer(table->nat->context.loop, &table->deferred);
}

void tcp_flow_want_send(struct tcp_flow *flow)
{
	flow->send_wanted = true;
	add_work(flow);
}

void tcp_flow_owe_ack(struct tcp_flow *flow)
{
	flow->ack_owed = true;
	add_work(flow);
}

void tcp_table_feed_starved(struct tcp_table *table)
{
	if (list_is_empty(&table->starved))
		return;
	table->fed = true;
	loop_defer(table->nat->context.loop, &table->deferred);
}
