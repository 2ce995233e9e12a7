#include "cli/completion_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static const struct argp_option child_table[] = {
	{ .name = "wait", .key = 300, .arg = "SECONDS", .doc = "how long" },
	{ .name = "warm", .key = 301, .doc = "or not" },
	{ 0 },
};
static const struct argp child_argp = { .options = child_table };
static const struct argp_option table[] = {
	{ .doc = "A heading:", .group = 1 },
	{ .name = "format", .key = 'f', .arg = "text|json", .doc = "how" },
	{ .name = "form-of", .flags = OPTION_ALIAS },
	{ .key = 'q', .doc = "quiet" },
	{ .name = "secret", .key = 302, .flags = OPTION_HIDDEN },
	{ .name = "level", .key = 'l', .arg = "N", .flags = OPTION_ARG_OPTIONAL },
	{ .name = "not one", .flags = OPTION_DOC, .doc = "text" },
	{ 0 },
};
static const struct argp argp = {
	.options = table,
	.children = (const struct argp_child[]){ { .argp = &child_argp }, { 0 } },
};

static void collects(void **state)
{
	static const struct {
		const char *name;
		char letter;
		bool is_shown;
		const char *argument;
	} wanted[] = {
		{ "format", 'f', true, "text|json" },
		{ "form-of", 0, true, "text|json" },
		{ NULL, 'q', true, NULL },
		{ "secret", 0, false, NULL },
		{ "level", 'l', true, NULL },
		{ "wait", 0, true, "SECONDS" },
		{ "warm", 0, true, NULL },
	};
	struct completion_options options;

	(void)state;
	completion_options_collect(&argp, &options);
	assert_int_equal(options.count, ARRAY_COUNT(wanted));
	for (size_t i = 0; i < options.count; i++) {
		const struct completion_option *option = &options.items[i];

		if (wanted[i].name)
			assert_string_equal(option->name, wanted[i].name);
		else
			assert_null(option->name);
		assert_int_equal(option->letter, wanted[i].letter);
		assert_int_equal(option->is_shown, wanted[i].is_shown);
		if (wanted[i].argument)
			assert_string_equal(option->argument, wanted[i].argument);
		else
			assert_null(option->argument);
		assert_non_null(option->doc);
	}
	assert_string_equal(options.items[1].doc, "how");
}

struct line {
	const char *words[5];
	bool in_order;
	const char *option; /* its value is written; NULL = of none */
	bool is_option;
	size_t argument_count;
	size_t last; /* the index of the last argument */
};

static void places(void **state)
{
	static const struct line lines[] = {
		{ { "" }, false, NULL, false, 1, 0 },
		{ { "a", "b" }, false, NULL, false, 2, 1 },
		{ { "-" }, false, NULL, true, 0, 0 },
		{ { "--fo" }, false, NULL, true, 0, 0 },
		{ { "-f", "" }, false, "format", false, 0, 0 },
		{ { "-f", "-" }, false, "format", false, 0, 0 },
		{ { "-qf", "" }, false, "format", false, 0, 0 },
		{ { "-fjson", "" }, false, NULL, false, 1, 1 },
		{ { "-f", "json", "" }, false, NULL, false, 1, 2 },
		{ { "--format", "" }, false, "format", false, 0, 0 },
		{ { "--forma", "" }, false, "format", false, 0, 0 },
		{ { "--form", "" }, false, NULL, false, 1, 1 }, /* it may be --form-of */
		{ { "--form-of", "" }, false, "form-of", false, 0, 0 },
		{ { "--format=json", "" }, false, NULL, false, 1, 1 },
		{ { "--format=" }, false, "format", false, 0, 0 },
		{ { "--nonsense=" }, false, NULL, false, 0, 0 },
		{ { "--nonsense", "" }, false, NULL, false, 1, 1 },
		{ { "--level", "" }, false, NULL, false, 1, 1 },
		{ { "--wai", "1", "a" }, false, NULL, false, 1, 2 },
		{ { "a", "--", "-f", "-" }, false, NULL, false, 3, 3 },
		{ { "a", "-" }, false, NULL, true, 1, 0 },
		{ { "a", "-" }, true, NULL, false, 2, 1 },
		{ { "-q", "a", "-f", "" }, true, NULL, false, 3, 3 },
		{ { "-", "" }, false, NULL, false, 2, 1 }, /* "-" alone is no option */
	};
	struct completion_options options;

	(void)state;
	completion_options_collect(&argp, &options);
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		const struct line *line = &lines[i];
		struct completion_place place;
		size_t count = 0;

		while (count < ARRAY_COUNT(line->words) && line->words[count])
			count++;
		completion_options_place(&options, line->words, count, line->in_order, &place);
		if (line->option)
			assert_string_equal(place.option->name, line->option);
		else
			assert_null(place.option);
		assert_int_equal(place.is_option, line->is_option);
		assert_int_equal(place.argument_count, line->argument_count);
		if (place.argument_count > 0)
			assert_int_equal(place.arguments[place.argument_count - 1], line->last);
	}
}

/* More arguments than are kept: the first stay. */
static void many_arguments(void **state)
{
	static const char word[] = "a";
	struct completion_options options;
	struct completion_place place;
	const char *words[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(words); i++)
		words[i] = word;
	completion_options_collect(&argp, &options);
	completion_options_place(&options, words, ARRAY_COUNT(words), false, &place);
	assert_int_equal(place.argument_count, ARRAY_COUNT(place.arguments));
	assert_int_equal(place.arguments[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collects),
		cmocka_unit_test(places),
		cmocka_unit_test(many_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
