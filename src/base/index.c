#include "base/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/random.h"

#define INDEX_CAPACITY_MAX (UINT32_C(1) << 30)

int index_init(struct index *index, uint32_t capacity, struct random *random)
{
	uint32_t count = 2;

	*index = (struct index){ .capacity = capacity };
	if (capacity > INDEX_CAPACITY_MAX)
		return -ENOMEM;
	/* Half empty at least: a free slot always ends a probe, and probes stay short. */
	while (count < 2 * capacity)
		count *= 2;
	index->slots = calloc(count, sizeof(*index->slots));
	if (!index->slots)
		return -ENOMEM;
	index->mask = count - 1;
	index->key.word[0] = random_u64(random);
	index->key.word[1] = random_u64(random);
	return 0;
}

void index_done(struct index *index)
{
	free(index->slots);
	*index = (struct index){ .slots = NULL };
}

uint32_t index_hash(const struct index *index, const void *key, size_t size)
{
	return (uint32_t)siphash(&index->key, key, size);
}

uint32_t index_find(const struct index *index, uint32_t hash, index_match_fn *match,
		    const void *context, const void *key)
{
	for (uint32_t i = hash & index->mask;; i = (i + 1) & index->mask) {
		const struct index_slot *slot = &index->slots[i];

		if (slot->entry_plus_one == 0)
			return INDEX_NONE;
		if (slot->hash == hash && match(context, slot->entry_plus_one - 1, key))
			return slot->entry_plus_one - 1;
	}
}

bool index_insert(struct index *index, uint32_t hash, uint32_t entry)
{
	uint32_t i = hash & index->mask;

	assert(entry != INDEX_NONE);
	if (index->used >= index->capacity)
		return false;
	while (index->slots[i].entry_plus_one != 0)
		i = (i + 1) & index->mask;
	index->slots[i] = (struct index_slot){ .hash = hash, .entry_plus_one = entry + 1 };
	index->used++;
	return true;
}

void index_remove(struct index *index, uint32_t hash, uint32_t entry)
{
	uint32_t hole = hash & index->mask;

	while (index->slots[hole].entry_plus_one != entry + 1) {
		assert(index->slots[hole].entry_plus_one != 0);
		hole = (hole + 1) & index->mask;
	}
	/* Back-shift: whatever of the following run may stand in the hole without standing before
	 * its own home moves there, so that no probe ever needs a tombstone. */
	for (uint32_t i = (hole + 1) & index->mask; index->slots[i].entry_plus_one != 0;
	     i = (i + 1) & index->mask) {
		uint32_t from_home = (i - index->slots[i].hash) & index->mask;
		uint32_t from_hole = (i - hole) & index->mask;

		if (from_home < from_hole)
			continue;
		index->slots[hole] = index->slots[i];
		hole = i;
	}
	index->slots[hole] = (struct index_slot){};
	index->used--;
}
