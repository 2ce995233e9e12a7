#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void test_decode(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		uint32_t code;
		bool valid;
	} rows[] = {
		{ "", 0, 0, true },
		{ "a", 1, 'a', true },
		{ "\x7f", 1, 0x7f, true },
		{ "\xc2\x80", 2, 0x80, true },
		{ "\xdf\xbf", 2, 0x7ff, true },
		{ "\xe0\xa0\x80", 3, 0x800, true },
		{ "\xef\xbf\xbf", 3, 0xffff, true },
		{ "\xf0\x90\x80\x80", 4, 0x10000, true },
		{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff, true },
		{ "\x80", 1, UTF8_REPLACEMENT, false },	    /* a tail without a head */
		{ "\xc3", 1, UTF8_REPLACEMENT, false },	    /* ends early */
		{ "\xe2\x82", 1, UTF8_REPLACEMENT, false }, /* ends early */
		{ "\xe2"
		  "a\x82",
		  1, UTF8_REPLACEMENT, false },			    /* broken by another */
		{ "\xc0\xaf", 1, UTF8_REPLACEMENT, false },	    /* overlong '/' */
		{ "\xe0\x80\xaf", 1, UTF8_REPLACEMENT, false },	    /* overlong '/' */
		{ "\xf0\x80\x80\xaf", 1, UTF8_REPLACEMENT, false }, /* overlong '/' */
		{ "\xed\xa0\x80", 1, UTF8_REPLACEMENT, false },	    /* surrogate */
		{ "\xf4\x90\x80\x80", 1, UTF8_REPLACEMENT, false }, /* above U+10FFFF */
		{ "\xff", 1, UTF8_REPLACEMENT, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint32_t code = 0;
		bool valid = true;
		assert_int_equal(utf8_decode(rows[i].text, &code, &valid), rows[i].size);
		assert_int_equal(code, rows[i].code);
		assert_int_equal(valid, rows[i].valid);
		assert_int_equal(utf8_is_valid(rows[i].text), rows[i].valid);
	}
}

static void test_classes(void **state)
{
	static const uint32_t controls[] = { 0,	     1,	     0x1f,   0x7f,   0x85,  0x9f,
					     0x200b, 0x202e, 0x2066, 0x2028, 0xfeff };
	static const uint32_t blanks[] = {
		' ', '\t', '\n', '\r', 0x85, 0xa0, 0x2003, 0x2029, 0x3000
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(controls); i++)
		assert_true(utf8_is_control(controls[i]));
	for (size_t i = 0; i < ARRAY_COUNT(blanks); i++)
		assert_true(utf8_is_blank(blanks[i]));
	assert_false(utf8_is_control('a'));
	assert_false(utf8_is_control(0xe9));
	assert_false(utf8_is_blank('a'));
	assert_false(utf8_is_blank(0x200b));
}

static void test_cut(void **state)
{
	static const struct {
		const char *text;
		size_t most;
		size_t size;
	} rows[] = {
		{ "", 3, 0 },
		{ "abc", 3, 3 },
		{ "abcd", 3, 3 },
		{ "ab\xc3\xa4"
		  "d",
		  3, 4 },
		{ "abe\xcc\x81", 4, 5 },
		{ "abe\xcc\x81", 3, 2 },		       /* not e without its U+0301 */
		{ "abe\xcc\x81\xcc\x82", 4, 2 },	       /* nor with one of two */
		{ "a\xe2\x98\xba\xef\xb8\x8f", 2, 1 },	       /* U+263A U+FE0F */
		{ "a\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd", 2, 1 }, /* a thumb, a skin tone */
		/* Two people joined by U+200D: before, after the first, after the joiner. */
		{ "a\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa8"
		  "b",
		  4, 12 },
		{ "a\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa8"
		  "b",
		  3, 1 },
		{ "a\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa8"
		  "b",
		  2, 1 },
		{ "e\xcc\x81\xcc\x81\xcc\x81", 2, 3 }, /* nothing else is there */
		{ "\xcc\x81\xcc\x81", 1, 2 },
		{ "a\xff\xff", 2, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(utf8_cut(rows[i].text, strlen(rows[i].text), rows[i].most),
				 rows[i].size);
	assert_int_equal(utf8_cut("abcd", 2, 3), 2);
}

static void test_fit(void **state)
{
	static const struct {
		const char *text;
		size_t most;
		size_t size;
	} rows[] = {
		{ "", 0, 0 },
		{ "abc", 3, 3 },
		{ "abc", 2, 2 },
		{ "abc", 0, 0 },
		{ "a\xc3\xa9", 3, 3 },
		{ "a\xc3\xa9", 2, 1 },
		{ "a\xe2\x82\xac", 3, 1 },
		{ "a\xf0\x9f\x98\x80", 5, 5 },
		{ "a\xf0\x9f\x98\x80", 4, 1 },
		{ "a\xf0\x9f\x98\x80", 2, 1 },
		{ "\xf0\x9f\x98\x80", 3, 0 },
		{ "\x80\x80\x80\x80\x80\x80", 5,
		  2 }, /* no UTF-8, and not searched to its beginning */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(utf8_fit(rows[i].text, strlen(rows[i].text), rows[i].most),
				 rows[i].size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
