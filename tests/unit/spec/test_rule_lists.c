/* Lists of rules, as people write them on the command line. */
#include "spec/rule_lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/error.h"

static void test_added(void **state)
{
	struct rule_list list = { 0 };
	struct error err;

	(void)state;
	assert_true(rule_list_add(&list, "in @host,out 192.168.0.0/24", &err));
	assert_true(rule_list_add(&list, "10.0.0.0/8:80-90", &err));
	assert_int_equal(list.count, 3);
	assert_string_equal(list.texts[0], "in @host");
	assert_string_equal(list.texts[1], "out 192.168.0.0/24");
	assert_string_equal(list.texts[2], "10.0.0.0/8:80-90");
	rule_list_done(&list);
	assert_int_equal(list.count, 0);
}

static void test_refused_as_a_whole(void **state)
{
	static const char *const rows[] = { "",		",", "@host,", ",@host", "@host, in @host",
					    "10.0.0.1", "x" };
	struct rule_list list = { 0 };
	struct error err;

	(void)state;
	assert_true(rule_list_add(&list, "@host", &err));
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		err.text[0] = '\0';
		assert_false(rule_list_add(&list, rows[i], &err));
		assert_non_null(strstr(err.text, "invalid rule \""));
		assert_int_equal(list.count, 1);
	}
	rule_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_refused_as_a_whole),
	};

	return cmocka_run_group_tests_name("rule_lists", tests, NULL, NULL);
}
