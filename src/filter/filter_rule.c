#include "filter/filter_rule.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* What comes from elsewhere is shown with its ends, and not in full length. */
#define SHOWN_MOST 64
/* Any spelling of the longest rule, with blanks to spare. */
#define TEXT_MOST 200

static bool rule_fail(struct text_view text, struct error *err, const char *expected)
{
	size_t shown = utf8_fit(text.start, text.length, SHOWN_MOST);

	error_set(err, "invalid rule \"%.*s\"%s: %s", (int)shown, text.start,
		  text.length > SHOWN_MOST ? "..." : "", expected);
	return false;
}

/* Cuts "in " or "out " off; blanks between it and the target are as many as one likes. */
static enum filter_rule_direction rule_cut_direction(struct text_view *text)
{
	struct text_view head;
	struct text_view rest;
	enum filter_rule_direction direction = FILTER_RULE_BARE;

	if (!text_view_cut(*text, ' ', &head, &rest))
		return FILTER_RULE_BARE;
	if (text_view_equal(head, "in"))
		direction = FILTER_RULE_IN;
	else if (text_view_equal(head, "out"))
		direction = FILTER_RULE_OUT;
	else
		return FILTER_RULE_BARE; /* the blank is the target's fault */
	while (rest.length > 0 && rest.start[0] == ' ') {
		rest.start++;
		rest.length--;
	}
	*text = rest;
	return direction;
}

static bool rule_parse_ports(struct text_view text, struct filter_rule *rule)
{
	struct text_view first;
	struct text_view last;
	bool is_range = text_view_cut(text, '-', &first, &last);

	if (!text_parse_u16(first, &rule->port_first) || rule->port_first == 0)
		return false;
	rule->port_last = rule->port_first;
	return !is_range ||
	       (text_parse_u16(last, &rule->port_last) && rule->port_last >= rule->port_first);
}

static bool rule_parse_prefix(struct text_view address, struct text_view length,
			      struct ip_prefix *ret_prefix)
{
	char text[IP_PREFIX_TEXT_SIZE];
	struct ip_prefix prefix;
	int size = snprintf(text, sizeof(text), "%.*s/%.*s", (int)address.length, address.start,
			    (int)length.length, length.start);

	if (size < 0 || (size_t)size >= sizeof(text) || !ip_prefix_parse(text, &prefix))
		return false;
	*ret_prefix = ip_prefix_canonical(&prefix);
	return true;
}

bool filter_rule_parse(struct text_view text, struct filter_rule *ret_rule, struct error *err)
{
	struct filter_rule rule = { .direction = FILTER_RULE_BARE };
	struct text_view target = text;
	struct text_view head;
	struct text_view rest;
	struct text_view ports;

	/* A text in memory that is not ours may have zeros inside. */
	if (text.length == 0 || text.length > TEXT_MOST || memchr(text.start, 0, text.length))
		return rule_fail(text, err, "expected [in|out] PREFIX or @host, and :PORT[-PORT]");
	rule.direction = rule_cut_direction(&target);
	if (target.length > 0 && target.start[0] == '@') {
		rule.is_host = true;
		bool has_ports = text_view_cut(target, ':', &head, &ports);
		if (!text_view_equal(head, "@host"))
			return rule_fail(text, err, "the only name is @host");
		if (has_ports && !rule_parse_ports(ports, &rule))
			return rule_fail(text, err,
					 "a port is 1 to 65535, a range FIRST-LAST, not downwards");
	} else {
		struct text_view length;
		if (!text_view_cut(target, '/', &head, &rest))
			return rule_fail(
				text, err,
				"expected [in|out] PREFIX or @host, and :PORT[-PORT]; a prefix is "
				"ADDRESS/LENGTH, one address is /32 or /128");
		bool has_ports = text_view_cut(rest, ':', &length, &ports);
		if (!rule_parse_prefix(head, length, &rule.prefix))
			return rule_fail(
				text, err,
				"a prefix is ADDRESS/LENGTH, the length 0 to 32, or 128 for IPv6");
		if (has_ports && !rule_parse_ports(ports, &rule))
			return rule_fail(text, err,
					 "a port is 1 to 65535, a range FIRST-LAST, not downwards");
	}
	*ret_rule = rule;
	return true;
}

const char *filter_rule_format(const struct filter_rule *rule, char buffer[FILTER_RULE_TEXT_SIZE])
{
	static const char *const directions[] = {
		[FILTER_RULE_BARE] = "",
		[FILTER_RULE_IN] = "in ",
		[FILTER_RULE_OUT] = "out ",
	};
	char prefix[IP_PREFIX_TEXT_SIZE];
	char ports[16] = "";

	if (rule->port_first != 0 && rule->port_first == rule->port_last)
		(void)snprintf(ports, sizeof(ports), ":%u", (unsigned)rule->port_first);
	else if (rule->port_first != 0)
		(void)snprintf(ports, sizeof(ports), ":%u-%u", (unsigned)rule->port_first,
			       (unsigned)rule->port_last);
	(void)snprintf(buffer, FILTER_RULE_TEXT_SIZE, "%s%s%s", directions[rule->direction],
		       rule->is_host ? "@host" : ip_prefix_format(&rule->prefix, prefix), ports);
	return buffer;
}
