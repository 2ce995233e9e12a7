/* A TCP header of any bytes: what was read can be written, and is read the same again. */

#include "fuzz.h"

#include <string.h>

#include "wire/tcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	struct tcp_header header;
	struct tcp_header again;
	uint8_t bytes[TCP_HEADER_MAX];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	if (!tcp_parse(&reader, &header))
		return 0;
	FUZZ_CHECK(reader.position == header.header_size && header.header_size <= size);
	FUZZ_CHECK(header.window_scale <= TCP_WINDOW_SCALE_MAX);
	FUZZ_CHECK(header.sack_count <= TCP_SACK_MAX);

	tcp_build(&writer, &header);
	FUZZ_CHECK(writer_ok(&writer) && writer.position == tcp_header_size(&header));
	reader = reader_of(bytes, writer.position);
	FUZZ_CHECK(tcp_parse(&reader, &again));
	FUZZ_CHECK(again.sequence == header.sequence && again.flags == header.flags);
	FUZZ_CHECK(again.has_mss == header.has_mss && again.mss == header.mss);
	FUZZ_CHECK(again.window_scale == header.window_scale);
	FUZZ_CHECK(again.timestamp_value == header.timestamp_value);
	FUZZ_CHECK(again.sack_count <= header.sack_count);
	FUZZ_CHECK(memcmp(again.sack, header.sack, again.sack_count * sizeof(again.sack[0])) == 0);
	return 0;
}
