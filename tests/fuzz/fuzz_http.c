/* Requests in any bytes: what was taken lies inside, and the same bytes in parts say the same. */

#include "fuzz.h"

#include <string.h>

#include "wire/http.h"

static void check_request(const uint8_t *data, size_t size, const struct http_request *request)
{
	const uint8_t *path = (const uint8_t *)request->path.start;

	FUZZ_CHECK(request->size > 0 && request->size <= size && request->size <= HTTP_HEAD_MOST);
	FUZZ_CHECK(data[request->size - 1] == '\n');
	FUZZ_CHECK(request->path.length == 0 || request->path.start[0] == '/');
	for (size_t i = 0; i < request->path.length; i++)
		FUZZ_CHECK(request->path.start[i] > ' ' || (request->path.start[i] & 0x80));
	FUZZ_CHECK(!memchr(request->path.start, '?', request->path.length));
	/* Of a URL without a path it is a text of ours. */
	FUZZ_CHECK(request->path.length == 1 ||
		   (path >= data && path + request->path.length <= data + request->size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		struct http_request request = { 0 };
		struct http_request again = { 0 };
		enum http_status status = HTTP_STATUS_OK;
		enum http_outcome outcome =
			http_parse_request(data + at, size - at, &request, &status);

		if (outcome == HTTP_REFUSED)
			FUZZ_CHECK(status >= HTTP_STATUS_BAD_REQUEST &&
				   http_status_reason(status)[0]);
		if (outcome == HTTP_MORE)
			FUZZ_CHECK(size - at < HTTP_HEAD_MOST);
		if (outcome != HTTP_REQUEST)
			break;
		check_request(data + at, size - at, &request);
		FUZZ_CHECK(http_parse_request(data + at, request.size - 1, &again, &status) ==
			   HTTP_MORE);
		FUZZ_CHECK(http_parse_request(data + at, request.size, &again, &status) ==
			   HTTP_REQUEST);
		FUZZ_CHECK(again.size == request.size && again.keeps_alive == request.keeps_alive &&
			   again.is_head == request.is_head);
		at += request.size;
	}
	return 0;
}
