#include "filter/filter_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter_ports.h"
#include "filter/filter_trie.h"

#define FAMILIES 2

/* What stands at one prefix, in one direction. */
struct place {
	enum filter_verdict verdict; /* of rules without ports */
	uint32_t spans;		     /* of rules with ports: where they begin */
	uint32_t span_count;
};

struct direction_rules {
	struct filter_trie trie[FAMILIES]; /* values are numbers of places */
};

struct rule_list {
	struct filter_rule *rules;
	size_t count;
};

struct filter_policy {
	struct ip_addr host;
	bool stateful;
	size_t rule_count;
	struct rule_list allow;
	struct rule_list block;
	struct direction_rules direction[2]; /* by enum filter_direction */
	struct place *places;
	uint32_t place_count;
	struct filter_port_span *spans;
};

/* A rule with ports, while the policy is made. */
struct port_entry {
	uint32_t place;
	struct filter_port_range range;
};

struct build {
	struct filter_policy *policy;
	struct port_entry *entries;
	size_t entry_count;
};

static unsigned family_index(const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) ? 0 : 1;
}

/* --- the lists -------------------------------------------------------------------------------- */

struct named_rule {
	char text[FILTER_RULE_TEXT_SIZE];
	struct filter_rule rule;
};

static int compare_names(const void *a, const void *b)
{
	const struct named_rule *left = a;
	const struct named_rule *right = b;

	return strcmp(left->text, right->text);
}

static int keep_list(const struct filter_rule *rules, size_t count, struct rule_list *list)
{
	struct named_rule *named = calloc(count + 1, sizeof(*named));

	list->rules = calloc(count + 1, sizeof(*list->rules));
	if (!named || !list->rules) {
		free(named);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		named[i].rule = rules[i];
		filter_rule_format(&rules[i], named[i].text);
	}
	qsort(named, count, sizeof(*named), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || strcmp(named[i].text, named[i - 1].text) != 0)
			list->rules[list->count++] = named[i].rule;
	}
	free(named);
	return 0;
}

/* --- compiling -------------------------------------------------------------------------------- */

static int find_place(struct build *build, enum filter_direction direction,
		      const struct ip_prefix *prefix, uint32_t *ret_place)
{
	struct filter_policy *policy = build->policy;
	struct filter_trie *trie = &policy->direction[direction].trie[family_index(&prefix->addr)];
	uint32_t *value;
	int status = filter_trie_insert(trie, prefix, &value);

	if (status < 0)
		return status;
	if (*value == FILTER_TRIE_NONE) {
		/* There is at most one for each rule and direction: see compile(). */
		policy->places[policy->place_count] = (struct place){ FILTER_NO_RULE, 0, 0 };
		*value = policy->place_count++;
	}
	*ret_place = *value;
	return 0;
}

static int add_rule(struct build *build, enum filter_direction direction,
		    const struct filter_rule *rule, bool blocks)
{
	const struct ip_prefix host = { build->policy->host,
					(uint8_t)(ip_addr_size(&build->policy->host) * 8) };
	uint32_t place;
	int status = find_place(build, direction, rule->is_host ? &host : &rule->prefix, &place);

	if (status < 0)
		return status;
	if (rule->port_first != 0) {
		build->entries[build->entry_count++] =
			(struct port_entry){ place, { rule->port_first, rule->port_last, blocks } };
	} else if (build->policy->places[place].verdict != FILTER_BLOCK) {
		build->policy->places[place].verdict = blocks ? FILTER_BLOCK : FILTER_ALLOW;
	}
	return 0;
}

static int add_list(struct build *build, const struct rule_list *list, bool blocks)
{
	const bool both = build->policy->stateful;
	int status = 0;

	for (size_t i = 0; status == 0 && i < list->count; i++) {
		const struct filter_rule *rule = &list->rules[i];

		if (rule->direction == FILTER_RULE_IN ||
		    (rule->direction == FILTER_RULE_BARE && both))
			status = add_rule(build, FILTER_IN, rule, blocks);
		if (status == 0 && rule->direction != FILTER_RULE_IN)
			status = add_rule(build, FILTER_OUT, rule, blocks);
	}
	return status;
}

static int compare_entries(const void *a, const void *b)
{
	const struct port_entry *left = a;
	const struct port_entry *right = b;

	if (left->place != right->place)
		return left->place < right->place ? -1 : 1;
	if (left->range.first != right->range.first)
		return left->range.first < right->range.first ? -1 : 1;
	return (left->range.last > right->range.last) - (left->range.last < right->range.last);
}

/* The rules with ports, prefix by prefix. */
static int compile_ports(struct build *build)
{
	struct filter_policy *policy = build->policy;
	const size_t count = build->entry_count;
	struct filter_port_range *ranges = calloc(count + 1, sizeof(*ranges));
	struct filter_port_mark *marks = calloc(2 * count + 1, sizeof(*marks));
	uint32_t spans = 0;

	policy->spans = calloc(FILTER_PORTS_SPANS_MOST(count) + 1, sizeof(*policy->spans));
	if (!ranges || !marks || !policy->spans) {
		free(ranges);
		free(marks);
		return -ENOMEM;
	}
	qsort(build->entries, count, sizeof(*build->entries), compare_entries);
	for (size_t first = 0, next; first < count; first = next) {
		const uint32_t number = build->entries[first].place;
		struct place *place = &policy->places[number];

		for (next = first; next < count && build->entries[next].place == number; next++) {
			const struct port_entry *entry = &build->entries[next];

			ranges[next - first] = entry->range;
			policy->rule_count +=
				next == first || compare_entries(entry - 1, entry) != 0;
		}
		place->spans = spans;
		place->span_count = (uint32_t)filter_ports_flatten(ranges, next - first, marks,
								   &policy->spans[spans]);
		spans += place->span_count;
	}
	free(ranges);
	free(marks);
	return 0;
}

static int compile(struct filter_policy *policy)
{
	const size_t most = 2 * (policy->allow.count + policy->block.count) + 1;
	struct build build = { .policy = policy };
	int status = 0;

	policy->places = calloc(most, sizeof(*policy->places));
	build.entries = calloc(most, sizeof(*build.entries));
	if (!policy->places || !build.entries)
		status = -ENOMEM;
	if (status == 0)
		status = add_list(&build, &policy->allow, false);
	if (status == 0)
		status = add_list(&build, &policy->block, true);
	if (status == 0)
		status = compile_ports(&build);
	free(build.entries);
	for (uint32_t i = 0; status == 0 && i < policy->place_count; i++)
		policy->rule_count += policy->places[i].verdict != FILTER_NO_RULE;
	return status;
}

static bool has_direction(const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->rules[i].direction != FILTER_RULE_BARE)
			return true;
	}
	return false;
}

int filter_policy_new(const struct ip_addr *host, const struct filter_rule *allow,
		      size_t allow_count, const struct filter_rule *block, size_t block_count,
		      struct filter_policy **ret_policy, struct error *err)
{
	if (allow_count > FILTER_POLICY_RULES_MOST ||
	    block_count > FILTER_POLICY_RULES_MOST - allow_count) {
		error_set(err, "more than %d rules", FILTER_POLICY_RULES_MOST);
		return -E2BIG;
	}
	struct filter_policy *policy = calloc(1, sizeof(*policy));
	if (!policy)
		return -ENOMEM;
	policy->host = *host;
	int status = keep_list(allow, allow_count, &policy->allow);
	if (status == 0)
		status = keep_list(block, block_count, &policy->block);
	policy->stateful = has_direction(&policy->allow) || has_direction(&policy->block);
	if (status == 0)
		status = compile(policy);
	if (status < 0) {
		filter_policy_free(policy);
		return status;
	}
	*ret_policy = policy;
	return 0;
}

struct filter_policy *filter_policy_free(struct filter_policy *policy)
{
	if (!policy)
		return NULL;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned family = 0; family < FAMILIES; family++)
			filter_trie_done(&policy->direction[i].trie[family]);
	}
	free(policy->allow.rules);
	free(policy->block.rules);
	free(policy->places);
	free(policy->spans);
	free(policy);
	return NULL;
}

/* --- asking ----------------------------------------------------------------------------------- */

struct filter_match filter_policy_match(const struct filter_policy *policy,
					enum filter_direction direction,
					const struct ip_addr *remote, uint16_t port)
{
	const struct filter_trie *trie = &policy->direction[direction].trie[family_index(remote)];
	const unsigned whole = (unsigned)ip_addr_size(remote) * 8;
	struct filter_match plain = { .verdict = FILTER_NO_RULE };
	struct filter_match with_port = { .verdict = FILTER_NO_RULE };
	enum filter_verdict named = FILTER_NO_RULE;
	const struct filter_trie_node *node;
	uint32_t at = 0;

	/* From the shortest prefix to the longest: the last one found is the one. */
	while ((node = filter_trie_next(trie, remote, &at))) {
		const struct place *place = &policy->places[node->value];
		const bool is_exact = node->length == whole;
		const struct filter_port_span *span =
			port != 0 ? filter_ports_find(policy->spans + place->spans,
						      place->span_count, port)
				  : NULL;

		if (place->verdict != FILTER_NO_RULE)
			plain = (struct filter_match){ .verdict = place->verdict,
						       .is_exact = is_exact };
		if (span)
			with_port = (struct filter_match){
				.verdict = span->blocks ? FILTER_BLOCK : FILTER_ALLOW,
				.is_exact = is_exact,
			};
		if (is_exact)
			named = span ? with_port.verdict : place->verdict;
	}
	if (with_port.verdict != FILTER_NO_RULE)
		plain = with_port;
	plain.named = named;
	return plain;
}

bool filter_policy_is_stateful(const struct filter_policy *policy)
{
	return policy->stateful;
}

/* Some port of it is enough: which one is decided flow by flow. */
bool filter_policy_opens_host(const struct filter_policy *policy)
{
	const struct ip_prefix exact = { policy->host, (uint8_t)(ip_addr_size(&policy->host) * 8) };

	for (size_t i = 0; i < policy->allow.count; i++) {
		const struct filter_rule *rule = &policy->allow.rules[i];

		if (rule->direction != FILTER_RULE_IN &&
		    (rule->is_host || (rule->prefix.length == exact.length &&
				       ip_addr_equal(&rule->prefix.addr, &exact.addr))))
			return true;
	}
	return false;
}

bool filter_policy_isolates(const struct filter_policy *policy)
{
	for (size_t i = 0; i < policy->allow.count; i++) {
		const struct filter_rule *rule = &policy->allow.rules[i];

		if (!rule->is_host && rule->direction == FILTER_RULE_BARE &&
		    rule->port_first == 0 && rule->prefix.length == 0 &&
		    ip_addr_is_v4(&rule->prefix.addr))
			return false;
	}
	return true;
}

size_t filter_policy_rule_count(const struct filter_policy *policy)
{
	return policy->rule_count;
}

size_t filter_policy_list(const struct filter_policy *policy, bool allow,
			  const struct filter_rule **ret_rules)
{
	const struct rule_list *list = allow ? &policy->allow : &policy->block;

	*ret_rules = list->rules;
	return list->count;
}
