/*
 * A port that has all the half-open connections it may have pays for each new one with its oldest:
 * three system calls to open, two to end. Where that happens as often as a guest can say SYN, its own
 * other connections and those of its neighbours wait for it. So such SYNs have a price limit per
 * turn of the loop; those beyond it are dropped, as a full backlog of any listener would do, and are
 * repeated by the guest.
 *
 * A SYN for the very address that the oldest one waits for in vain gains the least: one vain attempt
 * for another. Of these few are let in, so that in a flood into one hole the connections that go
 * elsewhere find their way by their first SYN.
 */
#include "nat/tcp_internal.h"

#define TCP_FLOOD_SAME_PER_TURN 8
#define TCP_FLOOD_ALL_PER_TURN	32

static bool has_its_share(const struct tcp_table *table, uint32_t port)
{
	const struct budget *half_open = &table->half_open_budget;
	const struct budget *flows = &table->nat->budget;

	return !budget_has_room(flows, port) ||
	       (!budget_has_room(half_open, port) && budget_richest(half_open, port) == port);
}

bool tcp_flood_admits(struct tcp_table *table, uint32_t port, const struct ip_endpoint *remote)
{
	const struct nat *nat = table->nat;
	uint64_t turn = loop_turn(nat->context.loop);
	const struct tcp_flow *oldest;
	struct tcp_flood *flood;

	if (!has_its_share(table, port))
		return true;
	oldest = tcp_half_open_oldest(table, port);
	if (!oldest) /* no half-open one of its own gives way */
		return true;
	flood = &table->floods[port < nat->config.port_capacity ? port : nat->config.port_capacity];
	if (flood->turn != turn)
		*flood = (struct tcp_flood){ .turn = turn };
	if (flood->all == TCP_FLOOD_ALL_PER_TURN)
		return false;
	if (ip_addr_equal(&oldest->remote.addr, &remote->addr)) {
		if (flood->same == TCP_FLOOD_SAME_PER_TURN)
			return false;
		flood->same++;
	}
	flood->all++;
	return true;
}
