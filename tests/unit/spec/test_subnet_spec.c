#include "spec/subnet_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void test_good(void **state)
{
	static const struct {
		const char *text;
		uint32_t address;
		uint8_t length;
	} rows[] = {
		{ "10.0.0.0/8", 0x0a000000, 8 },      { "10.9.8.0/30", 0x0a090800, 30 },
		{ "172.16.0.0/12", 0xac100000, 12 },  { "172.31.255.252/30", 0xac1ffffc, 30 },
		{ "192.168.0.0/16", 0xc0a80000, 16 }, { "192.168.7.128/25", 0xc0a80780, 25 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_prefix subnet;
		assert_true(subnet_spec_parse(rows[i].text, &subnet, NULL));
		assert_int_equal(ip_addr_to_v4(&subnet.addr), rows[i].address);
		assert_int_equal(subnet.length, rows[i].length);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		const char *reason;
	} rows[] = {
		{ "", "expected an IPv4 prefix" },
		{ "10.0.0.0", "expected an IPv4 prefix" },
		{ "10.0.0.0/", "expected an IPv4 prefix" },
		{ "10.0.0.0/x", "expected an IPv4 prefix" },
		{ "10.0.0.0/33", "expected an IPv4 prefix" },
		{ "10.0.0.0/24 ", "expected an IPv4 prefix" },
		{ "10.00.0.0/24", "expected an IPv4 prefix" },
		{ "10.0.0/24", "expected an IPv4 prefix" },
		{ "fd00::/64", "expected an IPv4 prefix" },
		{ "10.0.0.0/7", "/8 to /30" },
		{ "0.0.0.0/0", "/8 to /30" },
		{ "10.0.0.0/31", "/8 to /30" },
		{ "10.0.0.1/32", "/8 to /30" },
		{ "10.1.2.1/30", "did you mean 10.1.2.0/30?" },
		{ "192.168.1.0/16", "did you mean 192.168.0.0/16?" },
		{ "11.0.0.0/24", "should lie inside 10.0.0.0/8" },
		{ "172.32.0.0/24", "should lie inside" },
		{ "172.16.0.0/11", "should lie inside" }, /* not: did you mean 172.0.0.0/11? */
		{ "172.0.0.0/8", "should lie inside" },
		{ "192.168.0.0/15", "should lie inside" },
		{ "127.0.0.0/8", "should lie inside" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		struct ip_prefix subnet;
		assert_false(subnet_spec_parse(rows[i].text, &subnet, &err));
		assert_non_null(strstr(err.text, rows[i].reason));
		assert_non_null(strstr(err.text, rows[i].text));
	}
}

static void test_shown(void **state)
{
	struct ip_prefix subnet;
	struct error err;

	(void)state;
	assert_false(subnet_spec_parse("\x1b[2J", &subnet, &err));
	assert_non_null(strstr(err.text, "invalid subnet \"\\u001b[2J\": "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
