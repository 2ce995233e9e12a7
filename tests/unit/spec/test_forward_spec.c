#include "spec/forward_spec.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "vmnet/vmnet.h"

static void check_spec(const struct forward_spec *spec, uint8_t protocol, const char *address,
		       uint16_t external, uint16_t internal, uint32_t count)
{
	char text[IP_ADDR_TEXT_SIZE] = "";

	if (spec->address.family != IP_FAMILY_NONE)
		ip_addr_format(&spec->address, text);
	assert_string_equal(text, address);
	assert_int_equal(spec->protocol, protocol);
	assert_int_equal(spec->external, external);
	assert_int_equal(spec->internal, internal);
	assert_int_equal(spec->count, count);
}

static void test_good(void **state)
{
	static const struct {
		const char *text;
		uint8_t protocol;
		const char *address; /* "" = not written */
		uint16_t external;
		uint16_t internal;
		uint32_t count;
	} rows[] = {
		/* Tart's own vectors. */
		{ "2222:22", IPPROTO_TCP, "", 2222, 22, 1 },
		{ "9000:9000/UDP", IPPROTO_UDP, "", 9000, 9000, 1 },
		{ "80:80/tcp", IPPROTO_TCP, "", 80, 80, 1 },
		/* What Swift's UInt16 takes. */
		{ "002222:+22", IPPROTO_TCP, "", 2222, 22, 1 },
		{ "+65535:65535/Tcp", IPPROTO_TCP, "", 65535, 65535, 1 },
		/* Ours. */
		{ "0:22", IPPROTO_TCP, "", 0, 22, 1 },
		{ "+0:22", IPPROTO_TCP, "", 0, 22, 1 },
		{ "127.0.0.1:2222:22", IPPROTO_TCP, "127.0.0.1", 2222, 22, 1 },
		{ "127.0.0.1:0:53/udp", IPPROTO_UDP, "127.0.0.1", 0, 53, 1 },
		{ "[::1]:2222:22", IPPROTO_TCP, "::1", 2222, 22, 1 },
		{ "[::]:2222:22/udp", IPPROTO_UDP, "::", 2222, 22, 1 },
		{ "[2001:DB8::1]:80:80", IPPROTO_TCP, "2001:db8::1", 80, 80, 1 },
		{ "[::ffff:10.0.0.1]:80:80", IPPROTO_TCP, "10.0.0.1", 80, 80, 1 },
		{ "8000-8009:9000-9009", IPPROTO_TCP, "", 8000, 9000, 10 },
		{ "8000-8000:80", IPPROTO_TCP, "", 8000, 80, 1 },
		{ "61440-65535:1-4096/udp", IPPROTO_UDP, "", 61440, 1, 4096 },
		{ "10.0.0.1:8000-8001:80-81/udp", IPPROTO_UDP, "10.0.0.1", 8000, 80, 2 },
		{ ",,2222:22,", IPPROTO_TCP, "", 2222, 22, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct forward_specs specs = { 0 };
		struct error err = { .text = "" };
		assert_true(forward_specs_parse(&specs, rows[i].text, &err));
		assert_int_equal(specs.count, 1);
		check_spec(&specs.items[0], rows[i].protocol, rows[i].address, rows[i].external,
			   rows[i].internal, rows[i].count);
		forward_specs_done(&specs);
	}
}

static void test_lists(void **state)
{
	struct forward_specs specs = { 0 };

	(void)state;
	assert_true(forward_specs_parse(&specs, "", NULL));
	assert_true(forward_specs_parse(&specs, ",,,", NULL));
	assert_int_equal(specs.count, 0);
	assert_true(forward_specs_parse(&specs, "8080:80/tcp,,5353:53/udp", NULL));
	assert_int_equal(specs.count, 2);
	/* A second option appends. */
	assert_true(forward_specs_parse(&specs, "0:22,0:22", NULL));
	assert_int_equal(specs.count, 4);
	check_spec(&specs.items[0], IPPROTO_TCP, "", 8080, 80, 1);
	check_spec(&specs.items[1], IPPROTO_UDP, "", 5353, 53, 1);
	forward_specs_done(&specs);
}

#define TART "expected EXTERNAL_PORT:INTERNAL_PORT[/PROTOCOL] with non-zero ports"

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		const char *piece;
		const char *reason;
	} rows[] = {
		/* Tart's own vectors. */
		{ "2222", "2222", TART },
		{ "2222:0", "2222:0", TART },
		{ "2222:22/sctp", "2222:22/sctp",
		  "unknown protocol \"sctp\", expected tcp or udp" },
		{ "99999:22", "99999:22", TART },
		{ "2222:22, 80:80", " 80:80", TART }, /* blanks are not trimmed */
		{ "2222:22,x", "x", TART },
		{ "2222:22/", "2222:22/", "unknown protocol \"\"" },
		{ "2222:22/tcp/udp", "2222:22/tcp/udp", "unknown protocol \"tcp/udp\"" },
		{ "2222:0/sctp", "2222:0/sctp", TART }, /* ports before protocol */
		{ "2222:22/tcpp", "2222:22/tcpp", "unknown protocol \"tcpp\"" },
		{ ":", ":", TART },
		{ ":22", ":22", TART },
		{ "22:", "22:", TART },
		{ "/tcp", "/tcp", TART },
		{ "++1:22", "++1:22", TART },
		{ "+:22", "+:22", TART },
		{ "1+:22", "1+:22", TART },
		{ "0x10:22", "0x10:22", TART },
		{ "65536:22", "65536:22", TART },
		{ "18446744073709551617:22", "18446744073709551617:22", TART },
		{ "-1:22", "-1:22", TART },
		/* Ranges. */
		{ "1-:1-2", "1-:1-2", TART },
		{ "1-2-3:1-3", "1-2-3:1-3", TART },
		{ "3-1:1-3", "3-1:1-3", "the range 3-1 runs backwards" },
		{ "1-3:9-7", "1-3:9-7", "the range 9-7 runs backwards" },
		{ "0-3:1-4", "0-3:1-4", "the range 0-3 begins with 0" },
		{ "1-4:0-3", "1-4:0-3", "the range 0-3 begins with 0" },
		{ "1-3:1-2", "1-3:1-2", "the ranges 1-3 and 1-2 are not equally long" },
		{ "1-3:1", "1-3:1", "the ranges 1-3 and 1 are not equally long" },
		{ "0:1-3", "0:1-3", "the ranges 0 and 1-3 are not equally long" },
		/* As many as a network takes. */
		{ "1-4097:1-4097", "1-4097:1-4097", "there are 4097 forwards, at most 4096" },
		{ "1-65535:1-65535/udp", "1-65535:1-65535/udp", "there are 65535 forwards" },
		{ "1-4096:1-4096,0:1", "0:1", "there are 4097 forwards" },
		/* Nothing that steers a terminal. */
		{ "\x1b[2J", "\\u001b[2J", TART },
		{ "80:80/\n", "80:80/\\u000a", "unknown protocol \"\\u000a\"" },
		{ "\xff:1", "\\xff:1", TART },
		{ "\xe2\x80\xae:1", "\\u202e:1", TART },
		/* Addresses. */
		{ "224.0.0.1:80:80", "224.0.0.1:80:80",
		  "cannot listen on 224.0.0.1, which is a group address" },
		{ "255.255.255.255:80:80", "255.255.255.255:80:80", "is a broadcast address" },
		{ "127.255.255.255:80:80", "127.255.255.255:80:80", "is a broadcast address" },
		{ "[ff02::1]:80:80", "[ff02::1]:80:80", "is a group address" },
		{ "[::ffff:224.0.0.1]:80:80", "[::ffff:224.0.0.1]:80:80", "is a group address" },
		{ "[fe80::1]:80:80", "[fe80::1]:80:80",
		  "cannot listen on fe80::1, which is link-local" },
		{ "1.2.3:80:80", "1.2.3:80:80", "\"1.2.3\" is not an IPv4 address" },
		{ "01.2.3.4:80:80", "01.2.3.4:80:80", "is not an IPv4 address" },
		{ "localhost:80:80", "localhost:80:80", "\"localhost\" is not an IPv4 address" },
		{ ":80:80", ":80:80", "\"\" is not an IPv4 address" },
		{ "::1:80:80", "::1:80:80", "written in brackets" },
		{ "[::1:80:80", "[::1:80:80", "written [ADDRESS]:" },
		{ "[::1]80:80", "[::1]80:80", "written [ADDRESS]:" },
		{ "[]:80:80", "[]:80:80", "\"\" is not an IPv6 address" },
		{ "[1.2.3.4]:80:80", "[1.2.3.4]:80:80", "\"1.2.3.4\" is not an IPv6 address" },
		{ "[fe80::1%eth0]:80:80", "[fe80::1%eth0]:80:80", "is not an IPv6 address" },
		{ "[::1]:80", "[::1]:80", TART },
		{ "1.2.3.4:80", "1.2.3.4:80", TART },
		/* Twice. */
		{ "2222:22,2222:80", "2222:80", "external port 2222/tcp is given twice" },
		{ "2222:22,127.0.0.1:2222:80", "127.0.0.1:2222:80", "2222/tcp is given twice" },
		{ "0.0.0.0:2222:22,127.0.0.1:2222:80", "127.0.0.1:2222:80", "given twice" },
		{ "[::]:2222:22,[::1]:2222:80", "[::1]:2222:80", "given twice" },
		{ "[::1]:2222:22,2222:80", "2222:80", "given twice" },
		{ "1000-1010:1-11,1010:80", "1010:80", "external port 1010/tcp is given twice" },
		{ "53:53/udp,50-60:50-60/udp", "50-60:50-60/udp", "port 53/udp is given twice" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct forward_specs specs = { 0 };
		struct error err = { .text = "" };
		char start[128];
		assert_false(forward_specs_parse(&specs, rows[i].text, &err));
		assert_int_equal(specs.count, 0);
		snprintf(start, sizeof(start),
			 "invalid port forwarding spec \"%s\": ", rows[i].piece);
		assert_memory_equal(err.text, start, strlen(start));
		assert_non_null(strstr(err.text, rows[i].reason));
		forward_specs_done(&specs);
	}
}

static void test_not_twice(void **state)
{
	static const char *const texts[] = {
		"2222:22/tcp,2222:22/udp",
		"127.0.0.1:2222:22,127.0.0.2:2222:22,[::1]:2222:22",
		"0.0.0.0:2222:22,[::]:2222:22",
		"0:22,0:80,0:22",
		"1000-1009:1-10,1010-1019:1-10,999:1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		struct forward_specs specs = { 0 };
		struct error err = { .text = "" };
		assert_true(forward_specs_parse(&specs, texts[i], &err));
		forward_specs_done(&specs);
	}
}

/* A bad second option leaves the first as it was. */
static void test_failure_appends_nothing(void **state)
{
	struct forward_specs specs = { 0 };
	struct error err;

	(void)state;
	assert_true(forward_specs_parse(&specs, "80:80", &err));
	assert_false(forward_specs_parse(&specs, "81:81,82:82,80:1", &err));
	assert_int_equal(specs.count, 1);
	assert_true(forward_specs_parse(&specs, "81:81", &err));
	assert_int_equal(specs.count, 2);
	forward_specs_done(&specs);
}

static void test_removal(void **state)
{
	static const struct {
		const char *text;
		uint8_t protocol;
		const char *address;
		uint16_t external;
		uint16_t internal;
		uint32_t count;
	} good[] = {
		{ "2222", IPPROTO_TCP, "", 2222, 0, 1 },
		{ "5353/udp", IPPROTO_UDP, "", 5353, 0, 1 },
		{ "2222:22", IPPROTO_TCP, "", 2222, 22, 1 },
		{ "127.0.0.1:2222", IPPROTO_TCP, "127.0.0.1", 2222, 0, 1 },
		{ "127.0.0.1:2222:22", IPPROTO_TCP, "127.0.0.1", 2222, 22, 1 },
		{ "[::1]:2222", IPPROTO_TCP, "::1", 2222, 0, 1 },
		{ "8000-8009", IPPROTO_TCP, "", 8000, 0, 10 },
	};
	static const char *const bad[] = {
		"0", "0:22", "x", "1.2.3:80", "2222:0", "2222/x", "[::1]"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		struct forward_specs specs = { 0 };
		struct error err = { .text = "" };
		assert_true(forward_specs_parse_removal(&specs, good[i].text, &err));
		assert_int_equal(specs.count, 1);
		check_spec(&specs.items[0], good[i].protocol, good[i].address, good[i].external,
			   good[i].internal, good[i].count);
		forward_specs_done(&specs);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct forward_specs specs = { 0 };
		struct error err = { .text = "" };
		assert_false(forward_specs_parse_removal(&specs, bad[i], &err));
		assert_non_null(strstr(err.text, bad[i]));
	}
}

static void test_get(void **state)
{
	struct vmnet_port_forward forward = { .external_family = AF_LOCAL };
	struct forward_specs specs = { 0 };

	(void)state;
	assert_true(forward_specs_parse(
		&specs, "8000-8009:9000-9009/udp,0:22,10.0.0.1:80:80,[::1]:81:81", NULL));
	forward_spec_get(&specs.items[0], 9, &forward);
	assert_int_equal(forward.protocol, IPPROTO_UDP);
	assert_int_equal(forward.external_port, 8009);
	assert_int_equal(forward.internal_port, 9009);
	assert_int_equal(forward.external_family, AF_LOCAL); /* the caller's default stays */
	forward_spec_get(&specs.items[1], 0, &forward);
	assert_int_equal(forward.external_port, 0);
	forward_spec_get(&specs.items[2], 0, &forward);
	assert_int_equal(forward.external_family, AF_INET);
	assert_int_equal(forward.external_address.v4.s_addr, htonl(0x0a000001));
	forward_spec_get(&specs.items[3], 0, &forward);
	assert_int_equal(forward.external_family, AF_INET6);
	assert_int_equal(forward.external_address.v6.s6_addr[15], 1);
	forward_specs_done(&specs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_not_twice),
		cmocka_unit_test(test_failure_appends_nothing),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
