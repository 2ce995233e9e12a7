#include "wire_test.h"

#include "wire/dns.h"

/* An A query for Host.Test with RD, and an OPT record of 1400 bytes with DO. */
static const uint8_t query_bytes[] = "\x12\x34\x01\x10\0\1\0\0\0\0\0\1"
				     "\4Host\4Test\0\0\1\0\1"
				     "\0\0\x29\x05\x78\0\0\x80\0\0\4\0\x0a\0\0";
#define QUERY_SIZE	 (sizeof(query_bytes) - 1)
#define QUESTION_SIZE	 15
#define QUERY_SIZE_PLAIN (DNS_HEADER_SIZE + QUESTION_SIZE)

static bool parse(const void *bytes, size_t size, struct dns_message *message)
{
	uint8_t *copy = exact_copy(bytes, size);
	bool good = dns_parse(copy, size, message);

	free(copy);
	return good;
}

static struct dns_message query_of(uint16_t type, bool edns)
{
	struct dns_message message;
	uint8_t bytes[QUERY_SIZE];

	memcpy(bytes, query_bytes, QUERY_SIZE);
	bytes[QUERY_SIZE_PLAIN - 4] = (uint8_t)(type >> 8);
	bytes[QUERY_SIZE_PLAIN - 3] = (uint8_t)type;
	bytes[11] = edns;
	assert_true(parse(bytes, edns ? QUERY_SIZE : QUERY_SIZE_PLAIN, &message));
	return message;
}

static void test_query(void **state)
{
	(void)state;
	struct dns_message message;

	assert_true(parse(query_bytes, QUERY_SIZE, &message));
	assert_int_equal(message.id, 0x1234);
	assert_false(message.response);
	assert_int_equal(message.opcode, 0);
	assert_true(message.recursion_desired);
	assert_true(message.checking_disabled);
	assert_int_equal(message.question_count, 1);
	assert_string_equal(message.question.text, "host.test");
	assert_int_equal(message.question.name_size, 11);
	assert_memory_equal(message.question.name, "\4Host\4Test", 11);
	assert_int_equal(message.question.type, DNS_TYPE_A);
	assert_int_equal(message.question.class, DNS_CLASS_IN);
	assert_true(message.has_edns);
	assert_int_equal(message.edns_udp_size, 1400);
	assert_int_equal(message.edns_version, 0);
	assert_true(message.edns_do);
	assert_int_equal(message.edns_offset, QUERY_SIZE_PLAIN);
	assert_int_equal(message.edns_size, QUERY_SIZE - QUERY_SIZE_PLAIN);
}

static void test_every_short_size(void **state)
{
	(void)state;
	struct dns_message message = { .id = 7 };

	for (size_t size = 0; size < QUERY_SIZE; size++)
		assert_false(parse(query_bytes, size, &message));
	assert_int_equal(message.id, 7);
}

struct message_row {
	const char *what;
	const char *bytes;
	size_t size;
	bool good;
};

static const struct message_row message_rows[] = {
	{ "only a header", "\0\1\0\0\0\0\0\0\0\0\0\0", 12, true },
	{ "a question that is not there", "\0\1\0\0\0\1\0\0\0\0\0\0", 12, false },
	{ "65535 questions", "\0\1\0\0\xff\xff\0\0\0\0\0\0\0\0\1\0\1", 17, false },
	{ "65535 records of each kind", "\0\1\0\0\0\0\xff\xff\xff\xff\xff\xff\0\0\1\0\1", 17,
	  false },
	{ "two questions", "\0\1\0\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1\xc0\x0c\0\x1c\0\1", 25, true },
	{ "a question that points at itself", "\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", 18,
	  false },
	{ "a question that points into the header", "\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0b\0\1\0\1", 18,
	  true },
	{ "a record whose data is too long", "\0\1\0\0\0\0\0\1\0\0\0\0\0\0\1\0\1\0\0\0\0\0\5abcd",
	  27, false },
	{ "a record", "\0\1\x80\0\0\0\0\1\0\0\0\0\0\0\1\0\1\0\0\0\0\0\4abcd", 27, true },
	{ "OPT among the answers", "\0\1\0\0\0\0\0\1\0\0\0\0\0\0\x29\4\xd0\0\0\0\0\0\0", 23,
	  false },
	{ "OPT with a name", "\0\1\0\0\0\0\0\0\0\0\0\1\1a\0\0\x29\4\xd0\0\0\0\0\0\0", 25, false },
	{ "OPT", "\0\1\0\0\0\0\0\0\0\0\0\1\0\0\x29\4\xd0\0\0\0\0\0\0", 23, true },
	{ "two OPT", "\0\1\0\0\0\0\0\0\0\0\0\2\0\0\x29\4\xd0\0\0\0\0\0\0\0\0\x29\4\xd0\0\0\0\0\0\0",
	  34, false },
	{ "OPT with options cut short", "\0\1\0\0\0\0\0\0\0\0\0\1\0\0\x29\4\xd0\0\0\0\0\0\5abcd",
	  27, false },
	{ "bytes behind the end", "\0\1\0\0\0\0\0\0\0\0\0\0junk", 16, true },
	{ "a truncated response, cut in a record", "\0\1\x82\0\0\0\0\1\0\0\0\0\0\0\1", 15, true },
	{ "a truncated query, cut in a record", "\0\1\2\0\0\0\0\1\0\0\0\0\0\0\1", 15, false },
	{ "a truncated response, cut in its question", "\0\1\x82\0\0\1\0\0\0\0\0\0\1a", 14, false },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(message_rows) / sizeof(message_rows[0]); i++) {
		const struct message_row *row = &message_rows[i];
		struct dns_message message;
		bool good = parse(row->bytes, row->size, &message);

		if (good != row->good)
			print_message("# %s\n", row->what);
		assert_int_equal(good, row->good);
	}
}

static void test_edns_size_is_at_least_512(void **state)
{
	(void)state;
	struct dns_message message;

	assert_true(parse("\0\1\0\0\0\0\0\0\0\0\0\1\0\0\x29\0\1\0\x07\0\0\0\0", 23, &message));
	assert_int_equal(message.edns_udp_size, 512);
	assert_int_equal(message.edns_version, 7);
	assert_false(message.edns_do);
}

static void test_question_equal(void **state)
{
	(void)state;
	struct dns_message a = query_of(DNS_TYPE_A, false);
	struct dns_message b = query_of(DNS_TYPE_A, true);
	struct dns_message c = query_of(DNS_TYPE_AAAA, false);
	struct dns_message d;

	assert_true(dns_question_equal(&a.question, &b.question));
	assert_false(dns_question_equal(&a.question, &c.question));
	assert_true(parse("\0\1\0\0\0\1\0\0\0\0\0\0\4hOST\4tEST\0\0\1\0\1", 27, &d));
	assert_true(dns_question_equal(&a.question, &d.question));
	assert_true(parse("\0\1\0\0\0\1\0\0\0\0\0\0\4hOST\4tEST\0\0\1\0\3", 27, &d));
	assert_false(dns_question_equal(&a.question, &d.question));
	assert_true(parse("\0\1\0\0\0\1\0\0\0\0\0\0\x09hOST.tEST\0\0\1\0\1", 27, &d));
	assert_false(dns_question_equal(&a.question, &d.question));
}

/* Builds nothing new: what dns_parse says of an answer to `query`. */
static struct dns_message parse_answer(const uint8_t *bytes, size_t size,
				       const struct dns_message *query)
{
	struct dns_message reply;

	assert_true(parse(bytes, size, &reply));
	assert_int_equal(reply.id, query->id);
	assert_true(reply.response);
	assert_true(reply.recursion_available);
	assert_int_equal(reply.recursion_desired, query->recursion_desired);
	assert_int_equal(reply.checking_disabled, query->checking_disabled);
	assert_true(dns_question_equal(&reply.question, &query->question));
	/* Letters come back as they were sent (a resolver may have mixed them). */
	assert_memory_equal(reply.question.name, query->question.name, query->question.name_size);
	assert_int_equal(reply.has_edns, query->has_edns);
	if (query->has_edns) {
		assert_int_equal(reply.edns_udp_size, DNS_UDP_SIZE_OURS);
		assert_int_equal(reply.edns_do, query->edns_do);
	}
	return reply;
}

static void test_addresses(void **state)
{
	(void)state;
	const uint8_t six[16] = { 0xfd, [15] = 9 };
	const struct ip_addr addrs[] = { v4(10, 0, 0, 1), ip_addr_from_v6(six), v4(10, 0, 0, 2) };
	const struct {
		uint16_t type;
		uint16_t answers;
		size_t answer_size;
	} rows[] = {
		{ DNS_TYPE_A, 2, 2 * 16 },
		{ DNS_TYPE_AAAA, 1, 28 },
		{ DNS_TYPE_ANY, 3, 2 * 16 + 28 },
		{ DNS_TYPE_PTR, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int edns = 0; edns < 2; edns++) {
			struct dns_message query = query_of(rows[i].type, edns != 0);
			uint8_t bytes[512];
			struct writer writer = writer_of(bytes, sizeof(bytes));

			assert_true(dns_build_addresses(&writer, &query, addrs, 3, 60));
			struct dns_message reply = parse_answer(bytes, writer.position, &query);
			assert_int_equal(reply.rcode, DNS_RCODE_NOERROR);
			assert_true(reply.authoritative);
			assert_int_equal(reply.answer_count, rows[i].answers);
			assert_int_equal(writer.position, QUERY_SIZE_PLAIN + rows[i].answer_size +
								  (edns ? 11U : 0U));
		}
	}

	struct dns_message query = query_of(DNS_TYPE_A, false);
	uint8_t bytes[512];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	assert_true(dns_build_addresses(&writer, &query, addrs, 1, 0x01020304));
	assert_memory_equal(bytes + QUERY_SIZE_PLAIN, "\xc0\x0c\0\1\0\1\1\2\3\4\0\4\x0a\0\0\1", 16);
	/* AAAA without a record is an empty answer, not NXDOMAIN. */
	query = query_of(DNS_TYPE_AAAA, false);
	writer = writer_of(bytes, sizeof(bytes));
	assert_true(dns_build_addresses(&writer, &query, addrs, 1, 60));
	assert_int_equal(parse_answer(bytes, writer.position, &query).rcode, DNS_RCODE_NOERROR);
	writer = writer_of(bytes, QUERY_SIZE_PLAIN + 15);
	query = query_of(DNS_TYPE_A, false);
	assert_false(dns_build_addresses(&writer, &query, addrs, 1, 60));
}

static void test_pointer(void **state)
{
	(void)state;
	struct dns_message query = query_of(DNS_TYPE_PTR, true);
	uint8_t bytes[512];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	assert_true(dns_build_pointer(&writer, &query, "host.internal", 60));
	struct dns_message reply = parse_answer(bytes, writer.position, &query);
	assert_int_equal(reply.answer_count, 1);
	struct reader reader = reader_of(bytes, writer.position);
	reader_skip(&reader, QUERY_SIZE_PLAIN + 12);
	uint8_t name[DNS_NAME_MAX];
	uint8_t size;
	char text[DNS_NAME_TEXT_SIZE];
	assert_true(dns_name_read(&reader, name, &size));
	dns_name_to_text(name, size, text);
	assert_string_equal(text, "host.internal");
	assert_false(dns_build_pointer(&writer, &query, "bad..name", 60));
}

static void test_status(void **state)
{
	(void)state;
	const uint8_t rcodes[] = { DNS_RCODE_NOERROR,  DNS_RCODE_FORMERR, DNS_RCODE_SERVFAIL,
				   DNS_RCODE_NXDOMAIN, DNS_RCODE_NOTIMP,  DNS_RCODE_REFUSED };

	for (size_t i = 0; i < sizeof(rcodes); i++) {
		struct dns_message query = query_of(DNS_TYPE_A, i % 2 == 0);
		uint8_t bytes[64];
		struct writer writer = writer_of(bytes, sizeof(bytes));

		query.opcode = (uint8_t)i;
		assert_true(dns_build_status(&writer, &query, rcodes[i]));
		struct dns_message reply = parse_answer(bytes, writer.position, &query);
		assert_int_equal(reply.rcode, rcodes[i]);
		assert_int_equal(reply.opcode, i);
		assert_int_equal(reply.answer_count, 0);
	}

	/* A query without a question gets its error, too. */
	struct dns_message empty;
	uint8_t bytes[12];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	assert_true(parse("\0\1\0\0\0\0\0\0\0\0\0\0", 12, &empty));
	assert_true(dns_build_status(&writer, &empty, DNS_RCODE_FORMERR));
	assert_int_equal(writer.position, 12);
	writer = writer_of(bytes, 11);
	assert_false(dns_build_status(&writer, &empty, DNS_RCODE_FORMERR));
}

/* A long reply of many answers with an OPT record that has an option. */
static size_t long_reply(uint8_t *bytes, size_t capacity)
{
	struct writer writer = writer_of(bytes, capacity);

	writer_bytes(&writer, "\x12\x34\x85\x80\0\1\0\x64\0\0\0\1", 12);
	writer_bytes(&writer, query_bytes + 12, QUESTION_SIZE);
	for (int i = 0; i < 100; i++)
		writer_bytes(&writer, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1", 16);
	writer_bytes(&writer,
		     "\0\0\x29\x10\0\0\0\x80\0\0\x0c\0\x0a\0\x08"
		     "cookies!",
		     23);
	assert_true(writer_ok(&writer));
	return writer.position;
}

static void test_truncated(void **state)
{
	(void)state;
	uint8_t bytes[2000];
	uint8_t cut[512];
	size_t size = long_reply(bytes, sizeof(bytes));
	struct dns_message reply;
	struct dns_message short_reply;
	struct writer writer = writer_of(cut, sizeof(cut));

	assert_true(parse(bytes, size, &reply));
	assert_int_equal(reply.answer_count, 100);
	dns_set_id(bytes, 0xbeef);
	assert_true(dns_build_truncated(&writer, &reply, bytes, size));
	assert_true(parse(cut, writer.position, &short_reply));
	assert_int_equal(short_reply.id, 0xbeef);
	assert_true(short_reply.response);
	assert_true(short_reply.truncated);
	assert_true(short_reply.authoritative);
	assert_int_equal(short_reply.answer_count, 0);
	assert_int_equal(short_reply.additional_count, 1);
	assert_true(dns_question_equal(&short_reply.question, &reply.question));
	assert_int_equal(short_reply.edns_size, 23);
	assert_memory_equal(cut + short_reply.edns_offset, bytes + reply.edns_offset, 23);

	/* Where there is no room for the option, the record stays without it. */
	writer = writer_of(cut, QUERY_SIZE_PLAIN + 11);
	assert_true(dns_build_truncated(&writer, &reply, bytes, size));
	assert_true(parse(cut, writer.position, &short_reply));
	assert_int_equal(short_reply.edns_size, 11);
	assert_true(short_reply.edns_do);
	writer = writer_of(cut, QUERY_SIZE_PLAIN + 10);
	assert_false(dns_build_truncated(&writer, &reply, bytes, size));
	/* `reply` and bytes that do not belong together. */
	writer = writer_of(cut, sizeof(cut));
	assert_false(dns_build_truncated(&writer, &reply, bytes, size - 1));
}

static void test_reverse(void **state)
{
	(void)state;
	struct ip_addr addr;
	struct ip_addr want = v4(172, 18, 1, 4);
	const uint8_t six[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x1f };
	struct ip_addr want6 = ip_addr_from_v6(six);

	assert_true(dns_reverse_to_addr("4.1.18.172.in-addr.arpa", &addr));
	assert_true(ip_addr_equal(&addr, &want));
	assert_true(dns_reverse_to_addr("f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
					"8.b.d.0.1.0.0.2.ip6.arpa",
					&addr));
	assert_true(ip_addr_equal(&addr, &want6));

	const char *bad[] = {
		"",
		"in-addr.arpa",
		".in-addr.arpa",
		"1.2.3.in-addr.arpa",
		"1.2.3.4.5.in-addr.arpa",
		"1.2.3.256.in-addr.arpa",
		"01.2.3.4.in-addr.arpa",
		"a.1.2.3.4.in-addr.arpa",
		"1.2.3.4.in-addr.arpa.x",
		"::1.in-addr.arpa",
		"1.2.3.4-in-addr.arpa",
		"ip6.arpa",
		"1.ip6.arpa",
		"111111111111111111111111111111111111111111111111111111111111.in-addr.arpa",
		"g.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"f11.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(dns_reverse_to_addr(bad[i], &addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_every_short_size),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_edns_size_is_at_least_512),
		cmocka_unit_test(test_question_equal),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_pointer),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_reverse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
