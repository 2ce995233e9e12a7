#include "wire_test.h"

#include "wire/dhcp.h"
#include "wire/writer.h"

#define FILE_OFFSET  108
#define SNAME_OFFSET 44

/* The fixed part of a DISCOVER as a client sends it; options are added behind. */
static struct writer start_message(uint8_t *bytes, size_t size)
{
	struct writer writer = writer_of(bytes, size);

	writer_bytes(&writer, "\1\1\6\0\xde\xad\xbe\xef\0\7\x80\0", 12);
	writer_bytes(&writer, "\x0a\0\0\2", 4); /* ciaddr */
	writer_zeroes(&writer, 12);
	writer_bytes(&writer, "\2\0\0\0\0\x09", 6);
	writer_zeroes(&writer, 10 + 64 + 128);
	writer_u32(&writer, 0x63825363);
	return writer;
}

static bool parse(const uint8_t *bytes, size_t size, struct dhcp_message *message)
{
	uint8_t *copy = exact_copy(bytes, size);
	bool good = dhcp_parse(copy, size, message);

	free(copy);
	return good;
}

static bool parse_options(const void *options, size_t size, struct dhcp_message *message)
{
	uint8_t bytes[2048];
	struct writer writer = start_message(bytes, sizeof(bytes));

	writer_bytes(&writer, options, size);
	assert_true(writer_ok(&writer));
	return parse(bytes, writer.position, message);
}

static void test_request(void **state)
{
	(void)state;
	static const uint8_t options[] = "\x35\1\3"
					 "\x32\4\x0a\0\0\2"
					 "\x36\4\x0a\0\0\1"
					 "\x0c\3vm1"
					 "\0\0"
					 "\x37\4\1\3\6\x1a"
					 "\x39\2\5\xdc"
					 "\x3d\7\1\2\0\0\0\0\x09"
					 "\x33\4\0\0\x0e\x10"
					 "\xff"
					 "junk behind the end";
	struct dhcp_message message;
	struct ip_addr guest = v4(10, 0, 0, 2);
	struct ip_addr server = v4(10, 0, 0, 1);

	assert_true(parse_options(options, sizeof(options) - 1, &message));
	assert_int_equal(message.op, DHCP_OP_REQUEST);
	assert_int_equal(message.xid, 0xdeadbeef);
	assert_int_equal(message.secs, 7);
	assert_true(message.broadcast);
	assert_true(ip_addr_equal(&message.ciaddr, &guest));
	assert_true(ip_addr_is_unspecified(&message.yiaddr));
	assert_true(ip_addr_is_unspecified(&message.giaddr));
	assert_int_equal(message.chaddr.octet[5], 9);
	assert_int_equal(message.type, DHCP_TYPE_REQUEST);
	assert_true(ip_addr_equal(&message.requested_ip, &guest));
	assert_true(ip_addr_equal(&message.server_id, &server));
	assert_true(message.has_lease);
	assert_int_equal(message.lease_s, 3600);
	assert_int_equal(message.max_message_size, 1500);
	assert_int_equal(message.hostname.size, 3);
	assert_memory_equal(message.hostname.bytes, "vm1", 3);
	assert_int_equal(message.client_id.size, 7);
	assert_int_equal(message.parameters.size, 4);
	assert_int_equal(message.parameters.bytes[3], 26);
}

static void test_no_options(void **state)
{
	(void)state;
	struct dhcp_message message;

	/* Plain BOOTP, and no end option at all. */
	assert_true(parse_options("", 0, &message));
	assert_int_equal(message.type, DHCP_TYPE_NONE);
	assert_int_equal(message.requested_ip.family, IP_FAMILY_NONE);
	assert_int_equal(message.max_message_size, 0);
	assert_false(message.has_lease);
	assert_true(parse_options("\0\0\0", 3, &message));
	assert_true(parse_options("\xff", 1, &message));
	/* End missing behind a good option. */
	assert_true(parse_options("\x35\1\1", 3, &message));
	assert_int_equal(message.type, DHCP_TYPE_DISCOVER);
}

/* CVE-2021-3592 (short BOOTP), CVE-2017-11434 and passt 7d0c077 (the walk over options). */
static void test_every_short_size(void **state)
{
	(void)state;
	uint8_t bytes[300];
	struct writer writer = start_message(bytes, sizeof(bytes));
	struct dhcp_message message;

	writer_bytes(&writer, "\x35\1\1\x0c\3vm1", 8);
	for (size_t size = 0; size < writer.position; size++) {
		/* Cut behind a whole option it is only the end that is missing. */
		bool whole = size == 240 || size == 243;
		assert_int_equal(parse(bytes, size, &message), whole);
	}
	assert_true(parse(bytes, writer.position, &message));
}

struct option_row {
	const char *what;
	const char *options;
	size_t size;
	bool good;
};

static const struct option_row option_rows[] = {
	{ "a code without a size", "\x35", 1, false },
	{ "a size without bytes", "\x35\1", 2, false },
	{ "a size of 255 at the end",
	  "\x0c\xff"
	  "abc",
	  5, false },
	{ "an unknown option, cut short", "\xe0\5abc", 5, false },
	{ "an unknown option", "\xe0\3abc", 5, true },
	{ "an empty type", "\x35\0", 2, false },
	{ "a type of two bytes", "\x35\2\1\1", 4, false },
	{ "type 0", "\x35\1\0", 3, false },
	{ "type 8", "\x35\1\x08", 3, true },
	{ "type 9", "\x35\1\x09", 3, false },
	{ "type 255", "\x35\1\xff", 3, false },
	{ "requested address of 3 bytes", "\x32\3\1\2\3", 5, false },
	{ "requested address of 5 bytes", "\x32\5\1\2\3\4\5", 7, false },
	{ "server id of 0 bytes", "\x36\0", 2, false },
	{ "lease of 2 bytes", "\x33\2\1\1", 4, false },
	{ "maximum size of 1 byte", "\x39\1\5", 3, false },
	{ "an empty hostname", "\x0c\0", 2, true },
	{ "overload 0", "\x34\1\0", 3, false },
	{ "overload 4", "\x34\1\4", 3, false },
	{ "an empty overload", "\x34\0", 2, false },
	{ "an overload of 2 bytes", "\x34\2\1\1", 4, false },
	{ "end before anything", "\xff\x35", 2, true },
};

static void test_option_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(option_rows) / sizeof(option_rows[0]); i++) {
		struct dhcp_message message = { .secs = 4711 };
		bool good = parse_options(option_rows[i].options, option_rows[i].size, &message);

		if (good != option_rows[i].good)
			print_message("# %s\n", option_rows[i].what);
		assert_int_equal(good, option_rows[i].good);
		assert_int_equal(message.secs, good ? 7 : 4711);
	}
}

static void test_max_size_is_at_least_576(void **state)
{
	(void)state;
	struct dhcp_message message;

	assert_true(parse_options("\x39\2\0\0", 4, &message));
	assert_int_equal(message.max_message_size, 576);
	assert_true(parse_options("\x39\2\xff\xff", 4, &message));
	assert_int_equal(message.max_message_size, 65535);
}

static void test_fixed_fields(void **state)
{
	(void)state;
	const struct {
		size_t offset;
		uint8_t value;
	} rows[] = {
		{ 0, 0 },  { 0, 3 },   { 1, 0 },   { 1, 6 },   { 2, 0 },
		{ 2, 16 }, { 2, 255 }, { 236, 0 }, { 239, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[300];
		struct writer writer = start_message(bytes, sizeof(bytes));
		struct dhcp_message message;

		writer_u8(&writer, 255);
		assert_true(parse(bytes, writer.position, &message));
		bytes[rows[i].offset] = rows[i].value;
		assert_false(parse(bytes, writer.position, &message));
	}
}

static void test_long_options(void **state)
{
	(void)state;
	uint8_t options[600];
	struct writer writer = writer_of(options, sizeof(options));
	struct dhcp_message message;

	/* RFC 3396: pieces of one option, with others between. */
	writer_bytes(&writer, "\x0c\2ab\x35\1\1\x0c\0\x0c\3cde", 14);
	assert_true(parse_options(options, writer.position, &message));
	assert_int_equal(message.hostname.size, 5);
	assert_memory_equal(message.hostname.bytes, "abcde", 5);

	/* 255 bytes fit, one more does not. */
	writer = writer_of(options, sizeof(options));
	writer_u8(&writer, 61);
	writer_u8(&writer, 200);
	writer_zeroes(&writer, 200);
	writer_u8(&writer, 61);
	writer_u8(&writer, 55);
	writer_zeroes(&writer, 55);
	assert_true(parse_options(options, writer.position, &message));
	assert_int_equal(message.client_id.size, 255);
	writer_bytes(&writer, "\x3d\1\0", 3);
	assert_false(parse_options(options, writer.position, &message));
}

static void test_overload(void **state)
{
	(void)state;
	for (uint8_t overload = 1; overload <= 3; overload++) {
		uint8_t bytes[400];
		struct writer writer = start_message(bytes, sizeof(bytes));
		struct dhcp_message message;
		struct dhcp_bytes value;

		memcpy(bytes + FILE_OFFSET, "\x0c\2fi\x35\1\1\xff\x0c\1!", 11);
		memcpy(bytes + SNAME_OFFSET, "\x0c\2sn\xff", 5);
		writer_bytes(&writer, "\x0c\2op\x34\1", 6);
		writer_u8(&writer, overload);
		assert_true(parse(bytes, writer.position, &message));

		/* options, then file, then sname (RFC 3396 5) */
		const char *want[] = { "", "opfi", "opsn", "opfisn" };
		assert_int_equal(message.hostname.size, strlen(want[overload]));
		assert_memory_equal(message.hostname.bytes, want[overload], message.hostname.size);
		assert_int_equal(message.type, overload & 1 ? DHCP_TYPE_DISCOVER : DHCP_TYPE_NONE);
		assert_true(dhcp_find_option(bytes, writer.position, 12, &value));
		assert_int_equal(value.size, message.hostname.size);
	}
}

static void test_overload_hostile(void **state)
{
	(void)state;
	uint8_t bytes[400];
	struct writer writer = start_message(bytes, sizeof(bytes));
	struct dhcp_message message;

	writer_bytes(&writer, "\x34\1\3", 3);
	/* An option that would run over the end of sname into file. */
	bytes[SNAME_OFFSET + 62] = 12;
	bytes[SNAME_OFFSET + 63] = 5;
	assert_false(parse(bytes, writer.position, &message));
	/* Full to the brim without an end, and an overload inside the overload. */
	memset(bytes + SNAME_OFFSET, 0, 64);
	memcpy(bytes + SNAME_OFFSET, "\x34\1\x09", 3);
	bytes[SNAME_OFFSET + 61] = 12;
	bytes[SNAME_OFFSET + 62] = 1;
	bytes[SNAME_OFFSET + 63] = 'x';
	assert_true(parse(bytes, writer.position, &message));
	assert_int_equal(message.hostname.size, 1);
}

static struct dhcp_reply full_reply(void)
{
	return (struct dhcp_reply){
		.type = DHCP_TYPE_ACK,
		.xid = 0x01020304,
		.broadcast = true,
		.yiaddr = v4(10, 0, 0, 2),
		.siaddr = v4(10, 0, 0, 1),
		.chaddr = { { 2, 0, 0, 0, 0, 9 } },
		.server_id = v4(10, 0, 0, 1),
		.has_lease = true,
		.lease_s = 3600,
		.t1_s = 1800,
		.t2_s = 3150,
		.mask = v4(255, 255, 255, 252),
		.router = v4(10, 0, 0, 1),
		.broadcast_addr = v4(10, 0, 0, 3),
		.mtu = 65520,
		.dns = { v4(10, 0, 0, 1), v4(9, 9, 9, 9) },
		.dns_count = 2,
		.domain = "test.internal",
		.hostname = "vm1",
		.message = "words",
	};
}

static void assert_option(const uint8_t *bytes, size_t size, uint8_t code, const void *want,
			  size_t want_size)
{
	struct dhcp_bytes value;

	assert_true(dhcp_find_option(bytes, size, code, &value));
	assert_int_equal(value.size, want_size);
	assert_memory_equal(value.bytes, want, want_size);
}

static void test_reply(void **state)
{
	(void)state;
	uint8_t bytes[576];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct dhcp_reply reply = full_reply();
	const struct dhcp_bytes client_id = { 3, "\xff\1\2" };
	struct dhcp_message message;

	reply.client_id = &client_id;
	assert_true(dhcp_build_reply(&writer, &reply));
	size_t size = writer.position;
	assert_true(size >= DHCP_REPLY_MIN);
	assert_true(parse(bytes, size, &message));
	assert_int_equal(message.op, DHCP_OP_REPLY);
	assert_int_equal(message.xid, 0x01020304);
	assert_int_equal(message.type, DHCP_TYPE_ACK);
	assert_true(message.broadcast);
	assert_true(ip_addr_equal(&message.yiaddr, &reply.yiaddr));
	assert_true(ip_addr_equal(&message.siaddr, &reply.siaddr));
	assert_true(ip_addr_is_unspecified(&message.ciaddr));
	assert_true(mac_addr_equal(&message.chaddr, &reply.chaddr));
	assert_true(ip_addr_equal(&message.server_id, &reply.server_id));
	assert_int_equal(message.lease_s, 3600);
	assert_int_equal(message.client_id.size, 3);
	assert_option(bytes, size, DHCP_OPTION_LEASE, "\0\0\x0e\x10", 4);
	assert_option(bytes, size, DHCP_OPTION_T1, "\0\0\x07\x08", 4);
	assert_option(bytes, size, DHCP_OPTION_T2, "\0\0\x0c\x4e", 4);
	assert_option(bytes, size, DHCP_OPTION_MASK, "\xff\xff\xff\xfc", 4);
	assert_option(bytes, size, DHCP_OPTION_ROUTER, "\x0a\0\0\1", 4);
	assert_option(bytes, size, DHCP_OPTION_BROADCAST, "\x0a\0\0\3", 4);
	assert_option(bytes, size, DHCP_OPTION_DNS, "\x0a\0\0\1\x09\x09\x09\x09", 8);
	assert_option(bytes, size, DHCP_OPTION_MTU, "\xff\xf0", 2);
	assert_option(bytes, size, DHCP_OPTION_DOMAIN, "test.internal", 13);
	assert_option(bytes, size, DHCP_OPTION_HOSTNAME, "vm1", 3);
	assert_option(bytes, size, DHCP_OPTION_MESSAGE, "words", 5);
	assert_option(bytes, size, DHCP_OPTION_CLIENT_ID, "\xff\1\2", 3);
}

static void test_nak_and_inform(void **state)
{
	(void)state;
	uint8_t bytes[DHCP_REPLY_MIN];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	const struct dhcp_reply nak = { .type = DHCP_TYPE_NAK,
					.server_id = v4(10, 0, 0, 1),
					.message = "no" };
	struct dhcp_bytes value;

	assert_true(dhcp_build_reply(&writer, &nak));
	assert_int_equal(writer.position, DHCP_REPLY_MIN);
	const uint8_t absent[] = { DHCP_OPTION_LEASE,	 DHCP_OPTION_T1,  DHCP_OPTION_MASK,
				   DHCP_OPTION_ROUTER,	 DHCP_OPTION_DNS, DHCP_OPTION_MTU,
				   DHCP_OPTION_CLIENT_ID };
	for (size_t i = 0; i < sizeof(absent); i++)
		assert_false(dhcp_find_option(bytes, sizeof(bytes), absent[i], &value));
	assert_option(bytes, sizeof(bytes), DHCP_OPTION_TYPE, "\6", 1);

	struct dhcp_reply inform = full_reply();
	inform.has_lease = false;
	writer = writer_of(bytes, sizeof(bytes));
	assert_true(dhcp_build_reply(&writer, &inform));
	assert_false(dhcp_find_option(bytes, sizeof(bytes), DHCP_OPTION_LEASE, &value));
	assert_false(dhcp_find_option(bytes, sizeof(bytes), DHCP_OPTION_T2, &value));
	assert_option(bytes, sizeof(bytes), DHCP_OPTION_MASK, "\xff\xff\xff\xfc", 4);
}

/* Whatever the room: a well-formed message with all that is required, or a clear no. */
static void test_reply_in_every_room(void **state)
{
	(void)state;
	struct dhcp_bytes client_id = { .size = 255 };
	char text[256];
	struct dhcp_reply reply = full_reply();

	memset(text, 'x', 255);
	text[255] = '\0';
	reply.client_id = &client_id;
	reply.domain = text;
	for (size_t room = 0; room <= 1100; room++) {
		uint8_t *bytes = malloc(room + 1);
		assert_non_null(bytes);
		struct writer writer = writer_of(bytes, room);
		struct dhcp_message message;

		bool good = dhcp_build_reply(&writer, &reply);
		assert_int_equal(good, room >= 537);
		if (good) {
			assert_true(parse(bytes, writer.position, &message));
			assert_int_equal(message.client_id.size, 255);
			assert_int_equal(bytes[writer.position - 1], DHCP_OPTION_END);
		}
		free(bytes);
	}
}

static void test_reply_refuses(void **state)
{
	(void)state;
	uint8_t bytes[576];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct dhcp_reply reply = full_reply();
	char text[257];

	reply.router.family = IP_FAMILY_V6;
	assert_false(dhcp_build_reply(&writer, &reply));
	reply = full_reply();
	reply.dns[1].family = IP_FAMILY_NONE;
	assert_false(dhcp_build_reply(&writer, &reply));
	reply = full_reply();
	reply.dns_count = DHCP_MAX_DNS_SERVERS + 1;
	assert_false(dhcp_build_reply(&writer, &reply));

	struct dhcp_bytes value;
	memset(text, 'x', 256);
	text[256] = '\0';
	reply = full_reply();
	reply.domain = text;
	writer = writer_of(bytes, sizeof(bytes));
	assert_true(dhcp_build_reply(&writer, &reply));
	assert_false(dhcp_find_option(bytes, writer.position, DHCP_OPTION_DOMAIN, &value));
	assert_option(bytes, writer.position, DHCP_OPTION_HOSTNAME, "vm1", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_no_options),
		cmocka_unit_test(test_every_short_size),
		cmocka_unit_test(test_option_rows),
		cmocka_unit_test(test_max_size_is_at_least_576),
		cmocka_unit_test(test_fixed_fields),
		cmocka_unit_test(test_long_options),
		cmocka_unit_test(test_overload),
		cmocka_unit_test(test_overload_hostile),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_nak_and_inform),
		cmocka_unit_test(test_reply_in_every_room),
		cmocka_unit_test(test_reply_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
