#pragma once
/*
 * Forwarding database: which port a MAC lives behind. Fixed size, a share for each port, keyed by a
 * hash the guests do not know. A MAC stays with the port that showed it first until that port goes:
 * a guest cannot take a neighbour's frames by borrowing its MAC.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/index.h"

enum fdb_verdict {
	FDB_KNOWN,
	FDB_LEARNT,
	FDB_MOVED, /* another port has it */
	FDB_FULL,  /* the table's or the port's share is used up */
};

struct fdb_entry {
	struct mac_addr mac;
	uint32_t port;
};

struct fdb {
	struct index index;
	struct fdb_entry *entries;
	uint32_t *free; /* stack of unused entries */
	uint32_t free_count;
	uint32_t capacity;
	uint32_t *port_used; /* [port_capacity] */
	uint32_t port_capacity;
	uint32_t per_port;
};

/* 0 or -ENOMEM. */
int fdb_init(struct fdb *fdb, uint32_t port_capacity, uint32_t per_port,
	     struct random *random) MUST_USE;
void fdb_done(struct fdb *fdb);

enum fdb_verdict fdb_learn(struct fdb *fdb, const struct mac_addr *mac, uint32_t port) MUST_USE;
/* False: nobody showed that MAC. */
bool fdb_find(const struct fdb *fdb, const struct mac_addr *mac, uint32_t *ret_port) MUST_USE;
void fdb_forget_port(struct fdb *fdb, uint32_t port);
