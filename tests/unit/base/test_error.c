#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void test_set_and_prefix(void **state)
{
	struct error err = { "" };

	(void)state;
	error_set(&err, "port %d is taken", 22);
	assert_string_equal(err.text, "port 22 is taken");
	error_prefix(&err, "vm %s", "ci-3");
	assert_string_equal(err.text, "vm ci-3: port 22 is taken");
	error_set(&err, "<%s>", err.text);
	assert_string_equal(err.text, "<vm ci-3: port 22 is taken>");
	error_set(&err, "%s", "");
	assert_string_equal(err.text, "");
}

static void test_nobody_cares(void **state)
{
	(void)state;
	error_set(NULL, "%d", 1);
	error_prefix(NULL, "%d", 1);
}

static void test_too_long(void **state)
{
	struct error err;
	char text[2 * sizeof(err.text)];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	error_set(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	error_prefix(&err, "start");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "start: xxx", 10);
	error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_int_equal(err.text[sizeof(err.text) - 2], 'x');
}

/* No half of a character: JSON has no place for it. */
static void test_cut_between_characters(void **state)
{
	struct error err;
	char text[2 * sizeof(err.text)];

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 3);
	error_set(&err, "%s", text);
	assert_int_equal(strlen(err.text), 510);
	error_set(&err, "x%s", text);
	assert_int_equal(strlen(err.text), 511);
	error_prefix(&err, "%s", "a");
	assert_int_equal(strlen(err.text), 510);
	error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.text), 510);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_prefix),
		cmocka_unit_test(test_nobody_cares),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
