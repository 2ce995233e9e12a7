#include "vm/vm_name.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void test_good(void **state)
{
	static const char *const names[] = { "a",  "ci-3",	"Debian 12", "\xc3\xa4pfel",
					     "a.", "a..b, c=d", "  ",	     "~x:y" };
	char longest[VM_NAME_MOST + 1];
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		assert_int_equal(vm_name_check(names[i], &err), 0);
	memset(longest, 'x', VM_NAME_MOST);
	longest[VM_NAME_MOST] = 0;
	assert_int_equal(vm_name_check(longest, &err), 0);
}

static void test_bad(void **state)
{
	static const struct {
		const char *name;
		const char *reason;
	} rows[] = {
		{ "", "is empty" },
		{ ".", "begin with a dot" },
		{ "..", "begin with a dot" },
		{ ".hidden", "begin with a dot" },
		{ "a/b", "local name" },
		{ "/", "local name" },
		{ "../../etc", "local name" },
		{ "-x", "hyphen" },
		{ "a\nb", "control character (U+000A at byte 2)" },
		{ "\x1b[31m", "control character (U+001B at byte 1)" },
		{ "a\x7f", "control character" },
		{ "a\xe2\x80\xae"
		  "b",
		  "control character (U+202E at byte 2)" },
		{ "ab\xff", "not valid UTF-8 (at byte 3)" },
		{ "\xc0\xaf", "not valid UTF-8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		assert_int_equal(vm_name_check(rows[i].name, &err), -EINVAL);
		assert_non_null(strstr(err.text, rows[i].reason));
		assert_null(strchr(err.text, '\n'));
		assert_null(strchr(err.text, '\x1b'));
	}
}

static void test_too_long(void **state)
{
	char name[VM_NAME_MOST + 2];
	struct error err;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(vm_name_check(name, &err), -EINVAL);
	assert_non_null(strstr(err.text, "256 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
