#include "gateway/dns_zone.h"

#include <string.h>

#include "fixture.h"

struct question {
	const char *name;
	uint16_t type;
	bool ours;
	unsigned answers;
	const char *first; /* address or name of the first answer, NULL = do not look */
};

static const struct question table[] = {
	{ "host.internal", DNS_TYPE_A, true, 1, "172.16.9.1" },
	{ "HOST.Internal", DNS_TYPE_A, true, 1, "172.16.9.1" },
	{ "host.internal", DNS_TYPE_AAAA, true, 0, NULL },
	{ "host.internal", 15, true, 0, NULL },
	{ "host.internal", DNS_TYPE_ANY, true, 1, "172.16.9.1" },
	{ "x.host.internal", DNS_TYPE_A, false, 0, NULL },
	{ "internal", DNS_TYPE_A, false, 0, NULL },
	{ "box", DNS_TYPE_A, true, 1, "172.16.9.2" },
	{ "bOx.tesT", DNS_TYPE_A, true, 1, "172.16.9.2" },
	{ "box.test", DNS_TYPE_AAAA, true, 0, NULL },
	{ "box.other", DNS_TYPE_A, false, 0, NULL },
	{ "test", DNS_TYPE_A, false, 0, NULL },
	{ "db.corp", DNS_TYPE_A, true, 2, "10.1.2.3" },
	{ "db.corp", DNS_TYPE_AAAA, true, 1, "2001:db8::7" },
	{ "db.corp", DNS_TYPE_ANY, true, 3, NULL },
	{ "db.corp", 16, true, 0, NULL },
	{ "v6.corp", DNS_TYPE_A, true, 0, NULL },
	{ "ads.corp", DNS_TYPE_A, true, 1, "0.0.0.0" },
	/* The host's own name: to the guest the host is the gateway, not the guest itself. */
	{ "thishost", DNS_TYPE_A, true, 1, "172.16.9.1" },
	{ "thishost", DNS_TYPE_AAAA, true, 0, NULL },
	{ "localhost", DNS_TYPE_A, true, 1, "127.0.0.1" },
	{ "localhost", DNS_TYPE_AAAA, true, 1, "::1" },
	{ "a.localhost", DNS_TYPE_A, true, 1, "127.0.0.1" },
	{ "notlocalhost", DNS_TYPE_A, false, 0, NULL },
	{ "1.9.16.172.in-addr.arpa", DNS_TYPE_PTR, true, 1, NULL },
	{ "2.9.16.172.in-addr.arpa", DNS_TYPE_PTR, true, 1, NULL },
	{ "2.9.16.172.in-addr.arpa", DNS_TYPE_A, true, 0, NULL },
	{ "3.9.16.172.in-addr.arpa", DNS_TYPE_PTR, false, 0, NULL },
	{ "8.8.8.8.in-addr.arpa", DNS_TYPE_PTR, false, 0, NULL },
	{ "example.org", DNS_TYPE_A, false, 0, NULL },
	{ "", 2, false, 0, NULL },
};

static struct fake_host fake;
static struct dns_zone zone;

static int setup(void **state)
{
	static struct gateway_config config;

	(void)state;
	config = (struct gateway_config){
		.addr = fixture_addr(1),
		.hostname = "Box",
		.domain = "Test",
		.reservations = { { .addr = fixture_addr(2) } },
		.reservation_count = 1,
	};
	fake_host_init(&fake);
	fake_host_add_name(&fake, "db.corp", "10.1.2.3");
	fake_host_add_name(&fake, "db.corp", "10.1.2.4");
	fake_host_add_name(&fake, "db.corp", "2001:db8::7");
	fake_host_add_name(&fake, "v6.corp", "2001:db8::8");
	fake_host_add_name(&fake, "ads.corp", "0.0.0.0");
	fake_host_add_name(&fake, "thishost", "127.0.0.1");
	fake_host_add_name(&fake, "thishost", "127.0.1.1");
	fake_host_add_name(&fake, "thishost", "::1");
	dns_zone_init(&zone, &config, &fake.host);
	return 0;
}

/* The address in the first answer record, which follows the question and has a pointer as name. */
static void check_first(const uint8_t *answer, size_t size, const struct question *question,
			size_t question_end)
{
	struct reader reader = reader_of(answer, size);
	struct ip_addr want = fixture_parse(question->first);
	size_t addr_size = ip_addr_is_v4(&want) ? 4 : 16;
	const uint8_t *found;
	uint8_t length;

	reader_skip(&reader, question_end);
	length = reader_u8(&reader);
	if ((length & 0xc0) == 0xc0) {
		reader_skip(&reader, 1);
	} else {
		for (; length != 0; length = reader_u8(&reader))
			reader_skip(&reader, length);
	}
	assert_int_equal(reader_u16(&reader), addr_size == 4 ? DNS_TYPE_A : DNS_TYPE_AAAA);
	assert_int_equal(reader_u16(&reader), DNS_CLASS_IN);
	assert_int_equal(reader_u32(&reader), DNS_ZONE_TTL_S);
	assert_int_equal(reader_u16(&reader), addr_size);
	found = reader_take(&reader, addr_size);
	assert_non_null(found);
	assert_memory_equal(found, want.octet, addr_size);
}

static void answers_what_is_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		uint16_t edns = i % 2 ? 1232 : 0;
		uint8_t bytes[512];
		uint8_t answer[512];
		size_t size = fixture_query(bytes, sizeof(bytes), (uint16_t)(i + 9), table[i].name,
					    table[i].type, edns);
		struct writer writer = writer_of(answer, sizeof(answer));
		struct dns_message query;
		struct dns_message reply;

		assert_true(dns_parse(bytes, size, &query));
		if (dns_zone_answer(&zone, &query, &writer) != table[i].ours)
			fail_msg("%s %u: wrong side", table[i].name, table[i].type);
		if (!table[i].ours)
			continue;
		assert_true(dns_parse(answer, writer.position, &reply));
		assert_true(reply.response);
		assert_int_equal(reply.id, i + 9);
		assert_int_equal(reply.rcode, DNS_RCODE_NOERROR);
		assert_true(dns_question_equal(&query.question, &reply.question));
		assert_int_equal(reply.has_edns, edns > 0);
		if (reply.answer_count != table[i].answers)
			fail_msg("%s %u: %u answers", table[i].name, table[i].type,
				 reply.answer_count);
		if (table[i].first)
			check_first(answer, writer.position, &table[i], size - (edns ? 11 : 0));
	}
}

/* The names behind our addresses, as text in the answer. */
static void reverse_gives_the_names(void **state)
{
	static const char host_name[] = "\4host\10internal";
	static const char guest_name[] = "\3box\4test";
	uint8_t bytes[512];
	uint8_t answer[512];
	struct dns_message query;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? "2.9.16.172.in-addr.arpa" : "1.9.16.172.in-addr.arpa";
		struct writer writer = writer_of(answer, sizeof(answer));
		size_t size = fixture_query(bytes, sizeof(bytes), 1, name, DNS_TYPE_PTR, 0);

		assert_true(dns_parse(bytes, size, &query));
		assert_true(dns_zone_answer(&zone, &query, &writer));
		assert_non_null(memmem(answer, writer.position, i ? guest_name : host_name,
				       i ? sizeof(guest_name) : sizeof(host_name)));
	}
}

/* More addresses than fit are left out; the answer is good all the same. */
static void too_many_addresses_are_cut(void **state)
{
	char name[200];
	uint8_t bytes[512];
	uint8_t answer[512];
	struct writer writer = writer_of(answer, 300);
	struct dns_message query;
	struct dns_message reply;
	size_t size;

	(void)state;
	memset(name, 'a', sizeof(name));
	name[60] = name[120] = name[180] = '.';
	name[199] = '\0';
	fake.hosts_count = 0;
	for (unsigned i = 0; i < FAKE_HOSTS; i++)
		fake_host_add_name(&fake, name, "10.1.1.1");
	size = fixture_query(bytes, sizeof(bytes), 1, name, DNS_TYPE_A, 0);
	assert_true(dns_parse(bytes, size, &query));
	assert_true(dns_zone_answer(&zone, &query, &writer));
	assert_true(dns_parse(answer, writer.position, &reply));
	assert_in_range(reply.answer_count, 1, FAKE_HOSTS - 1);
}

static void other_classes_are_not_ours(void **state)
{
	uint8_t bytes[512];
	uint8_t answer[512];
	struct writer writer = writer_of(answer, sizeof(answer));
	size_t size = fixture_query(bytes, sizeof(bytes), 1, "host.internal", DNS_TYPE_A, 0);
	struct dns_message query;

	(void)state;
	bytes[size - 1] = 3; /* CHAOS */
	assert_true(dns_parse(bytes, size, &query));
	assert_false(dns_zone_answer(&zone, &query, &writer));
}

static void nameless_guests_have_no_names(void **state)
{
	static struct gateway_config config;
	struct dns_zone bare;
	uint8_t bytes[512];
	uint8_t answer[512];
	struct writer writer = writer_of(answer, sizeof(answer));
	struct dns_message query;
	size_t size;

	(void)state;
	config.addr = fixture_addr(1);
	dns_zone_init(&bare, &config, NULL);
	size = fixture_query(bytes, sizeof(bytes), 1, "", DNS_TYPE_A, 0);
	assert_true(dns_parse(bytes, size, &query));
	assert_false(dns_zone_answer(&bare, &query, &writer));
	size = fixture_query(bytes, sizeof(bytes), 1, "0.0.0.0.in-addr.arpa", DNS_TYPE_PTR, 0);
	assert_true(dns_parse(bytes, size, &query));
	assert_false(dns_zone_answer(&bare, &query, &writer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(answers_what_is_known, setup),
		cmocka_unit_test_setup(reverse_gives_the_names, setup),
		cmocka_unit_test_setup(too_many_addresses_are_cut, setup),
		cmocka_unit_test_setup(other_classes_are_not_ours, setup),
		cmocka_unit_test_setup(nameless_guests_have_no_names, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
