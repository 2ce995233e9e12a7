#include "gateway/neighbour_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

static bool match_addr(const void *context, uint32_t entry, const void *key)
{
	const struct neighbour_table *table = context;

	return ip_addr_equal(&table->entries[entry].addr, key);
}

static uint32_t hash_addr(const struct neighbour_table *table, const struct ip_addr *addr)
{
	return index_hash(&table->by_addr, addr->octet, ip_addr_size(addr));
}

static struct neighbour_entry *find(const struct neighbour_table *table, const struct ip_addr *addr)
{
	uint32_t entry =
		index_find(&table->by_addr, hash_addr(table, addr), match_addr, table, addr);

	return entry == INDEX_NONE ? NULL : &table->entries[entry];
}

static void forget(struct neighbour_table *table, struct neighbour_entry *entry)
{
	index_remove(&table->by_addr, hash_addr(table, &entry->addr),
		     (uint32_t)(entry - table->entries));
	entry->addr = (struct ip_addr){ .family = IP_FAMILY_NONE };
	list_remove(&entry->node);
	list_append(&table->free, &entry->node);
}

static struct neighbour_entry *entry_of(struct list *node)
{
	return container_of(node, struct neighbour_entry, node);
}

/* Only new addresses come here, and one pass over a bounded list is what they cost. */
static void make_room(struct neighbour_table *table, uint32_t port)
{
	struct neighbour_entry *oldest = NULL;
	uint32_t held = 0;

	list_for_each_safe(node, following, &table->by_age)
	{
		struct neighbour_entry *entry = entry_of(node);

		if (entry->port != port)
			continue;
		held++;
		if (!oldest)
			oldest = entry;
	}
	if (held >= NEIGHBOUR_TABLE_PORT_SHARE)
		forget(table, oldest);
	else if (list_is_empty(&table->free))
		forget(table, entry_of(table->by_age.next));
}

static void touch(struct neighbour_table *table, struct neighbour_entry *entry, uint64_t now_ns)
{
	entry->seen_ns = now_ns;
	list_remove(&entry->node);
	list_append(&table->by_age, &entry->node);
}

bool neighbour_table_learn(struct neighbour_table *table, const struct ip_addr *addr,
			   const struct mac_addr *mac, uint32_t port, uint64_t now_ns)
{
	struct neighbour_entry *entry = find(table, addr);
	bool inserted;

	if (entry && entry->port != port && now_ns - entry->seen_ns < NEIGHBOUR_HOLD_S * NS_PER_S)
		return false;
	if (!entry) {
		make_room(table, port);
		assert(!list_is_empty(&table->free));
		entry = entry_of(table->free.next);
		entry->addr = *addr;
		inserted = index_insert(&table->by_addr, hash_addr(table, addr),
					(uint32_t)(entry - table->entries));
		assert(inserted); /* the index has room for every entry */
	}
	entry->mac = *mac;
	entry->port = port;
	touch(table, entry, now_ns);
	return true;
}

const struct neighbour_entry *neighbour_table_find(const struct neighbour_table *table,
						   const struct ip_addr *addr)
{
	return find(table, addr);
}

void neighbour_table_port_gone(struct neighbour_table *table, uint32_t port)
{
	list_for_each_safe(node, following, &table->by_age)
	{
		struct neighbour_entry *entry = entry_of(node);

		if (entry->port == port)
			forget(table, entry);
	}
}

int neighbour_table_init(struct neighbour_table *table, uint32_t capacity, struct random *random)
{
	*table = (struct neighbour_table){ .capacity = capacity };
	list_init(&table->by_age);
	list_init(&table->free);
	table->entries = calloc(capacity, sizeof(*table->entries));
	if (!table->entries || index_init(&table->by_addr, capacity, random) < 0) {
		neighbour_table_done(table);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < capacity; i++)
		list_append(&table->free, &table->entries[i].node);
	return 0;
}

void neighbour_table_done(struct neighbour_table *table)
{
	index_done(&table->by_addr);
	free(table->entries);
	table->entries = NULL;
}
