#include "bridge/fdb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static bool fdb_match(const void *context, uint32_t entry, const void *key)
{
	const struct fdb *fdb = context;
	const struct mac_addr *mac = key;

	return mac_addr_equal(&fdb->entries[entry].mac, mac);
}

static uint32_t fdb_entry_of(const struct fdb *fdb, const struct mac_addr *mac, uint32_t *ret_hash)
{
	*ret_hash = index_hash(&fdb->index, mac, sizeof(*mac));
	return index_find(&fdb->index, *ret_hash, fdb_match, fdb, mac);
}

int fdb_init(struct fdb *fdb, uint32_t port_capacity, uint32_t per_port, struct random *random)
{
	uint32_t capacity;

	*fdb = (struct fdb){ .port_capacity = port_capacity, .per_port = per_port };
	if (__builtin_mul_overflow(port_capacity, per_port, &capacity))
		return -ENOMEM;
	int status = index_init(&fdb->index, capacity, random);
	if (status < 0)
		return status;
	fdb->capacity = capacity;
	fdb->entries = calloc(capacity, sizeof(*fdb->entries));
	fdb->free = calloc(capacity, sizeof(*fdb->free));
	fdb->port_used = calloc(port_capacity, sizeof(*fdb->port_used));
	if (!fdb->entries || !fdb->free || !fdb->port_used) {
		fdb_done(fdb);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < capacity; i++)
		fdb->free[i] = capacity - 1 - i;
	fdb->free_count = capacity;
	return 0;
}

void fdb_done(struct fdb *fdb)
{
	index_done(&fdb->index);
	free(fdb->entries);
	free(fdb->free);
	free(fdb->port_used);
	*fdb = (struct fdb){};
}

enum fdb_verdict fdb_learn(struct fdb *fdb, const struct mac_addr *mac, uint32_t port)
{
	uint32_t hash;
	uint32_t entry = fdb_entry_of(fdb, mac, &hash);

	assert(port < fdb->port_capacity);
	if (entry != INDEX_NONE)
		return fdb->entries[entry].port == port ? FDB_KNOWN : FDB_MOVED;
	if (fdb->free_count == 0 || fdb->port_used[port] >= fdb->per_port)
		return FDB_FULL;
	entry = fdb->free[fdb->free_count - 1];
	if (!index_insert(&fdb->index, hash, entry))
		return FDB_FULL;
	fdb->free_count--;
	fdb->port_used[port]++;
	fdb->entries[entry] = (struct fdb_entry){ .mac = *mac, .port = port };
	return FDB_LEARNT;
}

bool fdb_find(const struct fdb *fdb, const struct mac_addr *mac, uint32_t *ret_port)
{
	uint32_t hash;
	uint32_t entry = fdb_entry_of(fdb, mac, &hash);

	if (entry == INDEX_NONE)
		return false;
	*ret_port = fdb->entries[entry].port;
	return true;
}

static bool fdb_entry_in_use(const struct fdb *fdb, uint32_t entry, uint32_t *ret_hash)
{
	return !mac_addr_is_zero(&fdb->entries[entry].mac) &&
	       fdb_entry_of(fdb, &fdb->entries[entry].mac, ret_hash) == entry;
}

/* Walks the whole table: detaching is rare, and the table is ports times a few. */
void fdb_forget_port(struct fdb *fdb, uint32_t port)
{
	for (uint32_t entry = 0; entry < fdb->capacity && fdb->port_used[port] > 0; entry++) {
		uint32_t hash;

		if (fdb->entries[entry].port != port || !fdb_entry_in_use(fdb, entry, &hash))
			continue;
		index_remove(&fdb->index, hash, entry);
		fdb->entries[entry] = (struct fdb_entry){};
		fdb->free[fdb->free_count++] = entry;
		fdb->port_used[port]--;
	}
}
