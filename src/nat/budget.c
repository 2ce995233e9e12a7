#include "nat/budget.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define BUDGET_KEPT_PART 8

int budget_init(struct budget *budget, uint32_t capacity, uint32_t port_capacity)
{
	*budget = (struct budget){ .capacity = capacity, .port_capacity = port_capacity };
	budget->port_used = calloc(port_capacity, sizeof(*budget->port_used));
	return budget->port_used ? 0 : -ENOMEM;
}

void budget_done(struct budget *budget)
{
	free(budget->port_used);
	*budget = (struct budget){};
}

void budget_keep_back(struct budget *budget)
{
	uint32_t part = budget->capacity / BUDGET_KEPT_PART;

	if (budget->port_capacity > 1 && part >= BUDGET_PORT_MIN)
		budget->kept_back = part;
}

/* A port that has no flow yet counts as one more that wants its share. */
static uint32_t budget_share(const struct budget *budget, uint32_t port)
{
	uint32_t ports = budget->ports_in_use + (budget->port_used[port] == 0 ? 1 : 0);
	uint32_t share = budget->capacity / (ports > 0 ? ports : 1);

	return share > BUDGET_PORT_MIN ? share : BUDGET_PORT_MIN;
}

bool budget_has_room(const struct budget *budget, uint32_t port)
{
	bool is_poor = port < budget->port_capacity && budget->port_used[port] < BUDGET_PORT_MIN;

	if (budget->used >= budget->capacity - (is_poor ? 0 : budget->kept_back))
		return false;
	return port >= budget->port_capacity ||
	       budget->port_used[port] < budget_share(budget, port);
}

bool budget_take(struct budget *budget, uint32_t port)
{
	if (!budget_has_room(budget, port))
		return false;
	if (port < budget->port_capacity && budget->port_used[port]++ == 0)
		budget->ports_in_use++;
	budget->used++;
	return true;
}

uint32_t budget_richest(const struct budget *budget, uint32_t port)
{
	uint32_t richest = port;

	if (port >= budget->port_capacity || budget->port_used[port] >= budget_share(budget, port))
		return port;
	for (uint32_t i = 0; i < budget->port_capacity; i++) {
		if (budget->port_used[i] > budget->port_used[richest])
			richest = i;
	}
	return richest;
}

void budget_give(struct budget *budget, uint32_t port)
{
	assert(budget->used > 0);
	budget->used--;
	if (port >= budget->port_capacity)
		return;
	assert(budget->port_used[port] > 0);
	if (--budget->port_used[port] == 0)
		budget->ports_in_use--;
}
