#include "bridge/fdb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

static bool fdb_match(const void *context, uint32_t entry, const void *key)
{
	const struct fdb *fdb = context;
	const struct mac_addr *mac = key;

	return mac_addr_equal(&fdb->entries[entry].mac, mac);
}

static uint32_t fdb_hash(const struct fdb *fdb, const struct mac_addr *mac)
{
	return index_hash(&fdb->index, mac, sizeof(*mac));
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
	fdb->entries = calloc(capacity, sizeof(*fdb->entries));
	if (!fdb->entries) {
		fdb_done(fdb);
		return -ENOMEM;
	}
	return 0;
}

void fdb_done(struct fdb *fdb)
{
	index_done(&fdb->index);
	free(fdb->entries);
	*fdb = (struct fdb){};
}

static void fdb_forget(struct fdb *fdb, uint32_t entry)
{
	index_remove(&fdb->index, fdb_hash(fdb, &fdb->entries[entry].mac), entry);
	fdb->entries[entry].in_use = false;
}

/* An entry of the port's own share: a free one, else the one that was silent the longest, if that is
 * long enough. INDEX_NONE: neither. */
static uint32_t fdb_make_room(struct fdb *fdb, uint32_t port, uint64_t now_ns)
{
	uint32_t first = port * fdb->per_port;
	uint32_t oldest = first;

	for (uint32_t entry = first; entry < first + fdb->per_port; entry++) {
		if (!fdb->entries[entry].in_use)
			return entry;
		if (fdb->entries[entry].heard_ns < fdb->entries[oldest].heard_ns)
			oldest = entry;
	}
	if (now_ns - fdb->entries[oldest].heard_ns < FDB_AGE_S * NS_PER_S)
		return INDEX_NONE;
	fdb_forget(fdb, oldest);
	return oldest;
}

enum fdb_verdict fdb_learn(struct fdb *fdb, const struct mac_addr *mac, uint32_t port,
			   uint64_t now_ns)
{
	uint32_t hash = fdb_hash(fdb, mac);
	uint32_t entry = index_find(&fdb->index, hash, fdb_match, fdb, mac);

	assert(port < fdb->port_capacity);
	if (entry != INDEX_NONE) {
		if (entry / fdb->per_port != port)
			return FDB_MOVED;
		fdb->entries[entry].heard_ns = now_ns;
		return FDB_KNOWN;
	}
	entry = fdb_make_room(fdb, port, now_ns);
	if (entry == INDEX_NONE)
		return FDB_FULL;
	bool inserted = index_insert(&fdb->index, hash, entry);
	assert(inserted); /* the index has room for every entry */
	fdb->entries[entry] = (struct fdb_entry){ .mac = *mac, .in_use = true, .heard_ns = now_ns };
	return FDB_LEARNT;
}

bool fdb_find(const struct fdb *fdb, const struct mac_addr *mac, uint32_t *ret_port)
{
	uint32_t entry = index_find(&fdb->index, fdb_hash(fdb, mac), fdb_match, fdb, mac);

	if (entry == INDEX_NONE)
		return false;
	*ret_port = entry / fdb->per_port;
	return true;
}

void fdb_forget_port(struct fdb *fdb, uint32_t port)
{
	uint32_t first = port * fdb->per_port;

	for (uint32_t entry = first; entry < first + fdb->per_port; entry++) {
		if (fdb->entries[entry].in_use)
			fdb_forget(fdb, entry);
	}
}
