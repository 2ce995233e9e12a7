/* Policies: limits, lists, and many rules at once. Who wins: test_filter_cases.c. */
#include "filter/filter_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "filter/filter_rule.h"
#include <errno.h>

static const char *const many_as_text[] = { "10.0.0.0/8", "@host", "10.0.0.7/8",
					    "in 10.0.0.0/8:80" };

static struct filter_policy *policy_of(const char *const *allow, size_t allow_count,
				       const char *const *block, size_t block_count)
{
	const struct ip_addr host = ip_addr_from_v4(0xc0a84001);
	struct filter_rule rules[2][8];
	struct filter_policy *policy;

	for (size_t i = 0; i < allow_count; i++)
		assert_true(filter_rule_parse(text_view_of(allow[i]), &rules[0][i], NULL));
	for (size_t i = 0; i < block_count; i++)
		assert_true(filter_rule_parse(text_view_of(block[i]), &rules[1][i], NULL));
	assert_int_equal(filter_policy_new(&host, rules[0], allow_count, rules[1], block_count,
					   &policy, NULL),
			 0);
	return policy;
}

static void test_lists_are_sorted_without_duplicates(void **state)
{
	struct filter_policy *policy = policy_of(many_as_text, ARRAY_COUNT(many_as_text), NULL, 0);
	const struct filter_rule *rules;
	char text[FILTER_RULE_TEXT_SIZE];

	(void)state;
	assert_int_equal(filter_policy_list(policy, true, &rules), 3);
	assert_string_equal(filter_rule_format(&rules[0], text), "10.0.0.0/8");
	assert_string_equal(filter_rule_format(&rules[1], text), "@host");
	assert_string_equal(filter_rule_format(&rules[2], text), "in 10.0.0.0/8:80");
	assert_int_equal(filter_policy_list(policy, false, &rules), 0);
	filter_policy_free(policy);
}

static void test_isolation_and_host(void **state)
{
	static const struct {
		const char *allow;
		bool isolates;
		bool opens_host;
	} rows[] = {
		{ "0.0.0.0/0", false, false },	   { "out 0.0.0.0/0", true, false },
		{ "0.0.0.0/0:80", true, false },   { "0.0.0.0/1", true, false },
		{ "::/0", true, false },	   { "@host", true, true },
		{ "in @host", true, false },	   { "out @host:22", true, true },
		{ "192.168.64.1/32", true, true }, { "192.168.64.0/24", true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct filter_policy *policy = policy_of(&rows[i].allow, 1, NULL, 0);
		if (filter_policy_isolates(policy) != rows[i].isolates ||
		    filter_policy_opens_host(policy) != rows[i].opens_host)
			fail_msg("%s", rows[i].allow);
		filter_policy_free(policy);
	}
}

static void test_too_many(void **state)
{
	const struct ip_addr host = ip_addr_from_v4(1);
	struct filter_policy *policy = NULL;
	const struct filter_rule rule = { .is_host = true };
	struct error err = { .text = "" };

	(void)state;
	assert_int_equal(
		filter_policy_new(&host, &rule, FILTER_POLICY_RULES_MOST, &rule, 1, &policy, &err),
		-E2BIG);
	assert_string_equal(err.text, "more than 65536 rules");
	assert_int_equal(filter_policy_new(&host, &rule, SIZE_MAX, &rule, 2, &policy, &err),
			 -E2BIG);
	assert_null(policy);
}

/* Every rule is found again, and none where there is none. */
static void test_many_rules(void **state)
{
	enum {
		COUNT = 10000
	};
	const struct ip_addr host = ip_addr_from_v4(0xc0a84001);
	struct filter_rule *rules = calloc(COUNT, sizeof(*rules));
	struct filter_policy *policy;

	(void)state;
	assert_non_null(rules);
	for (uint32_t i = 0; i < COUNT; i++) {
		rules[i].prefix = (struct ip_prefix){ ip_addr_from_v4(0x0a000000 + (i << 8)), 24 };
		if (i % 2)
			rules[i].port_first = rules[i].port_last = (uint16_t)(1 + i);
	}
	assert_int_equal(filter_policy_new(&host, rules, COUNT / 2, rules + COUNT / 2, COUNT / 2,
					   &policy, NULL),
			 0);
	assert_int_equal(filter_policy_rule_count(policy), COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		const struct ip_addr addr = ip_addr_from_v4(0x0a000007 + (i << 8));
		const enum filter_verdict wanted = i < COUNT / 2 ? FILTER_ALLOW : FILTER_BLOCK;
		const uint16_t port = (uint16_t)(1 + i);
		assert_int_equal(filter_policy_match(policy, FILTER_OUT, &addr, port).verdict,
				 wanted);
		assert_int_equal(
			filter_policy_match(policy, FILTER_OUT, &addr, (uint16_t)(port + 1))
				.verdict,
			i % 2 ? FILTER_NO_RULE : wanted);
		assert_int_equal(filter_policy_match(policy, FILTER_IN, &addr, port).verdict,
				 FILTER_NO_RULE);
	}
	filter_policy_free(policy);
	free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists_are_sorted_without_duplicates),
		cmocka_unit_test(test_isolation_and_host),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_many_rules),
	};

	return cmocka_run_group_tests_name("filter_policy", tests, NULL, NULL);
}
