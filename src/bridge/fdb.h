#pragma once
/*
 * Forwarding database: which port a MAC lives behind. Fixed size, a share for each port, keyed by a
 * hash the guests do not know. A MAC stays with the port that showed it first until that port goes:
 * a guest cannot take a neighbour's frames by borrowing its MAC, however long that was silent.
 *
 * Nothing ages by itself, because nobody else needs the room. Only where a port's own share is full
 * does the MAC of that port that was silent the longest give way to a new one, and only after
 * FDB_AGE_S (IEEE 802.1Q 8.8.3): a guest whose containers come and go may go on for ever, and one
 * that makes up a MAC for each frame cannot push out those it really has.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/index.h"

#define FDB_AGE_S 300

enum fdb_verdict {
	FDB_KNOWN,
	FDB_LEARNT,
	FDB_MOVED, /* another port has it */
	FDB_FULL,  /* the port's share is used up, by MACs that were heard lately */
};

struct fdb_entry {
	struct mac_addr mac;
	bool in_use;
	uint64_t heard_ns;
};

struct fdb {
	struct index index;
	struct fdb_entry *entries; /* [port_capacity][per_port] */
	uint32_t port_capacity;
	uint32_t per_port;
};

/* 0 or -ENOMEM. */
int fdb_init(struct fdb *fdb, uint32_t port_capacity, uint32_t per_port,
	     struct random *random) MUST_USE;
void fdb_done(struct fdb *fdb);

/* `port` was heard to speak with that MAC. One look-up, unless it is new. */
enum fdb_verdict fdb_learn(struct fdb *fdb, const struct mac_addr *mac, uint32_t port,
			   uint64_t now_ns) MUST_USE;
/* False: nobody showed that MAC. */
bool fdb_find(const struct fdb *fdb, const struct mac_addr *mac, uint32_t *ret_port) MUST_USE;
void fdb_forget_port(struct fdb *fdb, uint32_t port);
