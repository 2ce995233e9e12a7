#include "vm/agent_lines.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MOST ((size_t)1000)

static void add(struct agent_lines *lines, const char *text)
{
	for (size_t left = strlen(text); left > 0;) {
		char *room;
		size_t size;

		assert_int_equal(agent_lines_reserve(lines, MOST, &room, &size), 0);
		assert_in_range(size, 1, MOST);
		if (size > left)
			size = left;
		memcpy(room, text, size);
		agent_lines_added(lines, size);
		text += size;
		left -= size;
	}
}

static void expect_line(struct agent_lines *lines, const char *text)
{
	const char *line;
	size_t size;

	assert_true(agent_lines_next(lines, &line, &size));
	assert_int_equal(size, strlen(text));
	assert_memory_equal(line, text, size);
}

static void expect_none(struct agent_lines *lines)
{
	const char *line;
	size_t size;

	assert_false(agent_lines_next(lines, &line, &size));
}

static void test_pieces(void **state)
{
	struct agent_lines lines = { 0 };

	(void)state;
	expect_none(&lines);
	add(&lines, "fir");
	expect_none(&lines);
	expect_none(&lines);
	add(&lines, "st\n\nthird\r\nfour");
	expect_line(&lines, "first");
	expect_line(&lines, "");
	expect_line(&lines, "third\r");
	expect_none(&lines);
	add(&lines, "th\n");
	expect_line(&lines, "fourth");
	expect_none(&lines);
	agent_lines_done(&lines);
}

static void test_delimiters(void **state)
{
	struct agent_lines lines = { 0 };

	(void)state;
	assert_false(agent_lines_skip_to_delimiter(&lines));
	agent_lines_drop(&lines);
	add(&lines, "one\ntwo");
	assert_false(agent_lines_skip_to_delimiter(&lines));
	expect_line(&lines, "one");
	add(&lines, "\xff"
		    "three\n\xff"
		    "four\nfive");
	assert_true(agent_lines_skip_to_delimiter(&lines));
	assert_false(agent_lines_skip_to_delimiter(&lines));
	expect_line(&lines, "four");
	agent_lines_drop(&lines);
	expect_none(&lines);
	add(&lines, "six\n\xff");
	assert_true(agent_lines_skip_to_delimiter(&lines));
	expect_none(&lines);
	add(&lines, "seven\n");
	expect_line(&lines, "seven");
	agent_lines_done(&lines);
}

static void test_longest(void **state)
{
	struct agent_lines lines = { 0 };
	char text[MOST + 1];
	char *room;
	size_t size;

	(void)state;
	memset(text, 'x', MOST);
	text[MOST - 1] = '\n';
	text[MOST] = 0;
	add(&lines, text);
	text[MOST - 1] = 0;
	expect_line(&lines, text);
	add(&lines, text);
	add(&lines, "y");
	expect_none(&lines);
	assert_int_equal(agent_lines_reserve(&lines, MOST, &room, &size), -ENOBUFS);
	assert_int_equal(agent_lines_reserve(&lines, MOST - 1, &room, &size), -ENOBUFS);
	agent_lines_drop(&lines);
	assert_int_equal(agent_lines_reserve(&lines, MOST, &room, &size), 0);
	assert_int_equal(size, MOST);
	assert_int_equal(agent_lines_reserve(&lines, 10, &room, &size), 0);
	assert_int_equal(size, 10);
	agent_lines_done(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_delimiters),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
