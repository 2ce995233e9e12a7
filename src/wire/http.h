#pragma once
/*
 * HTTP/1 as a small server needs it (RFC 9110, RFC 9112): the head of a request from foreign bytes, and
 * the head of an answer. Requests with content are recognised, and refused: nobody here takes any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/text.h"
#include "wire/writer.h"

#define HTTP_PORT 80

/* Bytes of a request's first line, and of all its lines. */
#define HTTP_LINE_MOST 2048
#define HTTP_HEAD_MOST 4096

enum http_status {
	HTTP_STATUS_OK = 200,
	HTTP_STATUS_BAD_REQUEST = 400,
	HTTP_STATUS_NOT_FOUND = 404,
	HTTP_STATUS_METHOD = 405,
	HTTP_STATUS_CONTENT = 413,
	HTTP_STATUS_TARGET = 414,
	HTTP_STATUS_HEADER = 431,
	HTTP_STATUS_VERSION = 505,
};

struct http_request {
	size_t size;	       /* of the head: the next request begins there */
	struct text_view path; /* borrowed; without query, begins with "/" */
	bool is_head;	       /* HEAD: an answer without its content */
	bool keeps_alive;
};

enum http_outcome {
	HTTP_MORE,    /* the head is not whole yet */
	HTTP_REQUEST, /* *ret_request */
	HTTP_REFUSED, /* *ret_status; what follows these bytes cannot be understood */
};

/* The first request in `bytes`. Empty lines before it are skipped (RFC 9112 2.2). */
enum http_outcome http_parse_request(const void *bytes, size_t size,
				     struct http_request *ret_request,
				     enum http_status *ret_status) MUST_USE;

/* The head of an answer whose content has so many bytes. It ends the connection unless `keeps_alive`. */
void http_build_answer(struct writer *writer, enum http_status status, uint64_t content_size,
		       bool keeps_alive);
/* What a person reads of the status: "Not Found". */
const char *http_status_reason(enum http_status status);
