/*
 * Theory of operation
 *
 * A mapping's own socket has a port that the kernel chose: one of some ten thousands that all programs of
 * the host draw from. Each source port of a guest is a mapping (RFC 4787 4.1), so one that sends a datagram
 * from each would leave none to anybody else. So there is a budget of such sockets, a part of the range
 * (network/stages.c), with a share for each bridge port. Forwards have their sockets by themselves.
 *
 * A guest that used up its share loses the socket that it used longest ago, if that rests, as where the
 * flow table is full. One that has not, and finds that others took what there is, takes it back from
 * whoever has the most, resting or not: else it would have to wait for as long as those keep talking.
 */

#include "nat/udp_table.h"

/* Mappings without a socket of their own live by a forward's: there are never many. */
static struct udp_mapping *udp_oldest_open(struct udp_table *table, uint32_t port)
{
	list_for_each_safe(node, next, port_lists_of(&table->mapping_idle, port))
	{
		struct udp_mapping *mapping = container_of(node, struct udp_mapping, idle);

		if (mapping->socket.fd >= 0)
			return mapping;
	}
	return NULL;
}

static bool udp_give_way(struct udp_table *table, uint32_t port)
{
	uint32_t from = budget_richest(&table->sockets, port);
	struct udp_mapping *oldest = udp_oldest_open(table, from);

	if (!oldest)
		return false;
	if (from == port && nat_now(table->nat) - oldest->last_ns < UDP_QUESTION_NS)
		return false;
	nat_drop(table->nat, DROP_UDP_PORT_LIMIT);
	udp_mapping_free(oldest);
	return true;
}

bool udp_mapping_open(struct udp_mapping *mapping)
{
	const struct ip_endpoint any = { .addr = ip_addr_from_v4(INADDR_ANY) };
	struct nat *nat = mapping->nat;
	struct budget *sockets = &nat->shard.udp->sockets;
	uint32_t port = mapping->budget_port;
	struct ip_endpoint bound;

	if (!budget_take(sockets, port) &&
	    (!udp_give_way(nat->shard.udp, port) || !budget_take(sockets, port))) {
		nat_drop(nat, DROP_UDP_PORT_LIMIT);
		return false;
	}
	if (host_call(nat->context.host, udp_open, &mapping->socket, &any, &bound) == 0)
		return true;
	budget_give(sockets, port);
	nat_drop(nat, DROP_SOCKET_LIMIT);
	return false;
}

void udp_mapping_close(struct udp_mapping *mapping)
{
	struct nat *nat = mapping->nat;

	if (mapping->socket.fd < 0)
		return;
	host_call(nat->context.host, close, &mapping->socket);
	budget_give(&nat->shard.udp->sockets, mapping->budget_port);
}
