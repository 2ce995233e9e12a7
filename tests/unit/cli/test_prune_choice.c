#include "cli/prune_choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define MOST 5

/* Names are one letter each; sizes and times as the table says. */
struct row {
	const char *what;
	struct prune_criteria criteria;
	struct prune_candidate candidates[MOST];
	const char *gone; /* the names that are chosen, latest used first */
};

static const struct row rows[] = {
	{ "no criterion",
	  { .used_before_s = 100, .budget = 0 },
	  { { "a", 10, 5, false }, { "b", 20, 5, false } },
	  "" },
	{ "age: just before counts, the second itself does not",
	  { .by_age = true, .used_before_s = 100 },
	  { { "a", 99, 5, false }, { "b", 100, 5, false }, { "c", 101, 5, false } },
	  "a" },
	{ "a budget of nothing: all that takes room goes",
	  { .by_budget = true },
	  { { "a", 1, 1, false }, { "b", 2, 0, false }, { "c", 3, 7, false } },
	  "ca" },
	{ "a budget that is enough to the byte",
	  { .by_budget = true, .budget = 12 },
	  { { "a", 1, 4, false }, { "b", 2, 8, false } },
	  "" },
	{ "who was used last stays",
	  { .by_budget = true, .budget = 11 },
	  { { "a", 1, 4, false }, { "b", 2, 8, false } },
	  "a" },
	{ "one that is too large does not take the room of smaller ones",
	  { .by_budget = true, .budget = 10 },
	  { { "a", 3, 6, false }, { "b", 2, 5, false }, { "c", 1, 4, false } },
	  "b" },
	{ "the age first: the budget is for what stays",
	  { .by_age = true, .used_before_s = 2, .by_budget = true, .budget = 6 },
	  { { "a", 1, 6, false }, { "b", 2, 6, false }, { "c", 3, 1, false } },
	  "ba" },
	{ "used in the same second: by name",
	  { .by_budget = true, .budget = 5 },
	  { { "b", 7, 5, false }, { "a", 7, 5, false } },
	  "b" },
	{ "sizes at the end of the range",
	  { .by_budget = true, .budget = UINT64_MAX },
	  { { "a", 1, UINT64_MAX, false }, { "b", 2, 1, false } },
	  "a" },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct prune_candidate candidates[MOST];
		char gone[MOST + 1] = "";
		size_t count = 0;

		memcpy(candidates, rows[i].candidates, sizeof(candidates));
		while (count < MOST && candidates[count].name)
			count++;
		prune_choose(&rows[i].criteria, candidates, count);
		for (size_t k = 0; k < count; k++) {
			if (candidates[k].chosen)
				strncat(gone, candidates[k].name, 1);
		}
		if (strcmp(gone, rows[i].gone) != 0)
			print_error("%s: \"%s\" instead of \"%s\"\n", rows[i].what, gone,
				    rows[i].gone);
		assert_string_equal(gone, rows[i].gone);
	}
}

static void test_none(void **state)
{
	const struct prune_criteria all = { .by_budget = true };

	(void)state;
	prune_choose(&all, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
