#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void test_parse_u64(void **state)
{
	static const struct {
		const char *text;
		uint64_t most;
		bool good;
		uint64_t value;
	} rows[] = {
		{ "0", 0, true, 0 },
		{ "1", 0, false, 0 },
		{ "007", 9, true, 7 },
		{ "00000000000000000000000000001", 9, true, 1 },
		{ "65535", 65535, true, 65535 },
		{ "65536", 65535, false, 0 },
		{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, false, 0 },
		{ "99999999999999999999", UINT64_MAX, false, 0 },
		{ "184467440737095516150", UINT64_MAX, false, 0 },
		{ "", UINT64_MAX, false, 0 },
		{ " 1", UINT64_MAX, false, 0 },
		{ "1 ", UINT64_MAX, false, 0 },
		{ "+1", UINT64_MAX, false, 0 },
		{ "-1", UINT64_MAX, false, 0 },
		{ "0x1", UINT64_MAX, false, 0 },
		{ "1.0", UINT64_MAX, false, 0 },
		{ "1\n", UINT64_MAX, false, 0 },
		{ "\xd9\xa1", UINT64_MAX, false, 0 }, /* an Arabic digit */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t value = 4711;

		assert_int_equal(text_parse_u64(text_view_of(rows[i].text), rows[i].most, &value),
				 rows[i].good);
		assert_true(value == (rows[i].good ? rows[i].value : 4711));
	}
}

static void test_parse_u16(void **state)
{
	struct text_view inner = { .start = "123456", .length = 3 };
	uint16_t value = 1;

	(void)state;
	assert_false(text_parse_u16(text_view_of("65536"), &value));
	assert_int_equal(value, 1);
	assert_true(text_parse_u16(text_view_of("65535"), &value));
	assert_int_equal(value, 65535);
	assert_true(text_parse_u16(inner, &value));
	assert_int_equal(value, 123);
}

static void test_cut(void **state)
{
	static const struct {
		const char *text;
		bool found;
		const char *head;
		const char *rest;
	} rows[] = {
		{ "a:b", true, "a", "b" }, { "a:b:c", true, "a", "b:c" }, { ":b", true, "", "b" },
		{ "a:", true, "a", "" },   { ":", true, "", "" },	  { "ab", false, "ab", "" },
		{ "", false, "", "" },	   { "::", true, "", ":" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct text_view head;
		struct text_view rest;

		assert_int_equal(text_view_cut(text_view_of(rows[i].text), ':', &head, &rest),
				 rows[i].found);
		assert_true(text_view_equal(head, rows[i].head));
		assert_true(text_view_equal(rest, rows[i].rest));
	}
}

static void test_cut_in_place(void **state)
{
	struct text_view rest = text_view_of("a,bb,,c");
	size_t pieces = 0;
	size_t bytes = 0;
	bool more;

	(void)state;
	do {
		struct text_view piece;

		more = text_view_cut(rest, ',', &piece, &rest);
		pieces++;
		bytes += piece.length;
	} while (more);
	assert_int_equal(pieces, 4);
	assert_int_equal(bytes, 4);
}

static void test_copy_and_equal(void **state)
{
	struct text_view view = { .start = "abcdef", .length = 3 };
	struct text_view empty = { .start = NULL, .length = 0 };
	struct text_view rest;
	struct text_view head;
	char buffer[4] = "zzz";

	(void)state;
	assert_false(text_view_copy(view, buffer, 3));
	assert_string_equal(buffer, "zzz");
	assert_true(text_view_copy(view, buffer, 4));
	assert_string_equal(buffer, "abc");
	assert_false(text_view_copy(empty, buffer, 0));
	assert_true(text_view_copy(empty, buffer, 1));
	assert_string_equal(buffer, "");
	assert_true(text_view_equal(view, "abc"));
	assert_false(text_view_equal(view, "abcd"));
	assert_false(text_view_equal(view, "ab"));
	assert_true(text_view_equal(empty, ""));
	assert_false(text_view_cut(empty, ',', &head, &rest));
	assert_int_equal(rest.length, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_parse_u16),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_in_place),
		cmocka_unit_test(test_copy_and_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
