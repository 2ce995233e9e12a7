#pragma once
/* The table of assignments (key -> subnet and guest address), in the state directory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/error.h"
#include "registry/registry.h"
#include "registry/registry_database.h"

struct assignment_store {
	struct registry_database database;
	char *directory;  /* resolved: two paths to one directory give one text */
	uint64_t lengths; /* bit n: rows of prefix length n may exist; valid in a transaction */
};

int assignment_store_open(struct assignment_store *store, const char *directory,
			  struct error *err) MUST_USE;
/* Fine after a failed open. */
void assignment_store_close(struct assignment_store *store);

/* All others are called between these two; rollback is fine without a transaction. */
int assignment_store_begin(struct assignment_store *store, bool write, struct error *err) MUST_USE;
int assignment_store_commit(struct assignment_store *store, struct error *err) MUST_USE;
void assignment_store_rollback(struct assignment_store *store);

/* 1 with the assignment, 0 without one, or negative errno. */
int assignment_store_get(struct assignment_store *store, const char *key,
			 struct registry_assignment *ret_assignment, struct error *err) MUST_USE;
/* One that overlaps the prefix, of another key than `key` (NULL = of any): 1, 0, negative errno. */
int assignment_store_find_other(struct assignment_store *store, const struct ip_prefix *prefix,
				const char *key, struct registry_assignment *ret_assignment,
				struct error *err) MUST_USE;
/* Adds or replaces. */
int assignment_store_put(struct assignment_store *store, const char *key,
			 const struct ip_prefix *subnet, const struct ip_addr *guest,
			 struct error *err) MUST_USE;
/* The caller knows that the key has one. */
int assignment_store_remove(struct assignment_store *store, const char *key,
			    struct error *err) MUST_USE;
/* What `to` has is replaced. The caller knows that `from` has one, and is another key. */
int assignment_store_rename(struct assignment_store *store, const char *from, const char *to,
			    struct error *err) MUST_USE;
/* All, by key; the caller frees the array. */
int assignment_store_list(struct assignment_store *store,
			  struct registry_assignment **ret_assignments, size_t *ret_count,
			  struct error *err) MUST_USE;
