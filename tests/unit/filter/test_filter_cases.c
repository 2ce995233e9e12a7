/* Softnet's rules, case by case, from tests/softnet_cases.txt: what the rules say, and what becomes of it. */
#include "filter/filter.h"

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

#define RULES_MOST 16

struct cases {
	char name[128];
	struct filter_rule allow[RULES_MOST];
	struct filter_rule block[RULES_MOST];
	size_t allow_count;
	size_t block_count;
	struct filter *filter; /* made at the first question */
	unsigned asked;
};

static const char *cases_file;
static unsigned policies;

static bool nobody(void *context, const struct mac_addr *mac, struct ip_addr *ret_addr,
		   uint64_t *ret_until_ns)
{
	(void)context;
	(void)mac;
	(void)ret_addr;
	(void)ret_until_ns;
	return false;
}

static const struct filter_policy *policy_of(struct cases *cases)
{
	const struct filter_config config = { .gateway = ip_addr_from_v4(0xc0a84001),
					      .port_capacity = 1,
					      .address_of = nobody };
	struct filter_policy *policy;

	if (!cases->filter) {
		assert_int_equal(filter_policy_new(&config.gateway, cases->allow,
						   cases->allow_count, cases->block,
						   cases->block_count, &policy, NULL),
				 0);
		assert_int_equal(filter_new(&config, policy, NULL, &cases->filter), 0);
	}
	return filter_policy_of(cases->filter);
}

static void finish(struct cases *cases)
{
	if (cases->filter) {
		assert_true(cases->asked > 0);
		policies++;
	}
	filter_free(cases->filter);
	*cases = (struct cases){ 0 };
}

/* ADDRESS or ADDRESS:PORT; an IPv6 address stands without a port. */
static void split_remote(char *text, struct ip_addr *ret_addr, uint16_t *ret_port)
{
	char *colon = strchr(text, ':');

	*ret_port = 0;
	if (colon && !strchr(colon + 1, ':')) {
		*colon = '\0';
		assert_true(text_parse_u16(text_view_of(colon + 1), ret_port));
	}
	assert_true(ip_addr_parse(text, ret_addr));
}

/* What listens on the host, and is not the gateway's. */
static void check_host(struct cases *cases, const char *line)
{
	struct filter_question question = { .direction = FILTER_OUT,
					    .protocol = 6,
					    .remote = ip_addr_from_v4(0xc0a84001),
					    .to_host = true };
	char port[8];
	char follows[8];

	(void)policy_of(cases);
	assert_int_equal(sscanf(line, "host %7s %7s", port, follows), 2);
	if (strcmp(port, "any") != 0)
		assert_true(text_parse_u16(text_view_of(port), &question.port));
	if (filter_admits(cases->filter, &question) != (strcmp(follows, "pass") == 0))
		fail_msg("%s: %s: does not %s", cases->name, line, follows);
	cases->asked++;
}

static void check_question(struct cases *cases, const char *line)
{
	static const char *const verdicts[] = { "none", "allow", "block" };
	const struct filter_policy *policy = policy_of(cases);
	char direction[8];
	char remote[64];
	char verdict[8];
	char follows[8] = "";
	struct filter_question question = { .protocol = 6 };

	assert_true(sscanf(line, "%7s %63s %7s %7s", direction, remote, verdict, follows) >= 3);
	question.direction = strcmp(direction, "in") == 0 ? FILTER_IN : FILTER_OUT;
	split_remote(remote, &question.remote, &question.port);
	/* A policy of bare rules asks about the answers. */
	enum filter_direction asked =
		filter_policy_is_stateful(policy) ? question.direction : FILTER_OUT;
	struct filter_match match =
		filter_policy_match(policy, asked, &question.remote, question.port);
	if (strcmp(verdicts[match.verdict], verdict) != 0)
		fail_msg("%s: %s: %s", cases->name, line, verdicts[match.verdict]);
	if (follows[0] == '\0')
		strcpy(follows, strcmp(verdict, "allow") == 0 ? "pass" : "drop");
	if (filter_admits(cases->filter, &question) != (strcmp(follows, "pass") == 0))
		fail_msg("%s: %s: does not %s", cases->name, line, follows);
	cases->asked++;
}

static void take_line(struct cases *cases, char *line)
{
	struct filter_rule *rule = NULL;
	unsigned number;

	line[strcspn(line, "\n")] = '\0';
	if (line[0] == '\0' || line[0] == '#')
		return;
	if (strncmp(line, "policy ", 7) == 0) {
		finish(cases);
		snprintf(cases->name, sizeof(cases->name), "%.100s", line + 7);
	} else if (strncmp(line, "allow ", 6) == 0) {
		assert_true(cases->allow_count < RULES_MOST);
		rule = &cases->allow[cases->allow_count++];
	} else if (strncmp(line, "block ", 6) == 0) {
		assert_true(cases->block_count < RULES_MOST);
		rule = &cases->block[cases->block_count++];
	} else if (sscanf(line, "rules %u", &number) == 1) {
		assert_int_equal(filter_policy_rule_count(policy_of(cases)), number);
	} else if (strncmp(line, "stateful ", 9) == 0) {
		assert_int_equal(filter_policy_is_stateful(policy_of(cases)),
				 strcmp(line + 9, "yes") == 0);
	} else if (strncmp(line, "host ", 5) == 0) {
		check_host(cases, line);
	} else {
		check_question(cases, line);
	}
	if (rule) {
		assert_null(cases->filter);
		assert_true(filter_rule_parse(text_view_of(line + 6), rule, NULL));
	}
}

static void test_cases(void **state)
{
	FILE *file = fopen(cases_file, "re");
	struct cases cases = { 0 };
	char line[256];

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		take_line(&cases, line);
	finish(&cases);
	fclose(file);
	assert_true(policies >= 32);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };

	if (argc != 2)
		return 64;
	cases_file = argv[1];
	return cmocka_run_group_tests_name("filter_cases", tests, NULL, NULL);
}
