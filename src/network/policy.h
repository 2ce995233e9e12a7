#pragma once
/* The rules that a configuration was given, until the network's own filter has them. */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "filter/filter_rule.h"

struct policy_rules {
	bool given; /* also without a single rule: the filter's defaults hold */
	struct filter_rule *allow;
	size_t allow_count;
	struct filter_rule *block;
	size_t block_count;
};

/* -EINVAL with a sentence, -ENOMEM. One policy_rules_free(). */
int policy_parse(const char *const *allow, size_t allow_count, const char *const *block,
		 size_t block_count, struct policy_rules *ret_rules, struct error *err) MUST_USE;
void policy_rules_free(struct policy_rules *rules);
