/* A vhost-user message: header, payload, and (the first byte) how many descriptors came with it. What
 * is accepted is the message that its own words make again. */

#include "attach/vhost_user/vhost_message.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[VHOST_MESSAGE_HEADER_SIZE + VHOST_MESSAGE_PAYLOAD_MOST];
	struct writer writer = writer_of(again, sizeof(again));
	struct vhost_message_header header;
	struct vhost_message message;
	uint32_t request;
	uint32_t reply_size;

	if (size < 1 + VHOST_MESSAGE_HEADER_SIZE)
		return 0;
	size_t fds = data[0] % (VHOST_MESSAGE_FDS_MOST + 2);
	const uint8_t *bytes = data + 1;
	const uint8_t *payload = bytes + VHOST_MESSAGE_HEADER_SIZE;
	if (!vhost_message_parse_header(bytes, &header)) {
		(void)!vhost_message_parse_reply(bytes, &request, &reply_size);
		return 0;
	}
	FUZZ_CHECK(!vhost_message_parse_reply(bytes, &request, &reply_size));
	if (header.payload_size != size - 1 - VHOST_MESSAGE_HEADER_SIZE ||
	    !vhost_message_parse(&header, payload, fds, &message))
		return 0;
	FUZZ_CHECK(vhost_message_name(message.request) && message.request == header.request);
	FUZZ_CHECK(message.needs_reply == header.needs_reply);
	vhost_message_build(&writer, &message);
	FUZZ_CHECK(writer_ok(&writer));
	FUZZ_CHECK(writer.position == VHOST_MESSAGE_HEADER_SIZE + header.payload_size);
	/* The padding of a memory table is the only thing that is not read. */
	for (size_t i = 0; i < header.payload_size; i++) {
		if (message.request != VHOST_SET_MEM_TABLE || i < 4 || i >= 8)
			FUZZ_CHECK(again[VHOST_MESSAGE_HEADER_SIZE + i] == payload[i]);
	}
	return 0;
}
