#pragma once
/*
 * A whole set of rules, compiled: who wins when several speak about one address.
 *
 *     1. rules with ports beat rules without, however long their prefixes
 *     2. the longer prefix beats the shorter one
 *     3. block beats allow
 *
 * A policy of bare rules only is outbound: it says what the guest may send to. One directional rule makes the
 * whole policy stateful: bare rules then stand for both directions. A policy never changes; another one
 * takes its place.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/error.h"
#include "filter/filter_rule.h"

/* Of both lists together. */
#define FILTER_POLICY_RULES_MOST 65536

enum filter_verdict {
	FILTER_NO_RULE,
	FILTER_ALLOW,
	FILTER_BLOCK,
};

enum filter_direction {
	FILTER_IN,  /* the guest is called */
	FILTER_OUT, /* the guest calls */
};

struct filter_match {
	enum filter_verdict verdict;
	bool is_exact; /* the rule that won is for this very address, not for a network around it */
	/* What the rules for this very address say, whoever won. */
	enum filter_verdict named;
};

struct filter_policy;

/*
 * Both lists in any order, with duplicates. host is what @host stands for. 0; -ENOMEM; -E2BIG with a sentence,
 * too many. The caller owns it: one filter_policy_free().
 */
int filter_policy_new(const struct ip_addr *host, const struct filter_rule *allow,
		      size_t allow_count, const struct filter_rule *block, size_t block_count,
		      struct filter_policy **ret_policy, struct error *err) MUST_USE;
struct filter_policy *filter_policy_free(struct filter_policy *policy);

/* port is the remote side's, 0 = the packet has none. */
struct filter_match filter_policy_match(const struct filter_policy *policy,
					enum filter_direction direction,
					const struct ip_addr *remote, uint16_t port);

/* A directional rule is in it. */
bool filter_policy_is_stateful(const struct filter_policy *policy);
/* The guest may call @host, or that very address, by a rule that says so: some port of it at least. */
bool filter_policy_opens_host(const struct filter_policy *policy);
/* Guests of one network do not see each other, unless 0.0.0.0/0 is allowed (Softnet's rule). */
bool filter_policy_isolates(const struct filter_policy *policy);
/* How many rules are left of those given: identical ones count once, bare ones twice where they stand for
 * both directions. */
size_t filter_policy_rule_count(const struct filter_policy *policy);

/* The lists as they were given, sorted by their texts and without duplicates. */
size_t filter_policy_list(const struct filter_policy *policy, bool allow,
			  const struct filter_rule **ret_rules);
