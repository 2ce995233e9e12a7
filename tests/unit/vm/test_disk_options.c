#include "vm/disk_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/error.h"

static void test_taken(void **state)
{
	static const struct {
		const char *text;
		struct disk_options options;
	} rows[] = {
		{ "", { false, DISK_SYNC_FULL, DISK_CACHING_AUTOMATIC } },
		{ "ro", { true, DISK_SYNC_FULL, DISK_CACHING_AUTOMATIC } },
		{ "sync=none", { false, DISK_SYNC_NONE, DISK_CACHING_AUTOMATIC } },
		{ "sync=fsync", { false, DISK_SYNC_FSYNC, DISK_CACHING_AUTOMATIC } },
		{ "sync=none,sync=full", { false, DISK_SYNC_FULL, DISK_CACHING_AUTOMATIC } },
		{ "caching=automatic", { false, DISK_SYNC_FULL, DISK_CACHING_AUTOMATIC } },
		{ "caching=cached", { false, DISK_SYNC_FULL, DISK_CACHING_CACHED } },
		{ "caching=uncached,ro,sync=none",
		  { true, DISK_SYNC_NONE, DISK_CACHING_UNCACHED } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct disk_options options = { true, DISK_SYNC_NONE, DISK_CACHING_UNCACHED };
		assert_true(disk_options_parse(rows[i].text, &options, NULL));
		assert_int_equal(options.read_only, rows[i].options.read_only);
		assert_int_equal(options.sync, rows[i].options.sync);
		assert_int_equal(options.caching, rows[i].options.caching);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		const char *piece;
	} rows[] = {
		{ "rw", "\"rw\"" },
		{ ",", "\"\"" },
		{ "ro,", "\"\"" },
		{ "ro,,ro", "\"\"" },
		{ "ro=1", "\"ro=1\"" },
		{ "sync", "\"sync\"" },
		{ "sync=", "\"sync=\"" },
		{ "ro,sync=FULL", "\"sync=FULL\"" },
		{ "caching=no", "\"caching=no\"" },
		{ "cache=cached", "\"cache=cached\"" },
		{ " ro", "\" ro\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct disk_options options = { 0 };
		struct error err = { .text = "" };
		assert_false(disk_options_parse(rows[i].text, &options, &err));
		assert_non_null(strstr(err.text, rows[i].piece));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
