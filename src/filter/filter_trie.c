#include "filter/filter_trie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned trie_bit(const uint8_t key[16], unsigned at)
{
	return (key[at / 8] >> (7 - at % 8)) & 1;
}

/* How many bits both have in common, at most `most`. */
static unsigned trie_common(const uint8_t a[16], const uint8_t b[16], unsigned most)
{
	unsigned bits = 0;

	while (bits + 8 <= most && a[bits / 8] == b[bits / 8])
		bits += 8;
	while (bits < most && trie_bit(a, bits) == trie_bit(b, bits))
		bits++;
	return bits;
}

/* Negative errno, or the number of the new node. Moves the array. */
static int64_t trie_add(struct filter_trie *trie, const uint8_t key[16], unsigned length)
{
	if (trie->count == trie->capacity) {
		uint32_t capacity = trie->capacity ? 2 * trie->capacity : 16;
		struct filter_trie_node *nodes =
			reallocarray(trie->nodes, capacity, sizeof(*nodes));
		if (!nodes)
			return -ENOMEM;
		trie->nodes = nodes;
		trie->capacity = capacity;
	}
	struct filter_trie_node *node = &trie->nodes[trie->count];
	*node = (struct filter_trie_node){
		.length = (uint8_t)length,
		.child = { FILTER_TRIE_NONE, FILTER_TRIE_NONE },
		.value = FILTER_TRIE_NONE,
	};
	memcpy(node->key, key, sizeof(node->key));
	return trie->count++;
}

/* Puts a node of `length` bits of key in the place of `at`, which becomes its child. */
static int64_t trie_split(struct filter_trie *trie, uint32_t at, const uint8_t key[16],
			  unsigned length)
{
	int64_t below = trie_add(trie, key, length);

	if (below < 0)
		return below;
	/* Whoever points to `at` goes on doing so: the two change places. */
	struct filter_trie_node moved = trie->nodes[at];
	trie->nodes[at] = trie->nodes[below];
	trie->nodes[below] = moved;
	trie->nodes[at].child[trie_bit(moved.key, length)] = (uint32_t)below;
	return at;
}

int filter_trie_insert(struct filter_trie *trie, const struct ip_prefix *prefix,
		       uint32_t **ret_value)
{
	const uint8_t *key = prefix->addr.octet;
	unsigned length = prefix->length;
	int64_t at = 0;

	if (trie->count == 0)
		at = trie_add(trie, (const uint8_t[16]){ 0 }, 0);
	while (at >= 0) {
		const struct filter_trie_node *node = &trie->nodes[at];
		unsigned most = node->length < length ? node->length : length;
		unsigned common = trie_common(node->key, key, most);

		if (common < node->length) {
			at = trie_split(trie, (uint32_t)at, key, common);
			continue;
		}
		if (node->length == length)
			break;
		unsigned side = trie_bit(key, node->length);
		if (node->child[side] != FILTER_TRIE_NONE) {
			at = node->child[side];
			continue;
		}
		int64_t leaf = trie_add(trie, key, length);
		if (leaf >= 0)
			trie->nodes[at].child[side] = (uint32_t)leaf;
		at = leaf;
	}
	if (at < 0)
		return (int)at;
	*ret_value = &trie->nodes[at].value;
	return 0;
}

void filter_trie_done(struct filter_trie *trie)
{
	free(trie->nodes);
	*trie = (struct filter_trie){ 0 };
}

const struct filter_trie_node *filter_trie_next(const struct filter_trie *trie,
						const struct ip_addr *addr, uint32_t *at)
{
	const unsigned bits = (unsigned)ip_addr_size(addr) * 8;

	while (*at != FILTER_TRIE_NONE && *at < trie->count) {
		const struct filter_trie_node *node = &trie->nodes[*at];

		if (trie_common(node->key, addr->octet, node->length) < node->length)
			break;
		*at = node->length < bits ? node->child[trie_bit(addr->octet, node->length)]
					  : FILTER_TRIE_NONE;
		if (node->value != FILTER_TRIE_NONE)
			return node;
	}
	*at = FILTER_TRIE_NONE;
	return NULL;
}
