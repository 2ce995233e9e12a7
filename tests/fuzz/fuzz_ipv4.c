/* Ethernet, IPv4 and UDP headers of any bytes, one behind the other: what was read can be written,
 * and is read the same again. */

#include "fuzz.h"

#include <string.h>

#include "wire/checksum.h"
#include "wire/ether.h"
#include "wire/ipv4.h"
#include "wire/udp.h"

static void check_udp(struct reader *reader)
{
	const uint8_t *start = reader->data + reader->position;
	uint8_t bytes[UDP_HEADER_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct udp_header header;

	if (!udp_parse(reader, &header))
		return;
	FUZZ_CHECK(header.size >= UDP_HEADER_SIZE);
	udp_build(&writer, &header);
	FUZZ_CHECK(writer_ok(&writer) && memcmp(bytes, start, sizeof(bytes)) == 0);
}

static void check_ipv4(struct reader *reader)
{
	size_t start = reader->position;
	uint8_t bytes[IPV4_HEADER_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct ipv4_header header;
	struct ipv4_header again;

	if (!ipv4_parse(reader, &header))
		return;
	FUZZ_CHECK(header.header_size >= IPV4_HEADER_SIZE && header.header_size <= IPV4_HEADER_MAX);
	FUZZ_CHECK(reader->position == start + header.header_size);
	FUZZ_CHECK(header.total_size >= header.header_size && header.fragment_offset % 8 == 0);

	ipv4_build(&writer, &header);
	struct reader built = reader_of(bytes, sizeof(bytes));
	FUZZ_CHECK(checksum_finish(checksum_add(0, bytes, sizeof(bytes), false)) == 0);
	FUZZ_CHECK(writer_ok(&writer) && ipv4_parse(&built, &again));
	FUZZ_CHECK(again.checksum_ok && again.header_size == IPV4_HEADER_SIZE);
	FUZZ_CHECK(again.tos == header.tos && again.total_size == header.total_size);
	FUZZ_CHECK(again.id == header.id && again.ttl == header.ttl);
	FUZZ_CHECK(again.dont_fragment == header.dont_fragment);
	FUZZ_CHECK(again.more_fragments == header.more_fragments);
	FUZZ_CHECK(again.fragment_offset == header.fragment_offset);
	FUZZ_CHECK(again.protocol == header.protocol);
	FUZZ_CHECK(ip_addr_equal(&again.source, &header.source));
	FUZZ_CHECK(ip_addr_equal(&again.destination, &header.destination));
	check_udp(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	uint8_t bytes[ETHER_HEADER_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct ether_header header;

	if (!ether_parse(&reader, &header)) {
		FUZZ_CHECK(size < ETHER_HEADER_SIZE);
		return 0;
	}
	ether_build(&writer, &header);
	FUZZ_CHECK(writer_ok(&writer) && memcmp(bytes, data, sizeof(bytes)) == 0);
	check_ipv4(&reader);
	return 0;
}
