#include "registry/holding_watch.h"

int holding_watch_open(struct holding_watch *watch, const char *runtime_directory,
		       struct error *err)
{
	int result = holding_store_open(&watch->store, runtime_directory, err);

	if (result < 0)
		return result;
	result = held_snapshot_open(&watch->snapshot, watch->store.database.path,
				    watch->store.directory_fd, err);
	if (result < 0)
		holding_store_close(&watch->store);
	return result;
}

void holding_watch_close(struct holding_watch *watch)
{
	held_snapshot_close(&watch->snapshot);
	holding_store_close(&watch->store);
}

void holding_watch_ask(struct holding_watch *watch, const struct ip_addr *addr, int64_t except,
		       uint64_t now_ns, struct held_answer *ret_answer)
{
	held_snapshot_ask(&watch->snapshot, addr, except, now_ns, ret_answer);
}

int holding_watch_bury(struct holding_watch *watch, int64_t owner, struct error *err)
{
	int result = holding_store_begin(&watch->store, err);

	if (result == 0)
		result = holding_store_bury(&watch->store, owner, err);
	if (result == 0)
		result = holding_store_commit(&watch->store, err);
	holding_store_rollback(&watch->store);
	return result;
}
