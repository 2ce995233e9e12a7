#include "cli/dir_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void test_taken(void **state)
{
	static const struct {
		const char *text;
		const char *path;
		const char *tag;
		bool read_only;
	} rows[] = {
		{ "/srv", "/srv", DIR_SPEC_TAG, false },
		{ "srv", "srv", DIR_SPEC_TAG, false },
		{ "/srv:ro", "/srv", DIR_SPEC_TAG, true },
		{ "/srv:tag=x", "/srv", "x", false },
		{ "/srv:ro,tag=x", "/srv", "x", true },
		{ "/srv:tag=x,ro,tag=y", "/srv", "y", true },
		{ "src:/srv", "/srv", "src", false },
		{ "src:srv", "srv", "src", false },
		{ "src:/srv:ro", "/srv", "src", true },
		{ "src:srv:tag=x", "srv", "x", false },
		{ "a, b:/s, t:ro", "/s, t", "a, b", true },
		{ "srv:ro", "srv", DIR_SPEC_TAG, true },
		{ "/a:b:", "/a:b", DIR_SPEC_TAG, false },
		{ "/a:b/c", "/a:b/c", DIR_SPEC_TAG, false },
		{ "/a:b:ro", "/a:b", DIR_SPEC_TAG, true },
		{ "n:/a:b/c:ro", "/a:b/c", "n", true },
		{ "n:a:b:", "a:b", "n", false },
		{ "/srv:", "/srv", DIR_SPEC_TAG, false },
		{ "~", "/home/me", DIR_SPEC_TAG, false },
		{ "~/src:ro", "/home/me/src", DIR_SPEC_TAG, true },
		{ "src:~/src", "/home/me/src", "src", false },
		{ "~other/src", "~other/src", DIR_SPEC_TAG, false },
		{ "./~", "./~", DIR_SPEC_TAG, false },
		{ "/srv:tag=0123456789012345678901234567890", "/srv",
		  "0123456789012345678901234567890", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dir_spec spec = { 0 };
		assert_true(dir_spec_parse(rows[i].text, "/home/me", &spec, NULL));
		assert_string_equal(spec.path, rows[i].path);
		assert_string_equal(spec.tag, rows[i].tag);
		assert_int_equal(spec.read_only, rows[i].read_only);
		dir_spec_done(&spec);
		dir_spec_done(&spec);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		const char *said;
	} rows[] = {
		{ "", "its path is missing" },
		{ ":ro", "its path is missing" },
		{ "src:", "" },
		{ "/srv:rw", "unknown option \"rw\"" },
		{ "/srv:ro,", "unknown option \"\"" },
		{ "/srv:RO", "unknown option \"RO\"" },
		{ "/srv:ro,tag", "unknown option \"tag\"" },
		{ "/srv:tags=x", "unknown option \"tags=x\"" },
		{ "n:/srv:x", "unknown option \"x\"" },
		{ "n:srv:x", "unknown option \"x\"" },
		{ "/srv:tag=", "its tag has to be 1 to 31" },
		{ "/srv:tag=01234567890123456789012345678901", "its tag has to be" },
		{ "/srv:tag=a'b", "without an apostrophe" },
		{ "/srv:tag=\xc3\xa4", "its tag has to be" },
		{ "a\nb:/srv", "its name has to be" },
		{ ":/srv", "its name has to be" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dir_spec spec = { 0 };
		struct error err = { .text = "" };
		bool good = dir_spec_parse(rows[i].text, NULL, &spec, &err);
		if (!rows[i].said[0]) { /* a folder "src" */
			assert_true(good);
			assert_string_equal(spec.path, "src");
			dir_spec_done(&spec);
			continue;
		}
		assert_false(good);
		assert_null(spec.path);
		assert_non_null(strstr(err.text, rows[i].said));
	}
}

/* Without $HOME it is a name like others. */
static void test_no_home(void **state)
{
	struct dir_spec spec = { 0 };

	(void)state;
	assert_true(dir_spec_parse("~/src", NULL, &spec, NULL));
	assert_string_equal(spec.path, "~/src");
	dir_spec_done(&spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
