#include "base/printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"

static void test_printable(void **state)
{
	static const struct {
		const char *text;
		const char *shown;
	} rows[] = {
		{ "", "" },
		{ "8080:80", "8080:80" },
		{ "Gr\xc3\xb6\xc3\x9f"
		  "e",
		  "Gr\xc3\xb6\xc3\x9f"
		  "e" },
		{ "a\x1b[2J\x7f", "a\\u001b[2J\\u007f" },
		{ "\xc2\x9b", "\\u009b" },
		{ "\xe2\x80\xae", "\\u202e" },
		{ "\xc3", "\\xc3" },
		{ "\xff\xfe", "\\xff\\xfe" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char buffer[64];
		assert_string_equal(printable(rows[i].text, buffer, sizeof(buffer)), rows[i].shown);
	}
}

/* Never in the middle of a character or of an escape. */
static void test_cut(void **state)
{
	char buffer[8];

	(void)state;
	assert_string_equal(printable("12345678", buffer, sizeof(buffer)), "1234567");
	assert_string_equal(printable("123456\xc3\xb6", buffer, sizeof(buffer)), "123456");
	assert_string_equal(printable("12\x1b", buffer, sizeof(buffer)), "12");
	assert_string_equal(printable("1\x1b", buffer, sizeof(buffer)), "1\\u001b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
