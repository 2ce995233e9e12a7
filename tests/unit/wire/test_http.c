#include "wire_test.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/http.h"

#define HOST "Host: 10.0.0.1\r\n"

struct request_case {
	const char *bytes;
	const char *path; /* NULL: refused, or not whole */
	bool is_head;
	bool keeps_alive;
	size_t left; /* bytes behind it */
	int status;  /* refused; 0: more is needed */
};

static const struct request_case request_cases[] = {
	{ "GET /seed/meta-data HTTP/1.1\r\n" HOST "\r\n", "/seed/meta-data", false, true, 0, 0 },
	{ "HEAD / HTTP/1.1\r\n" HOST "\r\n", "/", true, true, 0, 0 },
	{ "GET / HTTP/1.0\r\n\r\n", "/", false, false, 0, 0 },
	{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", false, true, 0, 0 },
	{ "GET / HTTP/1.1\r\nhost:x\r\nconnection: x, Close\r\n\r\n", "/", false, false, 0, 0 },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", "/", false, true, 0, 0 },
	{ "GET / HTTP/1.2\r\n" HOST "\r\n", "/", false, true, 0, 0 },
	/* A bare LF; empty lines before. */
	{ "\r\n\nGET /a?b=c HTTP/1.1\nHost: x\n\n", "/a", false, true, 0, 0 },
	{ "GET http://10.0.0.1/a?b HTTP/1.1\r\n" HOST "\r\n", "/a", false, true, 0, 0 },
	{ "GET HTTP://10.0.0.1 HTTP/1.1\r\n" HOST "\r\n", "/", false, true, 0, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "/", false, true, 0, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "X: a\tb \xc3\xa9\r\n\r\n", "/", false, true, 0, 0 },
	/* Pipelined: the second one stays. */
	{ "GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2", "/1", false, true, 6, 0 },
	/* Not whole. */
	{ "", NULL, false, false, 0, 0 },
	{ "\r\n\r\n\r\n", NULL, false, false, 0, 0 },
	{ "GET / HTTP/1.1\r\n", NULL, false, false, 0, 0 },
	{ "GET / HTTP/1.1\r\n" HOST, NULL, false, false, 0, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "\r", NULL, false, false, 0, 0 },
	{ "\x16\x03\x01\x02", NULL, false, false, 0, 0 }, /* TLS */
	/* Refused. */
	{ "GET / HTTP/1.1\r\n\r\n", NULL, false, false, 0, 400 }, /* no host */
	{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET /\r\n\r\n", NULL, false, false, 0, 400 }, /* HTTP/0.9 */
	{ "GET  / HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET / HTTP/1.1 \r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET a HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET http:// HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET / http/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET / HTTP/1,1\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET / HTTP/1.x\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "G\x01T / HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "(GET) / HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 400 },
	{ "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n", NULL, false, false, 0, 400 },
	{ "GET / HTTP/1.1\r\n" HOST " folded: a\r\n\r\n", NULL, false, false, 0, 400 },
	{ "GET / HTTP/1.1\r\nHost : x\r\n\r\n", NULL, false, false, 0, 400 },
	{ "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", NULL, false, false, 0, 400 },
	{ "POST / HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 405 },
	{ "get / HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 405 },
	{ "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", NULL, false, false, 0, 405 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", NULL, false, false, 0, 413 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", NULL, false, false, 0,
	  413 },
	{ "GET / HTTP/2.0\r\n" HOST "\r\n", NULL, false, false, 0, 505 },
	{ "GET / HTTP/0.9\r\n" HOST "\r\n", NULL, false, false, 0, 505 },
};

static void check(const char *bytes, size_t size, const struct request_case *wanted)
{
	struct http_request request = {};
	enum http_status status = 0;
	uint8_t *copy = exact_copy(bytes, size);
	enum http_outcome outcome = http_parse_request(copy, size, &request, &status);

	if (wanted->path) {
		assert_int_equal(outcome, HTTP_REQUEST);
		assert_true(text_view_equal(request.path, wanted->path));
		assert_int_equal(request.is_head, wanted->is_head);
		assert_int_equal(request.keeps_alive, wanted->keeps_alive);
		assert_int_equal(request.size, size - wanted->left);
	} else {
		assert_int_equal(outcome, wanted->status ? HTTP_REFUSED : HTTP_MORE);
		assert_int_equal(status, wanted->status);
	}
	free(copy);
}

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(request_cases); i++) {
		const struct request_case *wanted = &request_cases[i];

		print_message("# case %zu\n", i);
		check(wanted->bytes, strlen(wanted->bytes), wanted);
	}
}

/* However it is cut, it is not whole before its last byte. */
static void test_crumbs(void **state)
{
	static const char bytes[] = "\r\nGET /seed/meta-data HTTP/1.1\r\n" HOST "X: y\r\n\r\n";
	static const struct request_case more = { 0 };

	(void)state;
	for (size_t size = 0; size < strlen(bytes); size++)
		check(bytes, size, &more);
	check(bytes, strlen(bytes),
	      &(const struct request_case){ .path = "/seed/meta-data", .keeps_alive = true });
}

static void test_zero_bytes(void **state)
{
	static const char in_target[] = "GET /a\0b HTTP/1.1\r\n" HOST "\r\n";
	static const char in_method[] = "G\0T / HTTP/1.1\r\n" HOST "\r\n";
	static const char in_name[] = "GET / HTTP/1.1\r\n" HOST "X\0: a\r\n\r\n";
	static const struct request_case refused = { .status = 400 };

	(void)state;
	check(in_target, sizeof(in_target) - 1, &refused);
	check(in_method, sizeof(in_method) - 1, &refused);
	check(in_name, sizeof(in_name) - 1, &refused);
}

/* A target as long as may be, and one byte more; whole, and without an end in sight. */
static void test_long_lines(void **state)
{
	static const char version[] = " HTTP/1.0";
	const size_t most = HTTP_LINE_MOST - strlen("GET ") - strlen(version);
	char bytes[HTTP_HEAD_MOST + 1];
	char path[HTTP_LINE_MOST];

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		size_t length = most + extra;

		memset(path, 'a', length);
		path[0] = '/';
		path[length] = '\0';
		(void)snprintf(bytes, sizeof(bytes), "GET %s%s\r\n\r\n", path, version);
		check(bytes, strlen(bytes),
		      extra == 0 ? &(const struct request_case){ .path = path }
				 : &(const struct request_case){ .status = 414 });
	}
	memset(bytes, 'a', sizeof(bytes));
	check(bytes, HTTP_LINE_MOST, &(const struct request_case){ 0 });
	check(bytes, HTTP_LINE_MOST + 1, &(const struct request_case){ .status = 414 });
}

static void test_long_heads(void **state)
{
	static const char first[] = "GET / HTTP/1.0\r\nX: ";
	char bytes[HTTP_HEAD_MOST + 4];

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, first, strlen(first));
	check(bytes, HTTP_HEAD_MOST - 1, &(const struct request_case){ 0 });
	check(bytes, HTTP_HEAD_MOST, &(const struct request_case){ .status = 431 });
	memcpy(bytes + HTTP_HEAD_MOST - 4, "\r\n\r\n", 4);
	check(bytes, HTTP_HEAD_MOST, &(const struct request_case){ .path = "/" });
	/* The last byte of the end is one too many. */
	bytes[HTTP_HEAD_MOST - 4] = 'a';
	memcpy(bytes + HTTP_HEAD_MOST - 3, "\r\n\r\n", 4);
	check(bytes, HTTP_HEAD_MOST + 1, &(const struct request_case){ .status = 431 });
	memset(bytes, '\n', sizeof(bytes));
	check(bytes, HTTP_HEAD_MOST, &(const struct request_case){ .status = 431 });
}

static void test_answers(void **state)
{
	char bytes[400];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	(void)state;
	http_build_answer(&writer, HTTP_STATUS_OK, 1048576, true);
	writer_u8(&writer, 0);
	assert_true(writer_ok(&writer));
	assert_string_equal(bytes, "HTTP/1.1 200 OK\r\n"
				   "Content-Type: application/octet-stream\r\n"
				   "Content-Length: 1048576\r\n"
				   "Cache-Control: no-store\r\n"
				   "Connection: keep-alive\r\n\r\n");
	writer = writer_of(bytes, sizeof(bytes));
	http_build_answer(&writer, HTTP_STATUS_METHOD, 3, false);
	writer_u8(&writer, 0);
	assert_string_equal(bytes, "HTTP/1.1 405 Method Not Allowed\r\n"
				   "Content-Type: text/plain\r\n"
				   "Content-Length: 3\r\n"
				   "Cache-Control: no-store\r\n"
				   "Allow: GET, HEAD\r\n"
				   "Connection: close\r\n\r\n");
	writer = writer_of(bytes, 20);
	http_build_answer(&writer, HTTP_STATUS_OK, 0, true);
	assert_false(writer_ok(&writer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),   cmocka_unit_test(test_crumbs),
		cmocka_unit_test(test_zero_bytes), cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_heads), cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
