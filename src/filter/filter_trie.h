#pragma once
/*
 * Prefixes of one family and what stands at each: a path-compressed binary trie in one array, built once
 * and then only read. A value is a number of the caller's.
 */

#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

#define FILTER_TRIE_NONE UINT32_MAX

struct filter_trie_node {
	uint8_t key[16];
	uint8_t length;	   /* bits of key that count */
	uint32_t child[2]; /* by the bit behind them; FILTER_TRIE_NONE */
	uint32_t value;	   /* FILTER_TRIE_NONE: only a fork */
};

/* All zero = empty. */
struct filter_trie {
	struct filter_trie_node *nodes; /* [0] is the root */
	uint32_t count;
	uint32_t capacity;
};

/*
 * *ret_value is where the value of that prefix stands, FILTER_TRIE_NONE if it is new; it is good until the
 * next call. The prefix is canonical, and of the same family as all others. 0 or -ENOMEM.
 */
int filter_trie_insert(struct filter_trie *trie, const struct ip_prefix *prefix,
		       uint32_t **ret_value) MUST_USE;
void filter_trie_done(struct filter_trie *trie);

/*
 * One prefix after the other that holds the address, the shortest first. *at begins as 0; returns the
 * next one that has a value, or NULL.
 */
const struct filter_trie_node *filter_trie_next(const struct filter_trie *trie,
						const struct ip_addr *addr, uint32_t *at);
