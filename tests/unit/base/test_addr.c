#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"

static struct ip_addr ip(const char *text)
{
	struct ip_addr addr;

	assert_true(ip_addr_parse(text, &addr));
	return addr;
}

static struct ip_prefix prefix_of(const char *text)
{
	struct ip_prefix prefix;

	assert_true(ip_prefix_parse(text, &prefix));
	return prefix;
}

static void test_mac_parse(void **state)
{
	static const struct {
		const char *text;
		const char *expected; /* NULL = refused */
	} rows[] = {
		{ "52:54:00:12:34:56", "52:54:00:12:34:56" },
		{ "AA:bB:cc:Dd:EE:ff", "aa:bb:cc:dd:ee:ff" },
		{ "1:2:3:4:5:6", "01:02:03:04:05:06" },
		{ "0:0:0:0:0:0", "00:00:00:00:00:00" },
		{ "", NULL },
		{ "1:2:3:4:5", NULL },
		{ "1:2:3:4:5:", NULL },
		{ "1:2:3:4:5:6:", NULL },
		{ "1:2:3:4:5:6:7", NULL },
		{ "1:2:3:4:5:6 ", NULL },
		{ " 1:2:3:4:5:6", NULL },
		{ "001:2:3:4:5:6", NULL },
		{ "1::3:4:5:6", NULL },
		{ "g:2:3:4:5:6", NULL },
		{ "1-2-3-4-5-6", NULL },
		{ "525400123456", NULL },
		{ "+1:2:3:4:5:6", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct mac_addr addr = { { 9 } };
		char text[MAC_ADDR_TEXT_SIZE];

		assert_int_equal(mac_addr_parse(rows[i].text, &addr), rows[i].expected != NULL);
		if (rows[i].expected)
			assert_string_equal(mac_addr_format(&addr, text), rows[i].expected);
		else
			assert_int_equal(addr.octet[0], 9);
	}
}

static void test_mac_kinds(void **state)
{
	struct mac_addr zero = { { 0 } };
	struct mac_addr group = { { 0x33, 0x33, 0, 0, 0, 1 } };
	struct mac_addr single = { { 0x52, 0x54, 0, 0, 0, 1 } };

	(void)state;
	assert_true(mac_addr_is_zero(&zero));
	assert_false(mac_addr_is_zero(&single));
	assert_true(mac_addr_is_multicast(&group));
	assert_true(mac_addr_is_multicast(&mac_addr_broadcast));
	assert_false(mac_addr_is_multicast(&single));
	assert_true(mac_addr_equal(&single, &single));
	assert_false(mac_addr_equal(&single, &group));
}

static void test_ip_parse(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
	} rows[] = {
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "192.168.64.1", "192.168.64.1" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "FE80::1", "fe80::1" },
		{ "2001:db8:0:0:0:0:0:1", "2001:db8::1" },
		{ "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ "", NULL },
		{ "1.2.3", NULL },
		{ "1.2.3.4.5", NULL },
		{ "1.2.3.256", NULL },
		{ "01.2.3.4", NULL },
		{ "1.2.3.04", NULL },
		{ "00.0.0.0", NULL },
		{ "0x1.2.3.4", NULL },
		{ " 1.2.3.4", NULL },
		{ "1.2.3.4 ", NULL },
		{ "1.2.3.4/8", NULL },
		{ "fe80::1%eth0", NULL },
		{ "[::1]", NULL },
		{ ":::", NULL },
		{ "1::2::3", NULL },
		{ "12345::", NULL },
		{ "::ffff:1.2.3.04", NULL },
		{ "1:2:3:4:5:6:7", NULL },
		{ "1:2:3:4:5:6:7:8:9", NULL },
		{ "localhost", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_addr addr = { .family = 77 };
		char text[IP_ADDR_TEXT_SIZE];

		assert_int_equal(ip_addr_parse(rows[i].text, &addr), rows[i].expected != NULL);
		if (rows[i].expected)
			assert_string_equal(ip_addr_format(&addr, text), rows[i].expected);
		else
			assert_int_equal(addr.family, 77);
	}
}

static void test_ip_kinds(void **state)
{
	static const struct {
		const char *text;
		bool unspecified, loopback, multicast;
	} rows[] = {
		{ "0.0.0.0", true, false, false },
		{ "::", true, false, false },
		{ "0.0.0.1", false, false, false },
		{ "127.0.0.1", false, true, false },
		{ "127.255.255.255", false, true, false },
		{ "126.255.255.255", false, false, false },
		{ "128.0.0.0", false, false, false },
		{ "::1", false, true, false },
		{ "::2", false, false, false },
		{ "::ffff:127.0.0.1", false, true, false },
		{ "::ffff:127.9.9.9", false, true, false },
		{ "::ffff:10.0.0.1", false, false, false },
		{ "::127.0.0.1", false, false, false },
		{ "223.255.255.255", false, false, false },
		{ "224.0.0.1", false, false, true },
		{ "239.255.255.255", false, false, true },
		{ "240.0.0.0", false, false, false },
		{ "ff02::1", false, false, true },
		{ "fe80::1", false, false, false },
	};
	struct ip_addr none = { .family = IP_FAMILY_NONE };
	char text[IP_ADDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_addr addr = ip(rows[i].text);

		assert_int_equal(ip_addr_is_unspecified(&addr), rows[i].unspecified);
		assert_int_equal(ip_addr_is_loopback(&addr), rows[i].loopback);
		assert_int_equal(ip_addr_is_multicast(&addr), rows[i].multicast);
	}
	assert_true(ip_addr_is_unspecified(&none));
	assert_false(ip_addr_is_loopback(&none));
	assert_false(ip_addr_is_multicast(&none));
	assert_string_equal(ip_addr_format(&none, text), "none");
}

static void test_ip_listener(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{ "224.0.0.1", "is a group address" },
		{ "239.255.255.255", "is a group address" },
		{ "ff02::1", "is a group address" },
		{ "::ffff:224.0.0.1", "is a group address" },
		{ "255.255.255.255", "is a broadcast address" },
		{ "127.255.255.255", "is a broadcast address" },
		{ "fe80::1", "is link-local and means nothing without an interface" },
		{ "febf::1", "is link-local and means nothing without an interface" },
		{ "0.0.0.0", NULL },
		{ "::", NULL },
		{ "127.0.0.1", NULL },
		{ "127.255.255.254", NULL },
		{ "192.0.2.255", NULL },
		{ "169.254.0.1", NULL },
		{ "fec0::1", NULL },
		{ "fe7f::1", NULL },
		{ "2001:db8::1", NULL },
	};
	const struct ip_addr none = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_addr addr = ip(rows[i].text);
		const char *why = ip_addr_why_no_listener(&addr);

		if (rows[i].why)
			assert_string_equal(why, rows[i].why);
		else
			assert_null(why);
	}
	assert_null(ip_addr_why_no_listener(&none));
}

static void test_ip_numbers(void **state)
{
	struct ip_addr v4 = ip_addr_from_v4(UINT32_C(0xc0a84001));
	struct ip_addr text = ip("192.168.64.1");
	struct ip_addr mapped = ip("::ffff:192.168.64.1");
	struct ip_addr v6 = ip("2001:db8::1");
	struct ip_addr plain = ip_addr_unmap(&mapped);

	(void)state;
	assert_memory_equal(&v4, &text, sizeof(v4));
	assert_int_equal(ip_addr_to_v4(&text), UINT32_C(0xc0a84001));
	assert_true(ip_addr_is_v4(&v4));
	assert_false(ip_addr_is_v4(&mapped));
	assert_false(ip_addr_equal(&v4, &mapped));
	assert_memory_equal(&plain, &v4, sizeof(v4));
	plain = ip_addr_unmap(&v6);
	assert_true(ip_addr_equal(&plain, &v6));
	plain = ip_addr_from_v6(v6.octet);
	assert_true(ip_addr_equal(&plain, &v6));
	/* 0.0.0.0 and :: share their bytes, not their family. */
	v4 = ip("0.0.0.0");
	v6 = ip("::");
	assert_false(ip_addr_equal(&v4, &v6));
}

static void test_endpoint(void **state)
{
	static const struct {
		const char *addr;
		uint16_t port;
		const char *text;
		socklen_t size;
	} rows[] = {
		{ "1.2.3.4", 80, "1.2.3.4:80", sizeof(struct sockaddr_in) },
		{ "255.255.255.255", 65535, "255.255.255.255:65535", sizeof(struct sockaddr_in) },
		{ "::1", 80, "[::1]:80", sizeof(struct sockaddr_in6) },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", sizeof(struct sockaddr_in6) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_endpoint endpoint = { ip(rows[i].addr), rows[i].port };
		struct ip_endpoint back;
		struct sockaddr_storage sockaddr;
		char text[IP_ENDPOINT_TEXT_SIZE];

		assert_string_equal(ip_endpoint_format(&endpoint, text), rows[i].text);
		assert_int_equal(ip_endpoint_to_sockaddr(&endpoint, &sockaddr), rows[i].size);
		assert_true(ip_endpoint_from_sockaddr(&sockaddr, &back));
		assert_true(ip_endpoint_equal(&endpoint, &back));
		back.port ^= 1;
		assert_false(ip_endpoint_equal(&endpoint, &back));
	}
}

static void test_sockaddr(void **state)
{
	struct sockaddr_storage sockaddr = { .ss_family = AF_UNIX };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(53) };
	struct ip_endpoint endpoint = { ip("::ffff:10.0.0.9"), 53 };
	char text[IP_ENDPOINT_TEXT_SIZE];

	(void)state;
	assert_false(ip_endpoint_from_sockaddr(&sockaddr, &endpoint));
	ip_endpoint_to_sockaddr(&endpoint, &sockaddr);
	assert_int_equal(sockaddr.ss_family, AF_INET6);
	assert_true(ip_endpoint_from_sockaddr(&sockaddr, &endpoint));
	assert_string_equal(ip_endpoint_format(&endpoint, text), "10.0.0.9:53");
	v4.sin_addr.s_addr = inet_addr("10.0.0.9");
	ip_endpoint_to_sockaddr(&endpoint, &sockaddr);
	assert_memory_equal(&sockaddr, &v4, sizeof(v4));
}

static void test_prefix_parse(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
		const char *canonical;
	} rows[] = {
		{ "10.1.2.3/8", "10.1.2.3/8", "10.0.0.0/8" },
		{ "10.255.255.255/30", "10.255.255.255/30", "10.255.255.252/30" },
		{ "255.255.255.255/1", "255.255.255.255/1", "128.0.0.0/1" },
		{ "1.2.3.4/0", "1.2.3.4/0", "0.0.0.0/0" },
		{ "1.2.3.4/32", "1.2.3.4/32", "1.2.3.4/32" },
		{ "2001:db8::ffff/127", "2001:db8::ffff/127", "2001:db8::fffe/127" },
		{ "ffff::/10", "ffff::/10", "ffc0::/10" },
		{ "::1/128", "::1/128", "::1/128" },
		{ "1.2.3.4/33", NULL, NULL },
		{ "::/129", NULL, NULL },
		{ "1.2.3.4", NULL, NULL },
		{ "1.2.3.4/", NULL, NULL },
		{ "/8", NULL, NULL },
		{ "1.2.3.4/-1", NULL, NULL },
		{ "1.2.3.4/8/8", NULL, NULL },
		{ "1.2.3.4/ 8", NULL, NULL },
		{ "1.2.3.4/255.0.0.0", NULL, NULL },
		{ "1.2.3/8", NULL, NULL },
		{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_prefix prefix;
		char text[IP_PREFIX_TEXT_SIZE];

		assert_int_equal(ip_prefix_parse(rows[i].text, &prefix), rows[i].expected != NULL);
		if (!rows[i].expected)
			continue;
		assert_string_equal(ip_prefix_format(&prefix, text), rows[i].expected);
		prefix = ip_prefix_canonical(&prefix);
		assert_string_equal(ip_prefix_format(&prefix, text), rows[i].canonical);
	}
}

static void test_prefix_contains(void **state)
{
	static const struct {
		const char *prefix;
		const char *addr;
		bool inside;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.9.9.9/8", "10.0.0.1", true }, /* host bits do not count */
		{ "192.168.64.0/30", "192.168.64.3", true },
		{ "192.168.64.0/30", "192.168.64.4", false },
		{ "0.0.0.0/0", "255.1.2.3", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "1.2.3.4", false },
		{ "::/0", "ff02::1", true },
		{ "1.2.3.4/32", "1.2.3.4", true },
		{ "1.2.3.4/32", "1.2.3.5", false },
		{ "fe80::/10", "febf::1", true },
		{ "fe80::/10", "fec0::1", false },
		{ "::1/128", "::1", true },
		{ "::1/128", "::", false },
	};
	struct ip_prefix none = { .length = 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_prefix prefix = prefix_of(rows[i].prefix);
		struct ip_addr addr = ip(rows[i].addr);

		assert_int_equal(ip_prefix_contains(&prefix, &addr), rows[i].inside);
	}
	assert_false(ip_prefix_contains(&none, &none.addr));
}

static void test_prefix_overlaps(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} rows[] = {
		{ "10.0.0.0/8", "10.1.0.0/16", true },
		{ "10.0.0.0/9", "10.128.0.0/9", false },
		{ "10.0.0.0/30", "10.0.0.4/30", false },
		{ "10.0.0.1/30", "10.0.0.2/30", true },
		{ "0.0.0.0/0", "10.0.0.4/30", true },
		{ "0.0.0.0/0", "::/0", false },
		{ "2001:db8::/32", "2001:db8:1::/48", true },
		{ "2001:db8::/48", "2001:db8:1::/48", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_prefix a = prefix_of(rows[i].a);
		struct ip_prefix b = prefix_of(rows[i].b);

		assert_int_equal(ip_prefix_overlaps(&a, &b), rows[i].overlap);
		assert_int_equal(ip_prefix_overlaps(&b, &a), rows[i].overlap);
	}
}

static void test_prefix_first_last(void **state)
{
	static const struct {
		const char *text;
		uint32_t first, last;
	} rows[] = {
		{ "192.168.64.9/24", UINT32_C(0xc0a84000), UINT32_C(0xc0a840ff) },
		{ "10.0.0.5/30", UINT32_C(0x0a000004), UINT32_C(0x0a000007) },
		{ "1.2.3.4/32", UINT32_C(0x01020304), UINT32_C(0x01020304) },
		{ "1.2.3.4/0", 0, UINT32_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_prefix prefix = prefix_of(rows[i].text);

		assert_int_equal(ip_prefix_first_v4(&prefix), rows[i].first);
		assert_int_equal(ip_prefix_last_v4(&prefix), rows[i].last);
	}
}

static void test_masks(void **state)
{
	static const uint32_t holed[] = {
		UINT32_C(0xff00ff00), 1, UINT32_C(0x7fffffff), UINT32_C(0xfffffffd),
		UINT32_C(0x00ffffff),
	};
	uint8_t length = 99;

	(void)state;
	for (uint8_t i = 0; i <= 32; i++) {
		assert_true(ip_mask_to_length(ip_length_to_mask(i), &length));
		assert_int_equal(length, i);
	}
	assert_int_equal(ip_length_to_mask(24), UINT32_C(0xffffff00));
	for (size_t i = 0; i < ARRAY_COUNT(holed); i++)
		assert_false(ip_mask_to_length(holed[i], &length));
}

static void test_rfc1918(void **state)
{
	static const struct {
		const char *text;
		bool private;
	} rows[] = {
		{ "10.0.0.0/8", true },	       { "10.0.0.0/7", false },
		{ "10.255.255.252/30", true }, { "9.255.255.252/30", false },
		{ "11.0.0.0/30", false },      { "172.16.0.0/12", true },
		{ "172.31.255.0/24", true },   { "172.32.0.0/16", false },
		{ "172.15.0.0/16", false },    { "172.0.0.0/8", false },
		{ "192.168.0.0/16", true },    { "192.168.0.0/15", false },
		{ "192.169.0.0/16", false },   { "0.0.0.0/0", false },
		{ "fd00::/8", false },	       { "::ffff:10.0.0.0/104", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_prefix prefix = prefix_of(rows[i].text);

		assert_int_equal(ip_prefix_is_rfc1918(&prefix), rows[i].private);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mac_parse),	cmocka_unit_test(test_mac_kinds),
		cmocka_unit_test(test_ip_parse),	cmocka_unit_test(test_ip_kinds),
		cmocka_unit_test(test_ip_listener),	cmocka_unit_test(test_ip_numbers),
		cmocka_unit_test(test_endpoint),	cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_prefix_parse),	cmocka_unit_test(test_prefix_contains),
		cmocka_unit_test(test_prefix_overlaps), cmocka_unit_test(test_prefix_first_last),
		cmocka_unit_test(test_masks),		cmocka_unit_test(test_rfc1918),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
