#include "attach/vhost_user/vhost_message.h"

#include "wire/reader.h"

/* Header flags (vhost-user, "Header"). */
#define VHOST_FLAG_VERSION_MASK 3u
#define VHOST_FLAG_VERSION	1u
#define VHOST_FLAG_REPLY	4u
#define VHOST_FLAG_NEED_REPLY	8u

/* A vring's descriptor message: index in the low byte, and "no descriptor comes with it". */
#define VHOST_VRING_INDEX_MASK 0xffu
#define VHOST_VRING_NO_FD      0x100u

#define VHOST_REGION_SIZE 32

struct vhost_kind {
	const char *name;
	enum vhost_payload payload;
	uint8_t fds_least;
	uint8_t fds_most;
};

static const struct vhost_kind vhost_kinds[VHOST_REQUEST_LIMIT] = {
#define VHOST_KIND_ROW(number, name, payload, fds_least, fds_most)                                 \
	[number] = { #name, VHOST_PAYLOAD_##payload, fds_least, fds_most },
	VHOST_REQUESTS(VHOST_KIND_ROW)
#undef VHOST_KIND_ROW
};

/* The machine's byte order: both ends are on one machine. */
static uint32_t read_u32(struct reader *reader)
{
	uint32_t value;

	reader_bytes(reader, &value, sizeof(value));
	return value;
}

static uint64_t read_u64(struct reader *reader)
{
	uint64_t value;

	reader_bytes(reader, &value, sizeof(value));
	return value;
}

static void write_u32(struct writer *writer, uint32_t value)
{
	writer_bytes(writer, &value, sizeof(value));
}

static void write_u64(struct writer *writer, uint64_t value)
{
	writer_bytes(writer, &value, sizeof(value));
}

static const struct vhost_kind *find_kind(uint32_t request)
{
	if (request >= VHOST_REQUEST_LIMIT || !vhost_kinds[request].name)
		return NULL;
	return &vhost_kinds[request];
}

const char *vhost_message_name(uint32_t request)
{
	const struct vhost_kind *kind = find_kind(request);

	return kind ? kind->name : NULL;
}

static void read_header(struct reader *reader, uint32_t *ret_flags,
			struct vhost_message_header *ret_header)
{
	ret_header->request = read_u32(reader);
	*ret_flags = read_u32(reader);
	ret_header->needs_reply = (*ret_flags & VHOST_FLAG_NEED_REPLY) != 0;
	ret_header->payload_size = read_u32(reader);
}

bool vhost_message_parse_header(const uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE],
				struct vhost_message_header *ret_header)
{
	struct reader reader = reader_of(bytes, VHOST_MESSAGE_HEADER_SIZE);
	struct vhost_message_header header;
	uint32_t flags;

	read_header(&reader, &flags, &header);
	if ((flags & VHOST_FLAG_VERSION_MASK) != VHOST_FLAG_VERSION || (flags & VHOST_FLAG_REPLY) ||
	    header.payload_size > VHOST_MESSAGE_PAYLOAD_MOST)
		return false;
	*ret_header = header;
	return true;
}

bool vhost_message_parse_reply(const uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE],
			       uint32_t *ret_request, uint32_t *ret_payload_size)
{
	struct reader reader = reader_of(bytes, VHOST_MESSAGE_HEADER_SIZE);
	struct vhost_message_header header;
	uint32_t flags;

	read_header(&reader, &flags, &header);
	if (flags != (VHOST_FLAG_VERSION | VHOST_FLAG_REPLY))
		return false;
	*ret_request = header.request;
	*ret_payload_size = header.payload_size;
	return true;
}

static bool parse_memory(struct reader *reader, size_t fd_count, struct vhost_message *message)
{
	uint32_t count = read_u32(reader);

	(void)read_u32(reader); /* padding */
	if (count != fd_count || count > VHOST_REGIONS_MOST)
		return false;
	message->memory.count = count;
	for (size_t i = 0; i < count; i++) {
		struct vhost_region *region = &message->memory.regions[i];

		region->guest_address = read_u64(reader);
		region->size = read_u64(reader);
		region->user_address = read_u64(reader);
		region->file_offset = read_u64(reader);
	}
	return true;
}

static void parse_address(struct reader *reader, struct vhost_vring_address *address)
{
	address->index = read_u32(reader);
	address->flags = read_u32(reader);
	address->descriptors = read_u64(reader);
	address->used = read_u64(reader);
	address->available = read_u64(reader);
	address->log = read_u64(reader);
}

static bool parse_vring_fd(struct reader *reader, size_t fd_count, struct vhost_message *message)
{
	uint64_t value = read_u64(reader);

	if (value & ~(uint64_t)(VHOST_VRING_INDEX_MASK | VHOST_VRING_NO_FD))
		return false;
	message->vring_fd.index = (uint8_t)(value & VHOST_VRING_INDEX_MASK);
	message->vring_fd.has_fd = (value & VHOST_VRING_NO_FD) == 0;
	return message->vring_fd.has_fd == (fd_count == 1);
}

bool vhost_message_parse(const struct vhost_message_header *header, const uint8_t *payload,
			 size_t fd_count, struct vhost_message *ret_message)
{
	const struct vhost_kind *kind = find_kind(header->request);
	struct reader reader = reader_of(payload, header->payload_size);
	struct vhost_message message = {};
	bool ok = true;

	if (!kind || fd_count < kind->fds_least || fd_count > kind->fds_most)
		return false;
	message.request = (enum vhost_request)header->request;
	message.needs_reply = header->needs_reply;
	switch (kind->payload) {
	case VHOST_PAYLOAD_NONE:
		break;
	case VHOST_PAYLOAD_U64:
		message.u64 = read_u64(&reader);
		break;
	case VHOST_PAYLOAD_VRING_STATE:
		message.state.index = read_u32(&reader);
		message.state.value = read_u32(&reader);
		break;
	case VHOST_PAYLOAD_VRING_ADDRESS:
		parse_address(&reader, &message.address);
		break;
	case VHOST_PAYLOAD_VRING_FD:
		ok = parse_vring_fd(&reader, fd_count, &message);
		break;
	case VHOST_PAYLOAD_MEMORY:
		ok = parse_memory(&reader, fd_count, &message);
		break;
	case VHOST_PAYLOAD_LOG:
		message.log.size = read_u64(&reader);
		message.log.offset = read_u64(&reader);
		break;
	}
	if (!ok || !reader_ok(&reader) || reader_left(&reader) != 0)
		return false;
	*ret_message = message;
	return true;
}

static void write_header(struct writer *writer, uint32_t request, uint32_t flags, uint32_t size)
{
	write_u32(writer, request);
	write_u32(writer, VHOST_FLAG_VERSION | flags);
	write_u32(writer, size);
}

static size_t payload_size(const struct vhost_message *message, enum vhost_payload payload)
{
	switch (payload) {
	case VHOST_PAYLOAD_NONE:
		break;
	case VHOST_PAYLOAD_U64:
	case VHOST_PAYLOAD_VRING_STATE:
	case VHOST_PAYLOAD_VRING_FD:
		return 8;
	case VHOST_PAYLOAD_VRING_ADDRESS:
		return 40;
	case VHOST_PAYLOAD_MEMORY:
		return 8 + message->memory.count * VHOST_REGION_SIZE;
	case VHOST_PAYLOAD_LOG:
		return 16;
	}
	return 0;
}

static void build_memory(struct writer *writer, const struct vhost_message *message)
{
	write_u32(writer, (uint32_t)message->memory.count);
	write_u32(writer, 0);
	for (size_t i = 0; i < message->memory.count && i < VHOST_REGIONS_MOST; i++) {
		const struct vhost_region *region = &message->memory.regions[i];

		write_u64(writer, region->guest_address);
		write_u64(writer, region->size);
		write_u64(writer, region->user_address);
		write_u64(writer, region->file_offset);
	}
}

static void build_address(struct writer *writer, const struct vhost_vring_address *address)
{
	write_u32(writer, address->index);
	write_u32(writer, address->flags);
	write_u64(writer, address->descriptors);
	write_u64(writer, address->used);
	write_u64(writer, address->available);
	write_u64(writer, address->log);
}

void vhost_message_build(struct writer *writer, const struct vhost_message *message)
{
	const struct vhost_kind *kind = &vhost_kinds[message->request];

	write_header(writer, message->request, message->needs_reply ? VHOST_FLAG_NEED_REPLY : 0,
		     (uint32_t)payload_size(message, kind->payload));
	switch (kind->payload) {
	case VHOST_PAYLOAD_NONE:
		break;
	case VHOST_PAYLOAD_U64:
		write_u64(writer, message->u64);
		break;
	case VHOST_PAYLOAD_VRING_STATE:
		write_u32(writer, message->state.index);
		write_u32(writer, message->state.value);
		break;
	case VHOST_PAYLOAD_VRING_ADDRESS:
		build_address(writer, &message->address);
		break;
	case VHOST_PAYLOAD_VRING_FD:
		write_u64(writer, message->vring_fd.index |
					  (message->vring_fd.has_fd ? 0 : VHOST_VRING_NO_FD));
		break;
	case VHOST_PAYLOAD_MEMORY:
		build_memory(writer, message);
		break;
	case VHOST_PAYLOAD_LOG:
		write_u64(writer, message->log.size);
		write_u64(writer, message->log.offset);
		break;
	}
}

void vhost_message_build_u64(struct writer *writer, enum vhost_request request, uint64_t value)
{
	write_header(writer, request, VHOST_FLAG_REPLY, 8);
	write_u64(writer, value);
}

void vhost_message_build_state(struct writer *writer, enum vhost_request request,
			       const struct vhost_vring_state *state)
{
	write_header(writer, request, VHOST_FLAG_REPLY, 8);
	write_u32(writer, state->index);
	write_u32(writer, state->value);
}
