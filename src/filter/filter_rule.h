#pragma once
/*
 * One rule of a filter, as text and as numbers:
 *
 *     [in|out] TARGET[:PORT[-PORT]]        TARGET: an IPv4 or IPv6 prefix, or @host
 *
 * `in` is about flows that TARGET begins, `out` about those that the guest begins. A rule without a
 * direction is bare; what it means depends on its company (filter_policy.h). PORT is the TCP or UDP port of
 * TARGET's side, in both directions. @host is the gateway's address.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/text.h"

enum filter_rule_direction {
	FILTER_RULE_BARE,
	FILTER_RULE_IN,
	FILTER_RULE_OUT,
};

struct filter_rule {
	enum filter_rule_direction direction;
	bool is_host;		 /* @host; then there is no prefix */
	struct ip_prefix prefix; /* canonical: host bits of the text are cleared */
	uint16_t port_first;	 /* 0 = for any protocol and port */
	uint16_t port_last;
};

/* "out " + prefix + ":65535-65535" */
#define FILTER_RULE_TEXT_SIZE (4 + IP_PREFIX_TEXT_SIZE + 12)

/* False: *err, which may be NULL, says what is wrong and what is expected. */
bool filter_rule_parse(struct text_view text, struct filter_rule *ret_rule,
		       struct error *err) MUST_USE;
/* As filter_rule_parse() takes it, always in the same way. Returns buffer. */
const char *filter_rule_format(const struct filter_rule *rule, char buffer[FILTER_RULE_TEXT_SIZE]);
