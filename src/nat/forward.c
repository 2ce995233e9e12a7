/*
 * Theory of operation
 *
 * A forward is a bound socket and the guest endpoint it leads to. TCP: each connection that waits
 * becomes a flow (tcp.h); when no descriptor is left, accepting pauses for a moment and never spins,
 * because sockets are edge-triggered and the pause is a timer. UDP: the socket is handed to udp.c,
 * which sends the guest's own datagrams by it, too. They are shown in the order they were added (a
 * list), and found by what a packet says (forward_index.h).
 */

#include "nat/forward.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "nat/forward_index.h"
#include "nat/tcp.h"
#include "nat/udp.h"

/* Connections accepted from one listener before others get their turn. */
#define FORWARD_ACCEPT_BATCH 64
#define FORWARD_PAUSE_NS     (100 * NS_PER_MS)

struct forward {
	struct list node;
	struct nat *nat;
	struct nat_forward rule;
	struct host_socket socket;
	struct timer again; /* more waits, or accepting pauses */
};

struct forward_table {
	struct nat *nat;
	struct list forwards; /* in the order added */
	struct forward_index index;
};

static struct forward *forward_of(struct list *node)
{
	return container_of(node, struct forward, node);
}

/* Every rule in the index is part of a forward. */
static struct forward *forward_of_rule(const struct nat_forward *rule)
{
	return container_of((void *)(uintptr_t)rule, struct forward, rule);
}

static void forward_accept(struct forward *forward)
{
	struct nat *nat = forward->nat;
	int status = 0;

	for (unsigned i = 0; i < FORWARD_ACCEPT_BATCH && status == 0; i++)
		status = tcp_accept_to_guest(nat, &forward->socket, &forward->rule.internal);
	if (status == -EAGAIN)
		return;
	if (status == -EMFILE || status == -ENFILE)
		nat_drop(nat, DROP_SOCKET_LIMIT);
	/* The edge has been used up, so ask again: at once for more, later after an error. */
	timer_set(nat_timers(nat), &forward->again,
		  nat_now(nat) + (status == 0 ? 0 : FORWARD_PAUSE_NS));
}

static void forward_serve(struct forward *forward, uint32_t events)
{
	struct nat *nat = forward->nat;

	if (forward->rule.protocol == NAT_PROTOCOL_TCP)
		forward_accept(forward);
	else if (udp_forward_ready(nat, &forward->rule, &forward->socket, events))
		timer_set(nat_timers(nat), &forward->again, nat_now(nat));
}

static void forward_again(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	/* Whatever became ready meanwhile. */
	forward_serve(container_of(timer, struct forward, again), EPOLLIN | EPOLLERR);
}

static void forward_ready(struct host_socket *socket, uint32_t events)
{
	struct forward *forward = container_of(socket, struct forward, socket);

	/* While accepting pauses, what waits is taken when the pause is over. */
	if (!timer_is_set(&forward->again))
		forward_serve(forward, events);
}

int forward_table_new(struct nat *nat, struct forward_table **ret_table)
{
	struct forward_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	int status = forward_index_init(&table->index, nat->context.random);
	if (status < 0) {
		free(table);
		return status;
	}
	table->nat = nat;
	list_init(&table->forwards);
	*ret_table = table;
	return 0;
}

static void forward_free(struct forward_table *table, struct forward *forward)
{
	struct nat *nat = table->nat;

	if (forward->rule.protocol == NAT_PROTOCOL_UDP)
		udp_forward_gone(nat, &forward->socket);
	timer_clear(nat_timers(nat), &forward->again);
	host_call(nat->context.host, close, &forward->socket);
	list_remove(&forward->node);
	forward_index_remove(&table->index, &forward->rule);
	free(forward);
}

struct forward_table *forward_table_free(struct forward_table *table)
{
	if (!table)
		return NULL;
	list_for_each_safe(node, next, &table->forwards) forward_free(table, forward_of(node));
	forward_index_done(&table->index);
	free(table);
	return NULL;
}

static int forward_open(struct forward *forward, struct ip_endpoint *ret_bound)
{
	struct host *host = forward->nat->context.host;
	const struct ip_endpoint *at = &forward->rule.external;

	host_socket_init(&forward->socket, forward_ready);
	timer_init(&forward->again, forward_again);
	if (forward->rule.protocol == NAT_PROTOCOL_TCP)
		return host_call(host, tcp_listen, &forward->socket, at, ret_bound);
	if (forward->rule.protocol == NAT_PROTOCOL_UDP)
		return host_call(host, udp_open, &forward->socket, at, ret_bound);
	return -EINVAL;
}

int nat_forward_add(struct nat *nat, const struct nat_forward *rule, struct ip_endpoint *ret_bound)
{
	struct forward_table *table = nat->forwards;
	struct forward *forward;

	/* The same socket would be bound twice; what only overlaps is the kernel's to judge. */
	if (rule->external.port != 0 &&
	    forward_index_exact(&table->index, rule->protocol, &rule->external))
		return -EEXIST;
	if (table->index.count == FORWARD_INDEX_MOST)
		return -ENOSPC;
	forward = calloc(1, sizeof(*forward));
	if (!forward)
		return -ENOMEM;
	forward->nat = nat;
	forward->rule = *rule;
	int status = forward_open(forward, &forward->rule.external);
	if (status < 0) {
		free(forward);
		return status;
	}
	forward_index_add(&table->index, &forward->rule);
	list_append(&table->forwards, &forward->node);
	*ret_bound = forward->rule.external;
	return 0;
}

int nat_forward_remove(struct nat *nat, uint8_t protocol, const struct ip_endpoint *external)
{
	const struct nat_forward *rule =
		forward_index_exact(&nat->forwards->index, protocol, external);

	if (!rule)
		return -ENOENT;
	forward_free(nat->forwards, forward_of_rule(rule));
	return 0;
}

size_t nat_forwards(const struct nat *nat, struct nat_forward *ret_forwards, size_t capacity)
{
	size_t count = 0;

	list_for_each_safe(node, next, &nat->forwards->forwards)
	{
		if (count < capacity)
			ret_forwards[count] = forward_of(node)->rule;
		count++;
	}
	return count;
}

const struct nat_forward *forward_find_port(const struct nat *nat, uint8_t protocol, uint16_t port)
{
	return forward_index_port(&nat->forwards->index, protocol, port);
}

const struct nat_forward *forward_find(const struct nat *nat, uint8_t protocol,
				       const struct ip_endpoint *at)
{
	return forward_index_listening(&nat->forwards->index, protocol, at);
}

struct host_socket *forward_udp_socket(const struct nat *nat, const struct ip_endpoint *guest,
				       const struct nat_forward **ret_forward)
{
	const struct nat_forward *rule =
		forward_index_leading_to(&nat->forwards->index, NAT_PROTOCOL_UDP, guest);

	if (!rule)
		return NULL;
	*ret_forward = rule;
	return &forward_of_rule(rule)->socket;
}
