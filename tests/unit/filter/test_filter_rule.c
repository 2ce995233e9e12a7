/* Rules as people write them. */
#include "filter/filter_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void test_accepted(void **state)
{
	static const struct {
		const char *text;
		const char *again; /* NULL: the same */
	} rows[] = {
		{ "@host", NULL },
		{ "in @host", NULL },
		{ "out @host", NULL },
		{ "in   @host", "in @host" },
		{ "10.0.0.0/8", NULL },
		{ "10.1.2.3/8", "10.0.0.0/8" },
		{ "0.0.0.0/0", NULL },
		{ "out 192.168.0.10/32:8444", NULL },
		{ "10.0.0.0/8:8000-9000", NULL },
		{ "10.0.0.0/8:80-80", "10.0.0.0/8:80" },
		{ "10.0.0.0/8:1-65535", NULL },
		{ "@host:22", NULL },
		{ "in @host:0022", "in @host:22" },
		{ "::/0", NULL },
		{ "2001:db8::1/32", "2001:db8::/32" },
		{ "out 2001:db8::/32:443", NULL },
		{ "fe80::1/128:1-2", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char buffer[FILTER_RULE_TEXT_SIZE];
		struct filter_rule rule;
		struct error err = { .text = "" };
		if (!filter_rule_parse(text_view_of(rows[i].text), &rule, &err))
			fail_msg("%s: %s", rows[i].text, err.text);
		assert_string_equal(filter_rule_format(&rule, buffer),
				    rows[i].again ? rows[i].again : rows[i].text);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"from @host",
		"in",
		"out",
		"in from @host",
		"out to @host",
		"infrom @host",
		" in @host",
		"in @host ",
		"in\t@host",
		"in in @host",
		"IN @host",
		"in",
		"in ",
		"out  ",
		"10.0.0.0/8:",
		"10.0.0.0/8:0",
		"10.0.0.0/8:65536",
		"10.0.0.0/8:+80",
		"10.0.0.0/8: 80",
		"10.0.0.0/8:80-",
		"10.0.0.0/8:-80",
		"10.0.0.0/8:90-80",
		"10.0.0.0/8:80:90",
		"10.0.0.0/8:80-90-100",
		"10.0.0.0/8:80,90",
		"10.0.0.0/8:0x50",
		"@host:ssh",
		"@host:",
		"@Host",
		"@hosts",
		"@",
		"@host/32",
		"10.0.0.1",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0/8",
		"10.0.0.0/",
		"/8",
		"10.0.0.0/8/8",
		"10.0.0.0/ 8",
		"10.0.0.256/8",
		"2001:db8::/129",
		"2001:db8::1",
		"[2001:db8::]/32",
		"example.com/32",
		"::ffff:10.0.0.0/200",
		"fe80::1%eth0/64",
		"\xff\xfe/8",
		"999999999999999999999999999999999999999999999999999999999999999999999999999999999999999/8",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct filter_rule rule;
		struct error err = { .text = "" };
		if (filter_rule_parse(text_view_of(rows[i]), &rule, &err))
			fail_msg("\"%s\" is taken", rows[i]);
		assert_int_equal(strncmp(err.text, "invalid rule \"", 14), 0);
		assert_false(filter_rule_parse(text_view_of(rows[i]), &rule, NULL));
	}
}

static void test_zero_inside(void **state)
{
	struct filter_rule rule;

	(void)state;
	assert_false(filter_rule_parse((struct text_view){ "@host\0:22", 9 }, &rule, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_zero_inside),
	};

	return cmocka_run_group_tests_name("filter_rule", tests, NULL, NULL);
}
