#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/drop.h"

static void test_names(void **state)
{
	(void)state;
	for (int i = 0; i < DROP_REASON_COUNT; i++) {
		const char *name = drop_reason_name((enum drop_reason)i);

		assert_true(strlen(name) > 0);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
				 strlen(name));
		assert_true(strlen(drop_reason_meaning((enum drop_reason)i)) > 0);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, drop_reason_name((enum drop_reason)j));
	}
	assert_string_equal(drop_reason_name(DROP_PORT_FULL), "port_full");
}

static void test_counts(void **state)
{
	struct drop_counters counters = { { 0 } };

	(void)state;
	drop_count(&counters, DROP_NO_PORT);
	drop_count(&counters, DROP_NO_PORT);
	drop_add(&counters, DROP_UNSENT_BYTES, UINT64_C(5000000000));
	drop_count(NULL, DROP_NO_PORT);
	drop_add(NULL, DROP_NO_PORT, 3);
	for (int i = 0; i < DROP_REASON_COUNT; i++) {
		uint64_t expected = i == DROP_NO_PORT	     ? 2
				    : i == DROP_UNSENT_BYTES ? UINT64_C(5000000000)
							     : 0;

		assert_true(counters.count[i] == expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
