#pragma once
/*
 * What others hold, and what the dead have left: for a process that holds nothing itself and does this for one
 * that can open no file any more (network/informant_server.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/error.h"
#include "registry/held_snapshot.h"
#include "registry/holding_store.h"

struct holding_watch {
	struct holding_store store;
	struct held_snapshot snapshot;
};

/* Errors as of registry_open(). */
int holding_watch_open(struct holding_watch *watch, const char *runtime_directory,
		       struct error *err) MUST_USE;
void holding_watch_close(struct holding_watch *watch);

/* As held_snapshot_ask(). */
void holding_watch_ask(struct holding_watch *watch, const struct ip_addr *addr, int64_t except,
		       uint64_t now_ns, struct held_answer *ret_answer);

/*
 * Removes what an owner has left in the records: 0. -EBUSY: it lives, and keeps everything. Others as
 * registry_open(). A dead one that stays is removed by whoever meets it.
 */
int holding_watch_bury(struct holding_watch *watch, int64_t owner, struct error *err) MUST_USE;
