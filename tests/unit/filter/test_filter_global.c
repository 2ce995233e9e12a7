/* What is out in the world (the IPv4 table: tests/softnet_cases.txt). */
#include "filter/filter_global.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void test_table(void **state)
{
	static const struct {
		const char *addr;
		bool global;
	} rows[] = {
		{ "1.1.1.1", true },
		{ "9.255.255.255", true },
		{ "11.0.0.0", true },
		{ "100.63.255.255", true },
		{ "100.128.0.0", true },
		{ "172.15.255.255", true },
		{ "172.32.0.0", true },
		{ "198.17.255.255", true },
		{ "198.20.0.0", true },
		{ "198.19.255.255", false },
		{ "223.255.255.255", true },
		{ "239.1.2.3", false },
		{ "192.0.1.0", true },
		{ "192.0.0.11", false },
		{ "2001:4860:4860::8888", true },
		{ "2001:db8::1", false },
		{ "3fff:0fff::1", false },
		{ "3fff:1000::1", true },
		{ "2001:2::1", false },
		{ "2001:10::1", false },
		{ "2001:20::1", true },
		{ "fe80::1", false },
		{ "fc00::1", false },
		{ "::1", false },
		{ "::", false },
		{ "ff02::1", false },
		{ "::ffff:1.1.1.1", false },
		{ "4000::1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_addr addr;
		assert_true(ip_addr_parse(rows[i].addr, &addr));
		if (filter_is_global(&addr) != rows[i].global)
			fail_msg("%s", rows[i].addr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_table) };

	return cmocka_run_group_tests_name("filter_global", tests, NULL, NULL);
}
