#include "gateway/dns_stream.h"
#include "gateway/stream_sessions.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "fixture.h"
#include "wire/dns.h"

static const char resolver_1[] = "192.0.2.53";
static const char resolver_2[] = "2001:db8::53";

static struct ip_endpoint resolver(const char *addr)
{
	return (struct ip_endpoint){ fixture_parse(addr), DNS_PORT };
}

/* The guest's flow, as NAT would have it. */
struct flow {
	struct host_socket socket;
	unsigned ready;
};

static void flow_ready(struct host_socket *socket, uint32_t events)
{
	(void)events;
	container_of(socket, struct flow, socket)->ready++;
}

static int try_open(struct fixture *fixture, struct flow *flow, uint32_t port)
{
	struct host_stream_service *service = gateway_dns_stream(fixture->gateway);

	assert_non_null(service);
	host_socket_init(&flow->socket, flow_ready);
	flow->ready = 0;
	return service->open(service, &flow->socket, port);
}

/* Returns the number of the session's end. */
static int open_flow_of(struct fixture *fixture, struct flow *flow, uint32_t port)
{
	assert_int_equal(try_open(fixture, flow, port), 0);
	return fixture->host.sockets[flow->socket.fd].peer;
}

static int open_flow(struct fixture *fixture, struct flow *flow)
{
	return open_flow_of(fixture, flow, 0);
}

static void close_flow(struct fixture *fixture, struct flow *flow)
{
	int session = fixture->host.sockets[flow->socket.fd].peer;

	host_call(&fixture->host.host, close, &flow->socket);
	if (session != -1)
		fake_host_ready(&fixture->host, session, EPOLLIN | EPOLLRDHUP);
}

static size_t framed_query(uint8_t *ret_bytes, size_t capacity, uint16_t id, const char *name)
{
	size_t size = fixture_query(ret_bytes + 2, capacity - 2, id, name, DNS_TYPE_A, 0);

	ret_bytes[0] = (uint8_t)(size >> 8);
	ret_bytes[1] = (uint8_t)size;
	return size + 2;
}

static void ask(struct fixture *fixture, int session, uint16_t id, const char *name)
{
	uint8_t bytes[600];
	size_t size = framed_query(bytes, sizeof(bytes), id, name);

	fake_host_stream_write(&fixture->host, session, bytes, size);
}

/* The next message for the guest: false when there is none. */
static bool take_answer(struct fixture *fixture, int session, struct dns_message *ret_reply)
{
	static uint8_t bytes[FAKE_STREAM_SIZE];
	uint8_t length[2];
	size_t size;

	if (fake_host_stream_read(&fixture->host, session, length, 2) != 2)
		return false;
	size = (size_t)length[0] << 8 | length[1];
	assert_int_equal(fake_host_stream_read(&fixture->host, session, bytes, size), size);
	assert_true(dns_parse(bytes, size, ret_reply));
	assert_true(ret_reply->response);
	return true;
}

static void connected(struct fixture *fixture, int fd, int result)
{
	fixture->host.sockets[fd].connect_result = result;
	fake_host_ready(&fixture->host, fd, result == 0 ? EPOLLOUT : EPOLLERR);
}

/* Takes the query that the session sent and answers it with so many addresses. */
static void serve(struct fixture *fixture, int fd, unsigned addresses, uint16_t id_change)
{
	static uint8_t bytes[FAKE_STREAM_SIZE];
	static struct ip_addr addrs[4000];
	struct writer writer = writer_of(bytes + 2, sizeof(bytes) - 2);
	struct dns_message query;
	size_t size;

	size = fake_host_stream_read(&fixture->host, fd, bytes, sizeof(bytes));
	assert_true(size > 2);
	assert_int_equal((size_t)bytes[0] << 8 | bytes[1], size - 2);
	assert_true(dns_parse(bytes + 2, size - 2, &query));
	query.id = (uint16_t)(query.id + id_change);
	for (unsigned i = 0; i < addresses; i++)
		addrs[i] = ip_addr_from_v4(UINT32_C(0xc0000200) + i);
	assert_true(dns_build_addresses(&writer, &query, addrs, addresses, 300));
	bytes[0] = (uint8_t)(writer.position >> 8);
	bytes[1] = (uint8_t)writer.position;
	/* In two parts, cut inside the length. */
	fake_host_stream_write(&fixture->host, fd, bytes, 1);
	fake_host_stream_write(&fixture->host, fd, bytes + 1, writer.position + 1);
}

static void passes_queries_and_answers(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint to = resolver(resolver_1);
	struct dns_message reply;
	struct flow flow;
	int session = open_flow(fixture, &flow);
	int fd;

	for (uint16_t id = 1; id < 4; id++) {
		ask(fixture, session, id, "example.org");
		fd = fake_host_find(&fixture->host, &to);
		connected(fixture, fd, 0);
		serve(fixture, fd, 3, 0);
		assert_true(take_answer(fixture, session, &reply));
		assert_int_equal(reply.id, id);
		assert_int_equal(reply.answer_count, 3);
		assert_int_equal(fake_host_open_now(&fixture->host), 2);
	}
	close_flow(fixture, &flow);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
	assert_int_equal(fixture_drops(fixture), 0);
}

/* What no datagram could carry. */
static void long_answers_come_whole(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint to = resolver(resolver_1);
	struct dns_message reply;
	struct flow flow;
	int session = open_flow(fixture, &flow);
	int fd;

	fixture->host.sockets[flow.socket.fd].capacity = 1000; /* a slow reader */
	ask(fixture, session, 9, "example.org");
	fd = fake_host_find(&fixture->host, &to);
	connected(fixture, fd, 0);
	serve(fixture, fd, 4000, 0);
	fixture->host.sockets[flow.socket.fd].capacity = FAKE_STREAM_SIZE;
	fake_host_ready(&fixture->host, session, EPOLLOUT);
	assert_true(take_answer(fixture, session, &reply));
	assert_int_equal(reply.answer_count, 4000);
	close_flow(fixture, &flow);
}

static void pipelined_queries_are_answered_in_turn(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint to = resolver(resolver_1);
	uint8_t bytes[3000];
	size_t size = 0;
	struct dns_message reply;
	struct flow flow;
	int session = open_flow(fixture, &flow);
	int fd;

	for (uint16_t id = 0; id < 40; id++)
		size += framed_query(bytes + size, sizeof(bytes) - size, id,
				     id == 20 ? "example.org" : "host.internal");
	for (size_t i = 0; i < size; i += 7) /* in crumbs */
		fake_host_stream_write(&fixture->host, session, bytes + i,
				       size - i < 7 ? size - i : 7);
	for (uint16_t id = 0; id < 40; id++) {
		if (id == 20) {
			assert_false(take_answer(fixture, session, &reply));
			fd = fake_host_find(&fixture->host, &to);
			connected(fixture, fd, 0);
			serve(fixture, fd, 2, 0);
		}
		assert_true(take_answer(fixture, session, &reply));
		assert_int_equal(reply.id, id);
		assert_int_equal(reply.answer_count, id == 20 ? 2 : 1);
	}
	close_flow(fixture, &flow);
}

/* Refused, then an answer to something else, then nobody left. */
static void bad_resolvers_are_left(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint first = resolver(resolver_1);
	const struct ip_endpoint second = resolver(resolver_2);
	struct dns_message reply;
	struct flow flow;
	int session = open_flow(fixture, &flow);
	int fd;

	ask(fixture, session, 3, "example.org");
	connected(fixture, fake_host_find(&fixture->host, &first), -ECONNREFUSED);
	fd = fake_host_find(&fixture->host, &second);
	connected(fixture, fd, 0);
	serve(fixture, fd, 1, 1);
	assert_true(take_answer(fixture, session, &reply));
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
	assert_int_equal(reply.id, 3);
	assert_int_equal(fixture->drops.count[DROP_BAD_DNS], 1);
	/* A resolver that hangs up in the middle is no better. */
	ask(fixture, session, 4, "example.org");
	fd = fake_host_find(&fixture->host, &first);
	connected(fixture, fd, 0);
	fake_host_stream_close(&fixture->host, fd);
	fd = fake_host_find(&fixture->host, &second);
	connected(fixture, fd, 0);
	serve(fixture, fd, 1, 0);
	assert_true(take_answer(fixture, session, &reply));
	assert_int_equal(reply.rcode, DNS_RCODE_NOERROR);
	close_flow(fixture, &flow);
}

static void silent_resolvers_mean_servfail_in_time(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint first = resolver(resolver_1);
	const struct ip_endpoint second = resolver(resolver_2);
	struct dns_message reply;
	struct flow flow;
	int session = open_flow(fixture, &flow);

	ask(fixture, session, 3, "example.org");
	connected(fixture, fake_host_find(&fixture->host, &first), 0);
	fixture_advance(fixture, 2400);
	assert_int_equal(fake_host_find(&fixture->host, &first), -1);
	assert_int_not_equal(fake_host_find(&fixture->host, &second), -1);
	assert_false(take_answer(fixture, session, &reply));
	fixture_advance(fixture, 2500);
	assert_true(take_answer(fixture, session, &reply));
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
	fixture->host.refuse_open = true;
	ask(fixture, session, 4, "example.org");
	assert_true(take_answer(fixture, session, &reply));
	assert_int_equal(reply.rcode, DNS_RCODE_SERVFAIL);
	close_flow(fixture, &flow);
}

struct bad {
	const char *name;
	const char *bytes;
	size_t size;
};

static void bad_bytes_end_the_session(void **state)
{
	static const struct bad table[] = {
		{ "empty message", "\0\0", 2 },
		{ "shorter than a header", "\0\5abcde", 7 },
		{ "too long", "\x10\x01", 2 },
		{ "far too long", "\xff\xff", 2 },
		{ "a response", "\0\14\0\0\x81\0\0\0\0\0\0\0\0\0", 14 },
		{ "a name that ends nowhere", "\0\16\0\0\1\0\0\1\0\0\0\0\0\0\77a", 16 },
	};
	struct fixture *fixture = *state;
	struct dns_message reply;
	struct flow flow;

	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		int session = open_flow(fixture, &flow);

		fake_host_stream_write(&fixture->host, session, table[i].bytes, table[i].size);
		if (fake_host_open_now(&fixture->host) != 1)
			fail_msg("%s: still open", table[i].name);
		assert_int_equal(fixture->drops.count[DROP_BAD_DNS], i + 1);
		close_flow(fixture, &flow);
	}
	/* No question is a mistake that has an answer. */
	fake_host_stream_write(&fixture->host, open_flow(fixture, &flow),
			       "\0\14\0\7\1\0\0\0\0\0\0\0\0\0", 14);
	assert_true(take_answer(fixture, fixture->host.sockets[flow.socket.fd].peer, &reply));
	assert_int_equal(reply.rcode, DNS_RCODE_FORMERR);
	assert_int_equal(reply.id, 7);
	close_flow(fixture, &flow);
}

/* Silence, a byte now and then, an answer that nobody reads: 10 s each. */
static void idle_sessions_end(void **state)
{
	struct fixture *fixture = *state;
	struct flow flows[3];
	int crumbs;

	open_flow(fixture, &flows[0]);
	crumbs = open_flow(fixture, &flows[1]);
	ask(fixture, open_flow(fixture, &flows[2]), 1, "host.internal");
	for (unsigned i = 0; i < 12; i++) {
		bool open = fixture->host.sockets[flows[1].socket.fd].peer == crumbs;

		assert_int_equal(open, i < 10);
		if (open)
			fake_host_stream_write(&fixture->host, crumbs, i == 0 ? "\1" : "a", 1);
		fixture_advance(fixture, 1000);
	}
	assert_int_equal(fake_host_open_now(&fixture->host), 3);
	for (unsigned i = 0; i < 3; i++)
		close_flow(fixture, &flows[i]);
}

static void sessions_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct flow flows[STREAM_SESSIONS];
	struct flow late;
	int sessions[STREAM_SESSIONS];

	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		sessions[i] = open_flow(fixture, &flows[i]);
	assert_int_equal(try_open(fixture, &late, 0), -EBUSY);
	assert_int_equal(late.socket.fd, -1);
	assert_int_equal(fixture->drops.count[DROP_DNS_LIMIT], 1);
	/* A session that waits for nothing makes room; those at work stay. */
	fixture_advance(fixture, 500);
	for (size_t i = 0; i < STREAM_SESSIONS; i++) {
		if (i != 7)
			ask(fixture, sessions[i], 1, "example.org");
	}
	open_flow(fixture, &late);
	assert_int_equal(fixture->host.sockets[flows[7].socket.fd].peer, -1);
	fixture_advance(fixture, 6000);
	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		close_flow(fixture, &flows[i]);
	close_flow(fixture, &late);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
}

/* Opens sessions of a port that wait for a resolver. */
static void open_working(struct fixture *fixture, struct flow *flows, size_t count, uint32_t port)
{
	for (size_t i = 0; i < count; i++)
		ask(fixture, open_flow_of(fixture, &flows[i], port), 1, "example.org");
}

static size_t count_open(const struct fixture *fixture, const struct flow *flows, size_t count)
{
	size_t open = 0;

	for (size_t i = 0; i < count; i++)
		open += fixture->host.sockets[flows[i].socket.fd].peer != -1;
	return open;
}

static void close_flows(struct fixture *fixture, struct flow *flows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close_flow(fixture, &flows[i]);
}

/* One port took all, and works with all: another has its half at once, a third its third. */
static void each_port_has_its_share(void **state)
{
	struct fixture *fixture = *state;
	struct flow first[32];
	struct flow second[16];
	struct flow third[10];
	struct flow late;

	open_working(fixture, first, 32, 0);
	fixture_advance(fixture, 100);
	open_working(fixture, second, 16, 1);
	assert_int_equal(count_open(fixture, first, 32), 16);
	/* The oldest went. */
	assert_int_equal(count_open(fixture, first, 16), 0);
	assert_int_equal(try_open(fixture, &late, 1), -EBUSY);
	assert_int_equal(try_open(fixture, &late, 0), -EBUSY);
	fixture_advance(fixture, 100);
	open_working(fixture, third, 10, 2);
	assert_int_equal(try_open(fixture, &late, 2), -EBUSY);
	/* Those who have no more than their share keep it, whoever asks. */
	for (uint32_t port = 0; port < 3; port++)
		assert_int_equal(try_open(fixture, &late, port), -EBUSY);
	assert_true(count_open(fixture, first, 32) >= 10);
	assert_true(count_open(fixture, second, 16) >= 10);
	assert_int_equal(count_open(fixture, third, 10), 10);
	fixture_advance(fixture, 6000);
	close_flows(fixture, first, 32);
	close_flows(fixture, second, 16);
	close_flows(fixture, third, 10);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
}

/* Of what is beyond a share, a session between two queries goes before one at work; within it, not
 * even that goes. */
static void idle_sessions_give_way_first(void **state)
{
	struct fixture *fixture = *state;
	struct flow working[20];
	struct flow idle[12];
	struct flow other[17];

	open_working(fixture, working, 20, 0);
	for (size_t i = 0; i < 12; i++)
		open_flow_of(fixture, &idle[i], 0);
	fixture_advance(fixture, 100);
	open_working(fixture, other, 12, 1);
	assert_int_equal(count_open(fixture, working, 20), 20);
	assert_int_equal(count_open(fixture, idle, 12), 0);
	open_working(fixture, other + 12, 4, 1);
	assert_int_equal(count_open(fixture, working, 20), 16);
	fixture_advance(fixture, 6000); /* answered: idle now */
	open_flow_of(fixture, &other[16], 1);
	assert_int_equal(count_open(fixture, working, 20), 16);
	assert_int_equal(count_open(fixture, other, 16), 15);
	close_flows(fixture, working, 20);
	close_flows(fixture, idle, 12);
	close_flows(fixture, other, 17);
}

/* A port's first session takes the place of an idle one where all have no more than one. */
static void more_ports_than_sessions(void **state)
{
	struct fixture *fixture = *state;
	struct flow flows[STREAM_SESSIONS];
	struct flow refused;
	struct flow late[2];

	for (uint32_t i = 0; i < STREAM_SESSIONS; i++) {
		open_flow_of(fixture, &flows[i], i);
		if (i == 3)
			fixture_advance(fixture, 100);
	}
	open_flow_of(fixture, &late[0], 100);
	assert_int_equal(count_open(fixture, flows, 1), 0);
	for (uint32_t i = 1; i < STREAM_SESSIONS; i++)
		ask(fixture, fixture->host.sockets[flows[i].socket.fd].peer, 1, "example.org");
	fixture_advance(fixture, 100);
	/* Its own idle one goes. */
	open_flow_of(fixture, &late[1], 100);
	assert_int_equal(count_open(fixture, late, 1), 0);
	ask(fixture, fixture->host.sockets[late[1].socket.fd].peer, 1, "example.org");
	assert_int_equal(try_open(fixture, &refused, 101), -EBUSY);
	assert_int_equal(count_open(fixture, flows, STREAM_SESSIONS), STREAM_SESSIONS - 1);
	fixture_advance(fixture, 6000);
	close_flows(fixture, flows, STREAM_SESSIONS);
	close_flows(fixture, late, 2);
}

static void sessions_end_with_their_port(void **state)
{
	struct fixture *fixture = *state;
	struct flow flows[3];
	struct flow other;

	open_working(fixture, flows, 2, 4);
	open_flow_of(fixture, &flows[2], 4);
	open_flow_of(fixture, &other, 5);
	gateway_port_gone(fixture->gateway, 4);
	assert_int_equal(count_open(fixture, flows, 3), 0);
	assert_int_equal(count_open(fixture, &other, 1), 1);
	close_flows(fixture, flows, 3);
	close_flow(fixture, &other);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
}

static void a_guest_may_leave_while_we_ask(void **state)
{
	struct fixture *fixture = *state;
	const struct ip_endpoint to = resolver(resolver_1);
	struct flow flow;
	int fd;

	ask(fixture, open_flow(fixture, &flow), 3, "example.org");
	fd = fake_host_find(&fixture->host, &to);
	close_flow(fixture, &flow);
	connected(fixture, fd, 0);
	serve(fixture, fd, 1, 0);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
}

static void names_from_outside_are_refused(void **state)
{
	struct fixture *fixture = fixture_new();
	struct dns_message reply;
	struct flow flow;

	*state = fixture;
	fake_host_add_resolver(&fixture->host, resolver_1);
	fixture->config.local_names_only = true;
	fixture_start(fixture);
	int session = open_flow(fixture, &flow);
	for (uint16_t id = 1; id < 5; id++) { /* the session goes on */
		ask(fixture, session, id, id % 2 ? "example.org" : "host.internal");
		assert_true(take_answer(fixture, session, &reply));
		assert_int_equal(reply.id, id);
		assert_int_equal(reply.rcode, id % 2 ? DNS_RCODE_REFUSED : DNS_RCODE_NOERROR);
		assert_int_equal(reply.answer_count, id % 2 ? 0 : 1);
	}
	assert_int_equal(fixture->drops.count[DROP_DNS_OUTSIDE], 2);
	assert_int_equal(fake_host_open_now(&fixture->host), 2); /* the pair, no resolver */
	close_flow(fixture, &flow);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(passes_queries_and_answers),
		TEST(long_answers_come_whole),
		TEST(pipelined_queries_are_answered_in_turn),
		TEST(bad_resolvers_are_left),
		TEST(silent_resolvers_mean_servfail_in_time),
		TEST(bad_bytes_end_the_session),
		TEST(idle_sessions_end),
		TEST(sessions_are_bounded),
		TEST(each_port_has_its_share),
		TEST(idle_sessions_give_way_first),
		TEST(more_ports_than_sessions),
		TEST(sessions_end_with_their_port),
		TEST(a_guest_may_leave_while_we_ask),
		cmocka_unit_test_teardown(names_from_outside_are_refused, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
