#include "vm/draft_name.h"

#include "base/compiler.h"
#include "scratch.h"

static void test_make(void **state)
{
	char one[DRAFT_NAME_SIZE];
	char other[DRAFT_NAME_SIZE];

	(void)state;
	draft_name_make(one);
	draft_name_make(other);
	assert_true(draft_name_is(one) && draft_name_is(other));
	assert_string_not_equal(one, other);
}

static void test_no_other_name(void **state)
{
	static const char *const others[] = {
		"",
		".",
		"thesis",
		"journal",
		"0123456789abcdef",
		"tartlet-0123456789abcdef",
		"tartlet-0123456789abcde.draft",
		"tartlet-0123456789abcdef0.draft",
		"tartlet-0123456789ABCDEF.draft",
		"tartlet-0123456789abcdef.drafts",
		"tartlet-0123456789abcdef.draft/x",
		".tartlet-0123456789abcdef.draft",
		"../tartlet-0123456789abcdef.draft",
	};

	(void)state;
	assert_true(draft_name_is("tartlet-0123456789abcdef.draft"));
	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		assert_false(draft_name_is(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_no_other_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
