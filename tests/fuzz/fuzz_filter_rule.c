/* A rule of the filter, from a person or the control channel: what is taken is written back in one form and
 * taken again, and what is refused gets a sentence. */

#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "filter/filter_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ip_addr host = ip_addr_from_v4(0x0a000001);
	const struct text_view text = { (const char *)data, size };
	char first[FILTER_RULE_TEXT_SIZE];
	char second[FILTER_RULE_TEXT_SIZE];
	struct error err = { .text = "" };
	struct filter_policy *policy;
	struct filter_rule rule;
	struct filter_rule again;

	if (!filter_rule_parse(text, &rule, &err)) {
		FUZZ_CHECK(err.text[0] != '\0');
		return 0;
	}
	filter_rule_format(&rule, first);
	FUZZ_CHECK(filter_rule_parse(text_view_of(first), &again, &err));
	FUZZ_CHECK(strcmp(filter_rule_format(&again, second), first) == 0);
	/* And it says something about its own address. */
	FUZZ_CHECK(filter_policy_new(&host, &rule, 1, NULL, 0, &policy, NULL) == 0);
	const struct ip_addr *addr = rule.is_host ? &host : &rule.prefix.addr;
	const enum filter_direction direction =
		rule.direction == FILTER_RULE_IN ? FILTER_IN : FILTER_OUT;
	FUZZ_CHECK(filter_policy_match(policy, direction, addr, rule.port_last).verdict ==
		   FILTER_ALLOW);
	filter_policy_free(policy);
	return 0;
}
