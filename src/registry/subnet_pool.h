#pragma once
/*
 * The subnets that may be chosen, as ranges of numbers: prefixes to take from, less prefixes to
 * leave out, cut into aligned blocks of one length. Nothing here knows who holds what.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct subnet_range {
	uint32_t first; /* of its first block */
	uint32_t count; /* blocks, at least 1 */
};

struct subnet_pool {
	struct subnet_range *ranges; /* sorted, disjoint */
	size_t range_count;
	uint64_t count; /* blocks in all ranges */
	uint8_t length; /* of a block */
};

/* A list of prefixes; entries of the other family are ignored. */
struct subnet_list {
	const struct ip_prefix *prefixes;
	size_t count;
	bool ignore_default; /* entries of length 0 are default routes, not networks */
};

/* Blocks of `length` (1..30) that lie wholly inside a prefix of `from` and touch none of the
 * `without` lists. The lists may overlap themselves. 0 or -ENOMEM. */
int subnet_pool_init(struct subnet_pool *pool, uint8_t length, struct subnet_list from,
		     const struct subnet_list *without, size_t without_count) MUST_USE;
void subnet_pool_done(struct subnet_pool *pool);

/* Block number `number`, below pool->count, in ascending order. */
struct ip_prefix subnet_pool_at(const struct subnet_pool *pool, uint64_t number);
/* True when that block, of the pool's length, is one of the pool's. */
bool subnet_pool_contains(const struct subnet_pool *pool, const struct ip_prefix *block);
/* The first block that begins at or after `at`. `at` may be 2^32 (past the end). */
bool subnet_pool_next(const struct subnet_pool *pool, uint64_t at,
		      struct ip_prefix *ret_block) MUST_USE;

/*
 * Overlap as index ranges: among stored prefixes of length `stored_length`, those that overlap
 * `prefix` are the ones whose first address lies in [*ret_low, *ret_high]. A table with an index on
 * (length, first) so answers in one look-up for each length that is in use.
 */
void subnet_overlap_bounds(const struct ip_prefix *prefix, uint8_t stored_length, uint32_t *ret_low,
			   uint32_t *ret_high);
