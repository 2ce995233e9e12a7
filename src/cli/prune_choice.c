#include "cli/prune_choice.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const struct prune_candidate *one = a;
	const struct prune_candidate *other = b;

	if (one->accessed_s != other->accessed_s)
		return one->accessed_s > other->accessed_s ? -1 : 1;
	return strcmp(one->name, other->name);
}

void prune_choose(const struct prune_criteria *criteria, struct prune_candidate *candidates,
		  size_t count)
{
	uint64_t left = criteria->budget;

	if (count > 0)
		qsort(candidates, count, sizeof(*candidates), compare);
	for (size_t i = 0; i < count; i++) {
		struct prune_candidate *candidate = &candidates[i];

		candidate->chosen =
			criteria->by_age && candidate->accessed_s < criteria->used_before_s;
		if (candidate->chosen || !criteria->by_budget)
			continue;
		if (candidate->allocated_size <= left)
			left -= candidate->allocated_size;
		else
			candidate->chosen = true;
	}
}
