#pragma once
/*
 * Keyed index: finds the number of a table entry by a key that a guest may have chosen. The table
 * itself belongs to the caller; the index holds only hashes and entry numbers, in a fixed number of
 * slots (open addressing, linear probing, deletion by back-shifting). It never grows.
 *
 * Several entries may have one key. They are found in the order they were inserted: each goes behind
 * those of its hash, and back-shifting does not turn their order round.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/siphash.h"

#define INDEX_NONE UINT32_MAX

struct random;

/* All zero = free, so that the memory of an index that is not used is never touched. */
struct index_slot {
	uint32_t hash;
	uint32_t entry_plus_one;
};

struct index {
	struct siphash_key key;
	struct index_slot *slots;
	uint32_t mask;
	uint32_t used;
	uint32_t capacity; /* entries that may be in at once; slots are at least twice as many */
};

/* 0 or -ENOMEM. */
int index_init(struct index *index, uint32_t capacity, struct random *random) MUST_USE;
void index_done(struct index *index);

uint32_t index_hash(const struct index *index, const void *key, size_t size);

/* True when `entry` is the one that is looked for. */
typedef bool index_match_fn(const void *context, uint32_t entry, const void *key);

/* The first entry with that hash for which match says true, or INDEX_NONE. */
uint32_t index_find(const struct index *index, uint32_t hash, index_match_fn *match,
		    const void *context, const void *key);
/* False when the capacity is reached. */
bool index_insert(struct index *index, uint32_t hash, uint32_t entry) MUST_USE;
/* Takes out that very entry; it must be in. */
void index_remove(struct index *index, uint32_t hash, uint32_t entry);
