/* An ICMP message of any bytes, with the packet that an error quotes. */

#include "fuzz.h"

#include "wire/checksum.h"
#include "wire/icmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	struct icmp_header header;
	struct icmp_quote quote;
	uint8_t bytes[ICMP_HEADER_SIZE + ICMP_QUOTE_MAX];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	if (!icmp_parse(&reader, &header))
		return 0;
	if (icmp_is_error(header.type) && icmp_parse_quote(&reader, &quote)) {
		FUZZ_CHECK(quote.payload_size >= ICMP_QUOTE_PAYLOAD_MIN);
		FUZZ_CHECK(quote.payload + quote.payload_size <= data + size);
		FUZZ_CHECK(quote.ip.header_size + quote.payload_size <= quote.ip.total_size);
	}
	icmp_build_error(&writer, &header, data, size);
	FUZZ_CHECK(writer_ok(&writer));
	FUZZ_CHECK(checksum_finish(checksum_add(0, bytes, writer.position, false)) == 0);
	return 0;
}
