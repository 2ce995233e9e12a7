#include "cli/completion_usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void literals(void **state)
{
	(void)state;
	assert_true(completion_usage_is_literal("add"));
	assert_true(completion_usage_is_literal("vhost-user"));
	assert_true(completion_usage_is_literal("qcow2"));
	assert_true(completion_usage_is_literal("9p"));
	assert_false(completion_usage_is_literal("NAME"));
	assert_false(completion_usage_is_literal("on|off"));
	assert_false(completion_usage_is_literal(""));
	assert_false(completion_usage_is_literal("-"));
	assert_false(completion_usage_is_literal("2"));
}

struct line {
	const char *usage;
	const char *written[3];
	const char *words[3]; /* what the next may be, form by form; "" = nothing */
	bool repeats;
};

static void next_words(void **state)
{
	static const struct line lines[] = {
		{ "NAME", { NULL }, { "NAME" }, false },
		{ "NAME", { "one" }, { "" }, false },
		{ "NAME...", { NULL }, { "NAME" }, true },
		{ "NAME...", { "one", "two" }, { "NAME" }, true },
		{ "NAME [COMMAND...]", { "one" }, { "COMMAND" }, true },
		{ "NAME [COMMAND...]", { "one", "ls" }, { "COMMAND" }, true },
		{ "NAME [PORT]", { "one" }, { "PORT" }, false },
		{ "NAME PATH[:ro]", { "one" }, { "PATH" }, false },
		{ "add NAME SPEC\nlist NAME", { NULL }, { "add", "list" }, false },
		{ "add NAME SPEC\nlist NAME", { "list" }, { "", "NAME" }, false },
		{ "add NAME SPEC\nlist NAME", { "add", "one" }, { "SPEC", "" }, false },
		{ "add NAME SPEC\nlist NAME", { "other" }, { "", "" }, false },
		{ "-- COMMAND [ARGUMENT...]\n--netns PATH|PID",
		  { NULL },
		  { "COMMAND", "" },
		  false },
		{ "-- COMMAND [ARGUMENT...]\n--netns PATH|PID",
		  { "ls" },
		  { "ARGUMENT", "" },
		  true },
		{ "", { NULL }, { "" }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		const struct line *line = &lines[i];
		const char *form = line->usage;
		size_t index = 0;

		while (index < ARRAY_COUNT(line->written) && line->written[index])
			index++;
		for (size_t number = 0; line->words[number]; number++) {
			struct completion_word word;

			assert_non_null(form);
			bool found = completion_usage_next(&form, line->written, index, &word);
			assert_int_equal(found, line->words[number][0] != '\0');
			if (found) {
				assert_string_equal(word.text, line->words[number]);
				assert_int_equal(word.repeats, line->repeats);
			}
		}
		assert_null(form);
	}
}

/* Longer than there is room for: cut. */
static void long_word(void **state)
{
	char usage[2 * COMPLETION_WORD_SIZE];
	const char *form = usage;
	struct completion_word word;

	(void)state;
	memset(usage, 'X', sizeof(usage) - 1);
	usage[sizeof(usage) - 1] = '\0';
	assert_true(completion_usage_next(&form, NULL, 0, &word));
	assert_int_equal(strlen(word.text), COMPLETION_WORD_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals),
		cmocka_unit_test(next_words),
		cmocka_unit_test(long_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
