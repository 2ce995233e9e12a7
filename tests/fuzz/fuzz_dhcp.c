/* A DHCP message of any bytes; every option that parsing kept is found by the search, too. */

#include "fuzz.h"

#include <string.h>

#include "wire/dhcp.h"

static void check_found(const uint8_t *data, size_t size, uint8_t code,
			const struct dhcp_bytes *want)
{
	struct dhcp_bytes value;

	if (!dhcp_find_option(data, size, code, &value)) {
		FUZZ_CHECK(want->size == 0);
		return;
	}
	FUZZ_CHECK(value.size == want->size && memcmp(value.bytes, want->bytes, value.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dhcp_message message;
	struct dhcp_message again;
	struct dhcp_bytes value;
	uint8_t bytes[576];

	if (!dhcp_parse(data, size, &message)) {
		if (dhcp_find_option(data, size, DHCP_OPTION_TYPE, &value))
			FUZZ_CHECK(value.size < size);
		return 0;
	}
	check_found(data, size, DHCP_OPTION_CLIENT_ID, &message.client_id);
	check_found(data, size, DHCP_OPTION_HOSTNAME, &message.hostname);
	check_found(data, size, DHCP_OPTION_PARAMETERS, &message.parameters);

	struct writer writer = writer_of(bytes, sizeof(bytes));
	const struct dhcp_reply reply = {
		.type = DHCP_TYPE_ACK,
		.xid = message.xid,
		.yiaddr = message.requested_ip,
		.chaddr = message.chaddr,
		.client_id = &message.client_id,
	};
	FUZZ_CHECK(dhcp_build_reply(&writer, &reply));
	FUZZ_CHECK(dhcp_parse(bytes, writer.position, &again));
	FUZZ_CHECK(again.xid == message.xid && again.client_id.size == message.client_id.size);
	return 0;
}
