#include "wire/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "wire/reader.h"

const char *http_status_reason(enum http_status status)
{
	switch (status) {
	case HTTP_STATUS_OK:
		return "OK";
	case HTTP_STATUS_BAD_REQUEST:
		return "Bad Request";
	case HTTP_STATUS_NOT_FOUND:
		return "Not Found";
	case HTTP_STATUS_METHOD:
		return "Method Not Allowed";
	case HTTP_STATUS_CONTENT:
		return "Content Too Large";
	case HTTP_STATUS_TARGET:
		return "URI Too Long";
	case HTTP_STATUS_HEADER:
		return "Request Header Fields Too Large";
	case HTTP_STATUS_VERSION:
		return "HTTP Version Not Supported";
	}
	return "Unknown";
}

/* The next line without its end, which is CR LF, or a bare LF (RFC 9112 2.2). False: none is whole. */
static bool take_line(struct reader *reader, struct text_view *ret_line)
{
	size_t left = reader_left(reader);
	const uint8_t *start;
	const uint8_t *end;

	if (left == 0)
		return false;
	start = reader->data + reader->position;
	end = memchr(start, '\n', left);
	if (!end)
		return false;
	*ret_line = (struct text_view){ (const char *)start, (size_t)(end - start) };
	reader_skip(reader, ret_line->length + 1);
	if (ret_line->length > 0 && ret_line->start[ret_line->length - 1] == '\r')
		ret_line->length--;
	return true;
}

/* RFC 9110 5.6.2 */
static bool is_token(struct text_view text)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < text.length; i++) {
		char c = text.start[i];

		if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') &&
		    (c == '\0' || !strchr(marks, c)))
			return false;
	}
	return text.length > 0;
}

/* Nothing of a line may be a control character but a tab, which only a value has (RFC 9110 5.5). */
static bool has_control(struct text_view text, bool tab_is_one)
{
	for (size_t i = 0; i < text.length; i++) {
		unsigned char c = (unsigned char)text.start[i];

		if ((c < ' ' && (c != '\t' || tab_is_one)) || c == 0x7f)
			return true;
	}
	return false;
}

static bool is_name(struct text_view text, const char *name)
{
	return text.length == strlen(name) && strncasecmp(text.start, name, text.length) == 0;
}

static struct text_view trim(struct text_view text)
{
	while (text.length > 0 && (text.start[0] == ' ' || text.start[0] == '\t')) {
		text.start++;
		text.length--;
	}
	while (text.length > 0 &&
	       (text.start[text.length - 1] == ' ' || text.start[text.length - 1] == '\t'))
		text.length--;
	return text;
}

/* "/path?query", or all of a URL, as proxies are asked (RFC 9112 3.2.1, 3.2.2). */
static bool parse_target(struct text_view target, struct text_view *ret_path)
{
	static const char scheme[] = "http://";
	static const char root[] = "/";
	struct text_view rest;
	const char *slash;

	if (target.length > strlen(scheme) &&
	    strncasecmp(target.start, scheme, strlen(scheme)) == 0) {
		target.start += strlen(scheme);
		target.length -= strlen(scheme);
		slash = memchr(target.start, '/', target.length);
		if (!slash) {
			*ret_path = text_view_of(root);
			return true;
		}
		target.length -= (size_t)(slash - target.start);
		target.start = slash;
	}
	(void)text_view_cut(target, '?', ret_path, &rest);
	return ret_path->length > 0 && ret_path->start[0] == '/';
}

struct head {
	struct http_request *request;
	bool is_old; /* HTTP/1.0 */
	unsigned hosts;
	bool has_content;
	bool asks_close;
	bool asks_keep;
};

/* method SP target SP version (RFC 9112 3). HTTP_STATUS_OK, or what is wrong with it. */
static enum http_status parse_first_line(struct text_view line, struct head *head)
{
	struct text_view method;
	struct text_view target;
	struct text_view version;

	if (has_control(line, true) || !text_view_cut(line, ' ', &method, &line) ||
	    !text_view_cut(line, ' ', &target, &version) || !is_token(method) ||
	    version.length != strlen("HTTP/1.1") || strncmp(version.start, "HTTP/", 5) != 0 ||
	    version.start[5] < '0' || version.start[5] > '9' || version.start[6] != '.' ||
	    version.start[7] < '0' || version.start[7] > '9')
		return HTTP_STATUS_BAD_REQUEST;
	if (version.start[5] != '1')
		return HTTP_STATUS_VERSION;
	head->is_old = version.start[7] == '0';
	head->request->is_head = text_view_equal(method, "HEAD");
	if (!head->request->is_head && !text_view_equal(method, "GET"))
		return HTTP_STATUS_METHOD;
	if (!parse_target(target, &head->request->path))
		return HTTP_STATUS_BAD_REQUEST;
	return HTTP_STATUS_OK;
}

/* The options of a Connection field: close, keep-alive, others (RFC 9112 9.3). */
static void parse_connection(struct text_view value, struct head *head)
{
	struct text_view option;
	bool more;

	do {
		more = text_view_cut(value, ',', &option, &value);
		option = trim(option);
		head->asks_close |= is_name(option, "close");
		head->asks_keep |= is_name(option, "keep-alive");
	} while (more);
}

static bool parse_field(struct text_view line, struct head *head)
{
	struct text_view name;
	struct text_view value;

	/* A line that begins with a blank would go on with the one before: obsolete (RFC 9112 5.2). */
	if (!text_view_cut(line, ':', &name, &value) || !is_token(name) ||
	    has_control(value, false))
		return false;
	value = trim(value);
	if (is_name(name, "Host"))
		head->hosts++;
	else if (is_name(name, "Connection"))
		parse_connection(value, head);
	else if (is_name(name, "Transfer-Encoding") ||
		 (is_name(name, "Content-Length") && !text_view_equal(value, "0")))
		head->has_content = true;
	return true;
}

/* All lines are there. */
static enum http_status parse_lines(struct reader *reader, struct http_request *request)
{
	struct head head = { .request = request };
	enum http_status status;
	struct text_view line = {};
	bool whole;

	do
		whole = take_line(reader, &line);
	while (whole && line.length == 0);
	status = parse_first_line(line, &head);
	while (take_line(reader, &line) && line.length > 0) {
		if (status == HTTP_STATUS_OK && !parse_field(line, &head))
			status = HTTP_STATUS_BAD_REQUEST;
	}
	if (status != HTTP_STATUS_OK)
		return status;
	if (head.hosts > 1 || (head.hosts == 0 && !head.is_old)) /* RFC 9112 3.2 */
		return HTTP_STATUS_BAD_REQUEST;
	if (head.has_content)
		return HTTP_STATUS_CONTENT;
	request->size = reader->position;
	request->keeps_alive = !head.asks_close && (!head.is_old || head.asks_keep);
	return HTTP_STATUS_OK;
}

/* Is there an empty line behind one that is not, and is the first of those no longer than it may be? */
static enum http_outcome find_end(const void *bytes, size_t size, enum http_status *ret_status)
{
	struct reader reader = reader_of(bytes, size);
	struct text_view line;
	bool has_first = false;
	size_t start = 0;

	while (take_line(&reader, &line)) {
		if (line.length == 0 && has_first)
			return HTTP_REQUEST;
		if (!has_first && line.length > HTTP_LINE_MOST)
			break;
		has_first = has_first || line.length > 0;
		if (!has_first)
			start = reader.position;
	}
	if (!has_first && size - start > HTTP_LINE_MOST)
		*ret_status = HTTP_STATUS_TARGET;
	else if (size >= HTTP_HEAD_MOST)
		*ret_status = HTTP_STATUS_HEADER;
	else
		return HTTP_MORE;
	return HTTP_REFUSED;
}

enum http_outcome http_parse_request(const void *bytes, size_t size,
				     struct http_request *ret_request, enum http_status *ret_status)
{
	struct reader reader = reader_of(bytes, size < HTTP_HEAD_MOST ? size : HTTP_HEAD_MOST);
	struct http_request request = {};
	enum http_outcome outcome = find_end(reader.data, reader.size, ret_status);
	enum http_status status;

	if (outcome != HTTP_REQUEST)
		return outcome;
	status = parse_lines(&reader, &request);
	if (status != HTTP_STATUS_OK) {
		*ret_status = status;
		return HTTP_REFUSED;
	}
	*ret_request = request;
	return HTTP_REQUEST;
}

static void add(struct writer *writer, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct writer *writer, const char *format, ...)
{
	char text[128];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(text))
		writer->failed = true;
	else
		writer_bytes(writer, text, (size_t)length);
}

void http_build_answer(struct writer *writer, enum http_status status, uint64_t content_size,
		       bool keeps_alive)
{
	add(writer, "HTTP/1.1 %d %s\r\n", (int)status, http_status_reason(status));
	/* What it is, the reader has to know: nothing here is for a browser to guess at. */
	add(writer, "Content-Type: %s\r\n",
	    status == HTTP_STATUS_OK ? "application/octet-stream" : "text/plain");
	add(writer, "Content-Length: %llu\r\n", (unsigned long long)content_size);
	add(writer, "Cache-Control: no-store\r\n");
	if (status == HTTP_STATUS_METHOD)
		add(writer, "Allow: GET, HEAD\r\n");
	add(writer, "Connection: %s\r\n\r\n", keeps_alive ? "keep-alive" : "close");
}
