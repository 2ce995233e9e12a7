/* An ARP message of any bytes; a good one is written back as it was. */

#include "fuzz.h"

#include <string.h>

#include "wire/arp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	struct arp_message message;
	uint8_t bytes[ARP_MESSAGE_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	if (!arp_parse(&reader, &message))
		return 0;
	FUZZ_CHECK(size >= ARP_MESSAGE_SIZE);
	arp_build(&writer, &message);
	FUZZ_CHECK(writer_ok(&writer) && memcmp(bytes, data, sizeof(bytes)) == 0);
	return 0;
}
