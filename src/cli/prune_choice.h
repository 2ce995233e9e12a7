#pragma once
/* Which VMs `prune` removes: pure judgement, without a look at the disk. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A VM that does not run. */
struct prune_candidate {
	const char *name;	 /* borrowed */
	int64_t accessed_s;	 /* Unix time of its last use */
	uint64_t allocated_size; /* bytes that its removal would free */
	bool chosen;
};

struct prune_criteria {
	bool by_age;
	int64_t used_before_s; /* goes when its last use was before this */
	bool by_budget;
	uint64_t budget; /* bytes that all that stay may take together */
};

/*
 * Sorts by last use, latest first, and sets .chosen. The age is judged first; what stays has the budget,
 * where one that was used later comes first: one that is too large for what is left of it goes, and
 * smaller ones after it may still stay (as in Tart).
 */
void prune_choose(const struct prune_criteria *criteria, struct prune_candidate *candidates,
		  size_t count);
