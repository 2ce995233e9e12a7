#include "gateway/dns_forwarder.h"

#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "wire/dns.h"

#define GUEST_PORT 40000

static const char resolver_1[] = "192.0.2.53";
static const char resolver_2[] = "2001:db8::53";

static struct ip_endpoint resolver(const char *addr)
{
	return (struct ip_endpoint){ fixture_parse(addr), DNS_PORT };
}

static void send_query(struct fixture *fixture, uint32_t port, uint16_t from_port,
		       const void *bytes, size_t size)
{
	const struct ip_endpoint from = { fixture_addr(2), from_port };
	const struct ip_endpoint to = { fixture->config.addr, DNS_PORT };
	const struct mac_addr mac = fixture_mac(2);

	fixture_send_udp(fixture, port, &mac, &from, &to, bytes, size);
}

static void ask(struct fixture *fixture, uint16_t id, const char *name, uint16_t edns_size)
{
	uint8_t bytes[600];
	size_t size = fixture_query(bytes, sizeof(bytes), id, name, DNS_TYPE_A, edns_size);

	send_query(fixture, 0, GUEST_PORT, bytes, size);
}

/* The last answer that the guest got. */
static void last_answer(struct fixture *fixture, struct dns_message *ret_reply, size_t *ret_size)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	const struct ip_addr guest = fixture_addr(2);
	struct frame frame;

	fixture_frame(&fixture->to_bridge, 0, &frame);
	assert_true(ip_addr_equal(&frame.packet.ip_source, &fixture->config.addr));
	assert_true(ip_addr_equal(&frame.packet.ip_destination, &guest));
	assert_int_equal(frame.packet.port_source, DNS_PORT);
	assert_int_equal(frame.packet.port_destination, GUEST_PORT);
	*ret_size = fixture_payload(&fixture->to_bridge, 0, bytes, sizeof(bytes));
	assert_true(dns_parse(bytes, *ret_size, ret_reply));
	assert_true(ret_reply->response);
}

static const struct fake_socket *at(const struct fixture *fixture, int fd)
{
	assert_in_range(fd, 0, FAKE_SOCKETS - 1);
	return &fixture->host.sockets[fd];
}

/* What the resolver behind fd would say: 192.0.2.80 and as many more. Returns its size. */
static size_t make_answer(const struct fixture *fixture, int fd, unsigned addresses,
			  uint8_t *ret_bytes, size_t capacity)
{
	const struct fake_datagram *sent = &at(fixture, fd)->sent;
	struct writer writer = writer_of(ret_bytes, capacity);
	struct ip_addr addrs[200];
	struct dns_message query;

	assert_true(dns_parse(sent->bytes, sent->size, &query));
	assert_in_range(addresses, 0, ARRAY_COUNT(addrs));
	for (unsigned i = 0; i < addresses; i++)
		addrs[i] = ip_addr_from_v4(UINT32_C(0xc0000250) + i);
	assert_true(dns_build_addresses(&writer, &query, addrs, addresses, 300));
	return writer.position;
}

static void answer(struct fixture *fixture, int fd, unsigned addresses)
{
	uint8_t bytes[FAKE_DATAGRAM_MAX];
	size_t size = make_answer(fixture, fd, addresses, bytes, sizeof(bytes));
	const struct ip_endpoint from = at(fixture, fd)->remote;

	fake_host_deliver(&fixture->host, fd, &from, bytes, size);
}

static void answer_status(struct fixture *fixture, int fd, uint8_t rcode)
{
	const struct fake_datagram *sent = &at(fixture, fd)->sent;
	const struct ip_endpoint from = at(fixture, fd)->remote;
	uint8_t bytes[600];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct dns_message query;

	assert_true(dns_parse(sent->bytes, sent->size, &query));
	assert_true(dns_build_status(&writer, &query, rcode));
	fake_host_deliver(&fixture->host, fd, &from, bytes, writer.position);
}

/* The query goes out as it came but for the id, and so does the answer. */
static void passes_queries_and_answers(void **state)
{
	struct fixture *fixture = *state;
	uint8_t query[600];
	uint8_t reply[600];
	uint8_t got[600];
	size_t size = fixture_query(query, sizeof(query), 77, "Example.ORG", DNS_TYPE_A, 4096);
	const struct ip_endpoint to = resolver(resolver_1);
	size_t reply_size;
	int fd;

	send_query(fixture, 0, GUEST_PORT, query, size);
	fd = fake_host_find(&fixture->host, &to);
	assert_int_equal(at(fixture, fd)->sent.size, size);
	assert_memory_equal(at(fixture, fd)->sent.bytes + 2, query + 2, size - 2);
	assert_memory_not_equal(at(fixture, fd)->sent.bytes, query, 2);
	reply_size = make_answer(fixture, fd, 3, reply, sizeof(reply));
	fake_host_deliver(&fixture->host, fd, &to, reply, reply_size);
	assert_int_equal(fixture->to_bridge.pushed, 1);
	assert_int_equal(fixture_payload(&fixture->to_bridge, 0, got, sizeof(got)), reply_size);
	assert_memory_equal(got, query, 2);
	assert_memory_equal(got + 2, reply + 2, reply_size - 2);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
	assert_int_equal(fixture_drops(fixture), 0);
	fixture_advance(fixture, 6000);
	assert_int_equal(fixture->to_bridge.pushed, 1);
}

static void each_query_has_its_own_socket_and_id(void **state)
{
	struct fixture *fixture = *state;
	static bool seen[65536];
	unsigned repeated = 0;

	for (uint16_t i = 0; i < 100; i++) {
		const struct fake_socket *socket;
		uint16_t id;

		ask(fixture, i, "example.org", 0);
		socket = at(fixture, fixture->host.last_opened);
		id = (uint16_t)(socket->sent.bytes[0] << 8 | socket->sent.bytes[1]);
		repeated += seen[id];
		seen[id] = true;
		assert_int_equal(socket->sent_count, 1);
	}
	assert_int_equal(fixture->host.open_count, 100);
	assert_in_range(repeated, 0, 3);
	gateway_port_gone(fixture->gateway, 0);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
}

/* Wrong id, question, source address, source port, kind: none is believed, the real one still is. */
static void forged_answers_are_not_believed(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint real = resolver(resolver_1);
	struct ip_endpoint from = real;
	uint8_t good[600];
	uint8_t bytes[600];
	size_t size;
	int fd;

	ask(fixture, 5, "example.org", 0);
	fd = fake_host_find(&fixture->host, &real);
	size = make_answer(fixture, fd, 1, good, sizeof(good));
	for (unsigned i = 0; i < 8; i++) {
		size_t forged_size = size;

		from = real;
		memcpy(bytes, good, size);
		switch (i) {
		case 0:
			bytes[1] ^= 1; /* the id */
			break;
		case 1:
			bytes[13] = 'f'; /* the name */
			break;
		case 2:
			bytes[12 + 13 + 1] = DNS_TYPE_AAAA;
			break;
		case 3:
			from.addr = fixture_parse("192.0.2.54");
			break;
		case 4:
			from.port = 54;
			break;
		case 5:
			bytes[2] &= 0x7f; /* a query */
			break;
		case 6:
			forged_size = 11;
			break;
		default:
			from = resolver(resolver_2); /* a resolver, but not the one asked */
		}
		fake_host_deliver(&fixture->host, fd, &from, bytes, forged_size);
		assert_int_equal(fixture->to_bridge.pushed, 0);
		assert_int_equal(fixture->drops.count[DROP_BAD_DNS], i + 1);
	}
	memcpy(bytes, good, size);
	bytes[13] = 'E'; /* RFC 4343: the case of letters does not count */
	fake_host_deliver(&fixture->host, fd, &real, bytes, size);
	assert_int_equal(fixture->to_bridge.pushed, 1);
}

static void a_silent_resolver_is_joined_by_the_next(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint first = resolver(resolver_1);
	const struct ip_endpoint second = resolver(resolver_2);
	struct dns_message reply;
	size_t size;
	int fd_1;
	int fd_2;

	ask(fixture, 5, "example.org", 0);
	fixture_advance(fixture, 900);
	assert_int_equal(fake_host_find(&fixture->host, &second), -1);
	fixture_advance(fixture, 200);
	fd_1 = fake_host_find(&fixture->host, &first);
	fd_2 = fake_host_find(&fixture->host, &second);
	assert_int_not_equal(fd_1, -1);
	assert_int_not_equal(fd_2, -1);
	assert_memory_not_equal(at(fixture, fd_1)->sent.bytes, at(fixture, fd_2)->sent.bytes, 2);
	/* The slow first one still counts. */
	answer(fixture, fd_1, 1);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.id, 5);
	assert_int_equal(reply.answer_count, 1);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
	ask(fixture, 6, "example.org", 0);
	fixture_advance(fixture, 1100);
	answer(fixture, fake_host_find(&fixture->host, &second), 2);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.id, 6);
	assert_int_equal(reply.answer_count, 2);
}

static void dead_resolvers_mean_servfail_in_time(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start_ns = fixture->now_ns;
	struct dns_message reply;
	size_t size;

	ask(fixture, 5, "example.org", 1232);
	while (fixture->to_bridge.pushed == 0) {
		fixture_advance(fixture, 50);
		assert_true(fixture->now_ns - start_ns < 5 * NS_PER_S);
	}
	assert_true(fixture->now_ns - start_ns >= 4 * NS_PER_S);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.id, 5);
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
	assert_true(reply.has_edns);
	assert_string_equal(reply.question.text, "example.org");
	assert_int_equal(fixture->host.open_count, DNS_FORWARDER_TRIES);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
	assert_int_equal(fixture->drops.count[DROP_DNS_NO_ANSWER], 1);
	fixture_advance(fixture, 10000);
	assert_int_equal(fixture->to_bridge.pushed, 1);
}

/* ICMP says that nobody listens there: no waiting. */
static void a_refusing_resolver_is_left_at_once(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint first = resolver(resolver_1);
	const struct ip_endpoint second = resolver(resolver_2);
	struct dns_message reply;
	size_t size;

	ask(fixture, 5, "example.org", 0);
	fake_host_fail(&fixture->host, fake_host_find(&fixture->host, &first), -ECONNREFUSED);
	assert_int_equal(fake_host_open_now(&fixture->host), 1);
	fake_host_fail(&fixture->host, fake_host_find(&fixture->host, &second), -ECONNREFUSED);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
}

/* What a resolver cannot say another may; what the last one says is passed on. */
static void servfail_asks_the_next(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint first = resolver(resolver_1);
	const struct ip_endpoint second = resolver(resolver_2);
	struct dns_message reply;
	size_t size;

	ask(fixture, 5, "example.org", 0);
	answer_status(fixture, fake_host_find(&fixture->host, &first), DNS_RCODE_REFUSED);
	assert_int_equal(fixture->to_bridge.pushed, 0);
	answer_status(fixture, fake_host_find(&fixture->host, &second), DNS_RCODE_SERVFAIL);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
	ask(fixture, 6, "nowhere.org", 0);
	answer_status(fixture, fake_host_find(&fixture->host, &first), DNS_RCODE_NXDOMAIN);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.rcode, DNS_RCODE_NXDOMAIN);
	assert_int_equal(reply.id, 6);
}

/* The resolvers are those of the moment, also for a query under way. */
static void follows_the_hosts_resolvers(void **state)
{
	struct fixture *fixture = *state;
	struct ip_endpoint changed = resolver("198.51.100.53");
	struct dns_message reply;
	size_t size;

	fixture->host.resolver_count = 0;
	ask(fixture, 5, "example.org", 0);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
	fake_host_add_resolver(&fixture->host, resolver_1);
	ask(fixture, 6, "example.org", 0);
	fixture->host.resolver_count = 0;
	fake_host_add_resolver(&fixture->host, "198.51.100.53");
	fixture_advance(fixture, 1100);
	answer(fixture, fake_host_find(&fixture->host, &changed), 1);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.id, 6);
	assert_int_equal(reply.rcode, DNS_RCODE_NOERROR);
}

struct limit {
	uint16_t edns;
	unsigned addresses;
	bool truncated;
};

static void long_answers_are_truncated(void **state)
{
	static const struct limit table[] = {
		{ 0, 20, false },					     /* 29 + 20 * 16 */
		{ 0, 40, true },					     /* over 512 */
		{ 600, 30, false },  { 600, 40, true },	 { 100, 25, false }, /* at least 512 */
		{ 1232, 70, false }, { 1232, 80, true }, { 4096, 85, false },
		{ 4096, 100, true }, /* the MTU counts too */
	};
	struct fixture *fixture = *state;
	const struct ip_endpoint to = resolver(resolver_1);

	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		struct dns_message reply;
		size_t limit = table[i].edns > 512 ? table[i].edns : 512;
		size_t size;

		ask(fixture, (uint16_t)i, "example.org", table[i].edns);
		answer(fixture, fake_host_find(&fixture->host, &to), table[i].addresses);
		assert_int_equal(fixture->to_bridge.pushed, i + 1);
		last_answer(fixture, &reply, &size);
		if (reply.truncated != table[i].truncated)
			fail_msg("%u addresses, limit %u", table[i].addresses, table[i].edns);
		assert_int_equal(reply.answer_count, table[i].truncated ? 0 : table[i].addresses);
		assert_int_equal(reply.has_edns, table[i].edns > 0);
		assert_int_equal(reply.id, i);
		assert_true(size <= limit && size + 28 <= fixture->config.mtu);
	}
}

static void an_upstream_tc_is_passed_on(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint to = resolver(resolver_1);
	struct dns_message reply;
	uint8_t bytes[600];
	size_t size;
	int fd;

	ask(fixture, 5, "example.org", 0);
	fd = fake_host_find(&fixture->host, &to);
	size = make_answer(fixture, fd, 0, bytes, sizeof(bytes));
	bytes[2] |= 2;
	fake_host_deliver(&fixture->host, fd, &to, bytes, size);
	last_answer(fixture, &reply, &size);
	assert_true(reply.truncated);
}

static void a_repeated_query_is_asked_once(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint to = resolver(resolver_1);

	for (unsigned i = 0; i < 5; i++)
		ask(fixture, 5, "example.org", 0);
	assert_int_equal(fixture->host.open_count, 1);
	ask(fixture, 6, "example.org", 0);
	ask(fixture, 5, "example.net", 0);
	assert_int_equal(fixture->host.open_count, 3);
	gateway_port_gone(fixture->gateway, 0);
	ask(fixture, 5, "example.org", 0);
	answer(fixture, fake_host_find(&fixture->host, &to), 1);
	assert_int_equal(fixture->to_bridge.pushed, 1);
}

/* One port's flood leaves the other ports their part. */
static void queries_in_flight_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint from = { fixture_addr(3), GUEST_PORT };
	const struct ip_endpoint to = { fixture->config.addr, DNS_PORT };
	const struct mac_addr mac = fixture_mac(3);
	uint8_t bytes[600];
	size_t size;

	for (uint16_t i = 0; i < 1000; i++)
		ask(fixture, i, "example.org", 0);
	assert_int_equal(fake_host_open_now(&fixture->host), DNS_FORWARDER_PORT_SHARE);
	assert_int_equal(fixture->drops.count[DROP_DNS_LIMIT], 1000 - DNS_FORWARDER_PORT_SHARE);
	size = fixture_query(bytes, sizeof(bytes), 1, "example.org", DNS_TYPE_A, 0);
	fixture_send_udp(fixture, 1, &mac, &from, &to, bytes, size);
	assert_int_equal(fake_host_open_now(&fixture->host), DNS_FORWARDER_PORT_SHARE + 1);
	/* Names of our own need none of this. */
	ask(fixture, 5, "host.internal", 0);
	assert_int_equal(fixture->to_bridge.pushed, 1);
	fixture_advance(fixture, 5000);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
	ask(fixture, 5, "example.org", 0);
	assert_int_equal(fake_host_open_now(&fixture->host), 1);
}

static void a_host_without_sockets_is_servfail(void **state)
{
	struct fixture *fixture = *state;
	struct dns_message reply;
	size_t size;

	fixture->host.refuse_open = true;
	ask(fixture, 5, "example.org", 0);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
	assert_true(fixture->drops.count[DROP_SOCKET_LIMIT] > 0);
	fixture->host.refuse_open = false;
	fixture->host.send_error = -ENETUNREACH;
	ask(fixture, 6, "example.org", 0);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.id, 6);
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
}

static void bad_queries_are_answered_or_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct dns_message reply;
	uint8_t bytes[DNS_FORWARDER_QUERY_MAX + 10] = { 0 };
	size_t size = fixture_query(bytes, sizeof(bytes), 5, "example.org", DNS_TYPE_A, 0);
	size_t answer_size;

	bytes[2] = 0x28; /* opcode UPDATE */
	send_query(fixture, 0, GUEST_PORT, bytes, size);
	last_answer(fixture, &reply, &answer_size);
	assert_int_equal(reply.rcode, DNS_RCODE_NOTIMP);
	bytes[2] = 1;
	bytes[5] = 0; /* no question */
	send_query(fixture, 0, GUEST_PORT, bytes, DNS_HEADER_SIZE);
	last_answer(fixture, &reply, &answer_size);
	assert_int_equal(reply.rcode, DNS_RCODE_FORMERR);
	assert_int_equal(fixture->to_bridge.pushed, 2);
	bytes[5] = 1;
	for (size_t i = 0; i < size; i++)
		send_query(fixture, 0, GUEST_PORT, bytes, i);
	bytes[2] = 0x81; /* a response: never answered, or two of us would go on for ever */
	send_query(fixture, 0, GUEST_PORT, bytes, size);
	bytes[2] = 1;
	send_query(fixture, 0, GUEST_PORT, bytes, sizeof(bytes));
	send_query(fixture, 0, 0, bytes, size);
	assert_int_equal(fixture->to_bridge.pushed, 2);
	assert_int_equal(fixture->drops.count[DROP_BAD_DNS], size + 3);
	assert_int_equal(fixture->host.open_count, 0);
}

static void local_names_are_answered_here(void **state)
{
	struct fixture *fixture = *state;
	struct dns_message reply;
	size_t size;

	ask(fixture, 5, "box.test", 0);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.answer_count, 1);
	assert_int_equal(reply.id, 5);
	assert_int_equal(fixture->host.open_count, 0);
}

/* On a host-only network a name is no way out. */
static void names_from_outside_are_refused(void **state)
{
	static const char *const names[] = { "example.org", "x.box.test", "internal" };
	struct fixture *fixture = fixture_new();
	struct dns_message reply;
	uint8_t bytes[600];
	size_t size;

	*state = fixture;
	fake_host_add_resolver(&fixture->host, resolver_1);
	fixture->config.local_names_only = true;
	fixture_start(fixture);
	for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
		ask(fixture, (uint16_t)(7 + i), names[i], i == 1 ? 4096 : 0);
		last_answer(fixture, &reply, &size);
		assert_int_equal(reply.rcode, DNS_RCODE_REFUSED);
		assert_int_equal(reply.id, 7 + i);
		assert_int_equal(reply.answer_count, 0);
		assert_int_equal(reply.has_edns, i == 1);
		assert_int_equal(fixture->drops.count[DROP_DNS_OUTSIDE], i + 1);
	}
	/* Of another class, too. */
	size = fixture_query(bytes, sizeof(bytes), 1, "version.bind", DNS_TYPE_ANY, 0);
	bytes[size - 1] = 3;
	send_query(fixture, 0, GUEST_PORT, bytes, size);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.rcode, DNS_RCODE_REFUSED);
	ask(fixture, 5, "box.test", 0);
	last_answer(fixture, &reply, &size);
	assert_int_equal(reply.rcode, DNS_RCODE_NOERROR);
	assert_int_equal(reply.answer_count, 1);
	assert_int_equal(fixture->drops.count[DROP_DNS_OUTSIDE], ARRAY_COUNT(names) + 1);
	assert_int_equal(fixture->host.open_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(passes_queries_and_answers),
		TEST(each_query_has_its_own_socket_and_id),
		TEST(forged_answers_are_not_believed),
		TEST(a_silent_resolver_is_joined_by_the_next),
		TEST(dead_resolvers_mean_servfail_in_time),
		TEST(a_refusing_resolver_is_left_at_once),
		TEST(servfail_asks_the_next),
		TEST(follows_the_hosts_resolvers),
		TEST(long_answers_are_truncated),
		TEST(an_upstream_tc_is_passed_on),
		TEST(a_repeated_query_is_asked_once),
		TEST(queries_in_flight_are_bounded),
		TEST(a_host_without_sockets_is_servfail),
		TEST(bad_queries_are_answered_or_dropped),
		TEST(local_names_are_answered_here),
		cmocka_unit_test_teardown(names_from_outside_are_refused, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
