#include "gateway/document_server.h"
#include "gateway/stream_sessions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "fixture.h"

#define BIG_SIZE 300000

/* What is asked for comes from here. */
static const struct gateway_document texts[] = {
	{ "/seed/meta-data", (const uint8_t *)"instance-id: a\n", 15 },
	{ "/seed/empty", (const uint8_t *)"", 0 },
	{ "/seed/big", NULL, BIG_SIZE },
};
static uint8_t big[BIG_SIZE];

static int setup(void **state)
{
	struct gateway_document documents[ARRAY_COUNT(texts)];
	struct fixture *fixture = fixture_new();

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
	memcpy(documents, texts, sizeof(texts));
	documents[2].bytes = big;
	fixture->config.documents = documents;
	fixture->config.document_count = ARRAY_COUNT(documents);
	fixture_start(fixture);
	/* They were copied. */
	memset(documents, 0xff, sizeof(documents));
	*state = fixture;
	return 0;
}

/* The guest's flow, as NAT would have it. */
struct flow {
	struct host_socket socket;
	int session; /* the number of the session's end */
};

static void flow_ready(struct host_socket *socket, uint32_t events)
{
	(void)socket;
	(void)events;
}

static int try_open(struct fixture *fixture, struct flow *flow, uint32_t port)
{
	struct host_stream_service *service = gateway_documents(fixture->gateway);
	int rc;

	assert_non_null(service);
	host_socket_init(&flow->socket, flow_ready);
	rc = service->open(service, &flow->socket, port);
	if (rc == 0)
		flow->session = fixture->host.sockets[flow->socket.fd].peer;
	return rc;
}

static void open_flow(struct fixture *fixture, struct flow *flow, uint32_t port)
{
	assert_int_equal(try_open(fixture, flow, port), 0);
}

static bool is_open(const struct fixture *fixture, const struct flow *flow)
{
	return fixture->host.sockets[flow->socket.fd].peer != -1;
}

static void close_flow(struct fixture *fixture, struct flow *flow)
{
	bool open = is_open(fixture, flow);

	host_call(&fixture->host.host, close, &flow->socket);
	if (open)
		fake_host_ready(&fixture->host, flow->session, EPOLLIN | EPOLLRDHUP);
}

static void say(struct fixture *fixture, const struct flow *flow, const char *text)
{
	fake_host_stream_write(&fixture->host, flow->session, text, strlen(text));
}

/* All that was said to the guest; terminated. */
static size_t hear(struct fixture *fixture, const struct flow *flow, char *ret_text, size_t size)
{
	struct iovec iov = { ret_text, size - 1 };
	ssize_t got = host_call(&fixture->host.host, receive,
				(struct host_socket *)(uintptr_t)&flow->socket, &iov, 1);

	ret_text[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

static void expect(struct fixture *fixture, const struct flow *flow, const char *begins,
		   const char *ends)
{
	char text[2000];
	size_t size = hear(fixture, flow, text, sizeof(text));
	size_t end_size = strlen(ends);

	if (strncmp(text, begins, strlen(begins)) != 0 || size < end_size ||
	    strcmp(text + size - end_size, ends) != 0)
		fail_msg("\"%s\" instead of \"%s...%s\"", text, begins, ends);
}

static void documents_are_fetched(void **state)
{
	struct fixture *fixture = *state;
	struct flow flow;

	open_flow(fixture, &flow, 0);
	/* One after the other, then two at once and a part of the third. */
	say(fixture, &flow, "GET /seed/meta-data HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fixture, &flow, "HTTP/1.1 200 OK\r\n", "\r\n\r\ninstance-id: a\n");
	say(fixture, &flow, "GET /seed/empty?x HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fixture, &flow, "HTTP/1.1 200 OK\r\n", "Connection: keep-alive\r\n\r\n");
	say(fixture, &flow,
	    "HEAD /seed/meta-data HTTP/1.1\r\nHost: x\r\n\r\n"
	    "GET /seed/vendor-data HTTP/1.1\r\nHost: x\r\n\r\n"
	    "GET /seed/meta-");
	expect(fixture, &flow,
	       "HTTP/1.1 200 OK\r\n"
	       "Content-Type: application/octet-stream\r\n"
	       "Content-Length: 15\r\n"
	       "Cache-Control: no-store\r\n"
	       "Connection: keep-alive\r\n\r\n"
	       "HTTP/1.1 404 Not Found\r\n",
	       "\r\n\r\nNot Found\n");
	say(fixture, &flow, "data HTTP/1.0\r\n\r\n");
	expect(fixture, &flow, "HTTP/1.1 200 OK\r\n", "\r\n\r\ninstance-id: a\n");
	assert_false(is_open(fixture, &flow)); /* HTTP/1.0 */
	close_flow(fixture, &flow);
	assert_int_equal(fixture_drops(fixture), 0);
}

static void head_of_nothing_has_no_content(void **state)
{
	struct fixture *fixture = *state;
	struct flow flow;

	open_flow(fixture, &flow, 0);
	say(fixture, &flow, "HEAD /no HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fixture, &flow, "HTTP/1.1 404 Not Found\r\n", "keep-alive\r\n\r\n");
	close_flow(fixture, &flow);
}

/* A slow reader gets all of a large document, however long it takes. */
static void large_documents_come_whole(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(BIG_SIZE + 1000);
	struct flow flow;
	size_t size = 0;
	size_t got;

	open_flow(fixture, &flow, 0);
	fixture->host.sockets[flow.socket.fd].capacity = 20000;
	say(fixture, &flow, "GET /seed/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	while ((got = hear(fixture, &flow, text + size, BIG_SIZE + 1000 - size)) > 0) {
		size += got;
		fixture_advance(fixture, 5000);
		if (is_open(fixture, &flow))
			fake_host_ready(&fixture->host, flow.session, EPOLLOUT);
	}
	assert_false(is_open(fixture, &flow));
	assert_true(size > BIG_SIZE);
	assert_memory_equal(text + size - BIG_SIZE, big, BIG_SIZE);
	close_flow(fixture, &flow);
	free(text);
}

/* The guest said that it sends no more: it still gets what it asked for. */
static void half_closed_is_answered(void **state)
{
	struct fixture *fixture = *state;
	struct flow flow;

	open_flow(fixture, &flow, 0);
	say(fixture, &flow, "GET /seed/meta-data HTTP/1.1\r\nHost: x\r\n\r\n");
	fake_host_ready(&fixture->host, flow.session, EPOLLRDHUP);
	expect(fixture, &flow, "HTTP/1.1 200 OK\r\n", "\r\n\r\ninstance-id: a\n");
	close_flow(fixture, &flow);
	/* In the middle of a request there is nothing to answer. */
	open_flow(fixture, &flow, 0);
	say(fixture, &flow, "GET /seed/meta-data HTTP/1.1\r\nHost: x\r\n");
	close_flow(fixture, &flow);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
}

struct refused {
	const char *bytes;
	const char *answer;
};

/* Said why, and what is behind it is thrown away until the guest ends. */
static void bad_requests_are_refused(void **state)
{
	static const struct refused table[] = {
		{ "rubbish\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 " },
		{ "PUT /seed/meta-data HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 " },
		{ "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 413 " },
		{ "GET / HTTP/3.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505 " },
	};
	struct fixture *fixture = *state;
	struct flow flow;

	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		open_flow(fixture, &flow, 0);
		say(fixture, &flow, table[i].bytes);
		expect(fixture, &flow, table[i].answer, "\n");
		assert_true(is_open(fixture, &flow));
		assert_true(fixture->host.sockets[flow.session].finished);
		for (size_t more = 0; more < 100; more++)
			say(fixture, &flow, "GET /seed/meta-data HTTP/1.1\r\nHost: x\r\n\r\n");
		expect(fixture, &flow, "", "");
		if (i % 2 == 0)
			close_flow(fixture, &flow);
		fixture_advance(fixture, DOCUMENT_LINGER_MS + 100);
		if (i % 2 != 0) {
			assert_false(is_open(fixture, &flow));
			close_flow(fixture, &flow);
		}
		assert_int_equal(fake_host_open_now(&fixture->host), 0);
		assert_int_equal(fixture->drops.count[DROP_BAD_HTTP], i + 1);
	}
}

static void long_requests_are_refused(void **state)
{
	struct fixture *fixture = *state;
	char bytes[5001];
	struct flow flow;

	memset(bytes, 'a', sizeof(bytes) - 1);
	bytes[sizeof(bytes) - 1] = '\0';
	open_flow(fixture, &flow, 0);
	say(fixture, &flow, bytes);
	expect(fixture, &flow, "HTTP/1.1 414 URI Too Long\r\n", "URI Too Long\n");
	close_flow(fixture, &flow);
	open_flow(fixture, &flow, 0);
	say(fixture, &flow, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
	say(fixture, &flow, bytes);
	expect(fixture, &flow, "HTTP/1.1 431 ", "\n");
	close_flow(fixture, &flow);
}

/* Silence, a byte now and then, an answer that nobody reads: 10 s each. */
static void idle_sessions_end(void **state)
{
	struct fixture *fixture = *state;
	struct flow silent;
	struct flow crumbs;
	struct flow deaf;

	open_flow(fixture, &silent, 0);
	open_flow(fixture, &crumbs, 0);
	open_flow(fixture, &deaf, 0);
	fixture->host.sockets[deaf.socket.fd].capacity = 1000;
	say(fixture, &deaf, "GET /seed/big HTTP/1.1\r\nHost: x\r\n\r\n");
	for (unsigned second = 0; second < 12; second++) {
		assert_int_equal(is_open(fixture, &silent), second < 10);
		assert_int_equal(is_open(fixture, &crumbs), second < 10);
		assert_int_equal(is_open(fixture, &deaf), second < 10);
		if (is_open(fixture, &crumbs))
			say(fixture, &crumbs, "a");
		fixture_advance(fixture, 1000);
	}
	close_flow(fixture, &silent);
	close_flow(fixture, &crumbs);
	close_flow(fixture, &deaf);
}

static void each_port_has_a_limit(void **state)
{
	struct fixture *fixture = *state;
	struct flow flows[DOCUMENT_SESSIONS_PER_PORT];
	struct flow late;

	for (size_t i = 0; i < DOCUMENT_SESSIONS_PER_PORT; i++)
		open_flow(fixture, &flows[i], 3);
	assert_int_equal(try_open(fixture, &late, 3), -EBUSY);
	assert_int_equal(late.socket.fd, -1);
	assert_int_equal(fixture->drops.count[DROP_HTTP_LIMIT], 1);
	open_flow(fixture, &late, 4); /* not its fault */
	close_flow(fixture, &late);
	close_flow(fixture, &flows[5]);
	open_flow(fixture, &flows[5], 3);
	gateway_port_gone(fixture->gateway, 3);
	for (size_t i = 0; i < DOCUMENT_SESSIONS_PER_PORT; i++) {
		assert_false(is_open(fixture, &flows[i]));
		close_flow(fixture, &flows[i]);
	}
}

/* All are in use, by ports that have their most: who has none gets its share of them. */
static void none_is_shut_out(void **state)
{
	struct fixture *fixture = *state;
	struct flow flows[STREAM_SESSIONS];
	struct flow late[STREAM_SESSIONS];
	size_t open = 0;

	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		open_flow(fixture, &flows[i], (uint32_t)(i % 4));
	open_flow(fixture, &late[0], 9);
	assert_false(is_open(fixture, &flows[0])); /* the oldest of all */
	open_flow(fixture, &late[1], 9);
	assert_false(is_open(fixture, &flows[1]));
	/* Five ports now: it has six, and the others no fewer. */
	for (size_t i = 2; i < 6; i++)
		open_flow(fixture, &late[i], 9);
	assert_int_equal(try_open(fixture, &late[6], 9), -EBUSY);
	for (size_t i = 0; i < STREAM_SESSIONS; i++) {
		open += is_open(fixture, &flows[i]);
		close_flow(fixture, &flows[i]);
	}
	assert_int_equal(open, STREAM_SESSIONS - 6);
	for (size_t i = 0; i < 6; i++)
		close_flow(fixture, &late[i]);
}

static void without_documents_nobody_listens(void **state)
{
	struct fixture *fixture = fixture_new();

	(void)state;
	fixture_start(fixture);
	assert_null(gateway_documents(fixture->gateway));
	fixture_free(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(documents_are_fetched),
		TEST(head_of_nothing_has_no_content),
		TEST(large_documents_come_whole),
		TEST(half_closed_is_answered),
		TEST(bad_requests_are_refused),
		TEST(long_requests_are_refused),
		TEST(idle_sessions_end),
		TEST(each_port_has_a_limit),
		TEST(none_is_shut_out),
		cmocka_unit_test(without_documents_nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
