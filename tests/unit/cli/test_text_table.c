#include "cli/text_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void test_table(void **state)
{
	static const char *const cells[] = { "Name",
					     "Disk",
					     "State", /**/
					     "a",
					     "10 GB",
					     "running", /**/
					     "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f+",
					     "",
					     "stopped" };
	char *text = NULL;
	size_t size = 0;

	(void)state;
	FILE *stream = open_memstream(&text, &size);
	text_table_print(stream, cells, 3, 3);
	fclose(stream);
	assert_string_equal(text, "Name  Disk  State\n"
				  "a     10 GB running\n"
				  "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f+       stopped\n");
	free(text);
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t size;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },
		{ 999, "999 B" },
		{ 1000, "1.0 kB" },
		{ 1500, "1.5 kB" },
		{ 999949, "999.9 kB" },
		{ 999950, "1.0 MB" },
		{ 50000000000, "50.0 GB" },
		{ UINT64_MAX, "18.4 EB" },
	};
	char text[TEXT_SIZE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_string_equal(text_format_size(rows[i].size, text), rows[i].text);
}

static void test_ages(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
		{ -5, "just now" },	   { 0, "just now" },	       { 59, "just now" },
		{ 60, "1 minute ago" },	   { 3599, "59 minutes ago" }, { 3600, "1 hour ago" },
		{ 86399, "23 hours ago" }, { 86400, "1 day ago" },     { 1000000, "11 days ago" },
		{ INT64_MIN, "just now" },
	};
	char text[TEXT_AGE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_string_equal(text_format_age(rows[i].seconds, text), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_ages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
