#pragma once
/* The table of live holdings and their ports, in the runtime directory. A row is believed only
 * while its owner lives; find functions remove what they find of dead owners. */

#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/error.h"
#include "registry/registry.h"
#include "registry/registry_database.h"

struct holding_store {
	struct registry_database database;
	int directory_fd;
	int lock_fd;	  /* our owner file, -1 until the first row */
	int64_t owner;	  /* 0 until the first row */
	uint64_t lengths; /* bit n: rows of prefix length n may exist; valid in a transaction */
};

struct holding_row {
	int64_t id;
	int64_t owner;
	struct ip_prefix subnet;
	struct ip_addr guest;
	char label[REGISTRY_LABEL_SIZE];
};

int holding_store_open(struct holding_store *store, const char *directory,
		       struct error *err) MUST_USE;
/* Removes our owner file. Fine after a failed open. */
void holding_store_close(struct holding_store *store);

/* Closes the records for good, ours in them stay as they are; the lock that proves our life stays until the close. */
void holding_store_leave(struct holding_store *store);

/* All others are called between these two; rollback is fine without a transaction. */
int holding_store_begin(struct holding_store *store, struct error *err) MUST_USE;
int holding_store_commit(struct holding_store *store, struct error *err) MUST_USE;
void holding_store_rollback(struct holding_store *store);

/* 1 with a live holding that overlaps the prefix, 0 without one, or negative errno. */
int holding_store_find(struct holding_store *store, const struct ip_prefix *prefix,
		       struct holding_row *ret_row, struct error *err) MUST_USE;
/* The live holding of that key of that state directory: 1, 0 or negative errno. */
int holding_store_find_key(struct holding_store *store, const char *state, const char *key,
			   struct holding_row *ret_row, struct error *err) MUST_USE;
/* A live holding with a conflicting port: 1, 0 or negative errno. */
int holding_store_find_port(struct holding_store *store, uint8_t protocol,
			    const struct ip_endpoint *at, struct holding_row *ret_row,
			    struct error *err) MUST_USE;

/* The first row makes our owner file. label is cut to its size; key may be NULL. */
int holding_store_insert(struct holding_store *store, const struct ip_prefix *subnet,
			 const struct ip_addr *guest, const char *label, const char *state,
			 const char *key, int64_t *ret_id, struct error *err) MUST_USE;
/* Gives it another key and label; fine when it has not the key `from` (any more). */
int holding_store_rename(struct holding_store *store, int64_t id, const char *from, const char *to,
			 const char *label, struct error *err) MUST_USE;
int holding_store_remove(struct holding_store *store, int64_t id, struct error *err) MUST_USE;
int holding_store_add_port(struct holding_store *store, int64_t id, uint8_t protocol,
			   const struct ip_endpoint *at, struct error *err) MUST_USE;
int holding_store_remove_port(struct holding_store *store, int64_t id, uint8_t protocol,
			      const struct ip_endpoint *at, struct error *err) MUST_USE;
/* Removes all that a dead owner has: 0; -EBUSY: it lives. */
int holding_store_bury(struct holding_store *store, int64_t owner, struct error *err) MUST_USE;
