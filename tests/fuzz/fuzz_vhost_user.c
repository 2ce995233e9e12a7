/*
 * A front end and its guest that do anything in any order, against the whole vhost-user attachment. The
 * input is a list of deeds, each a byte and what it takes:
 *
 *     0 message: request, flags, size, descriptors (1 byte each), bytes   4 push a frame: size (2)
 *     1 memory: place in steps of 4 (2), size, bytes                      5 in place: header, size (2)
 *     2 kick: ring                                                        6 room
 *     3 everything up to traffic, in the usual order: marks               7 the loop turns
 *
 * Marks of 3: 1 without EVENT_IDX, 2 without mergeable buffers, 4 without GUEST_CSUM, 8 as a legacy
 * guest, 16 without PROTOCOL_FEATURES, 32 with the log.
 */

#include "attach_rig.h"
#include "vhost_front_end.h"
#include "wire/reader.h"

#define QUEUE_SIZE 16

static void send_message(const struct vhost_front_end *end, struct reader *reader)
{
	uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE + 255];
	uint32_t request = reader_u8(reader);
	uint32_t flags = reader_u8(reader);
	uint32_t size = reader_u8(reader);
	uint8_t fd_count = reader_u8(reader) % 10;
	const uint8_t *payload = reader_take(reader, size);
	int fds[10];

	for (size_t i = 0; i < 10; i++)
		fds[i] = i % 2 == 0 ? end->guest.memory_fd : end->kick_fds[i / 2 % 2];
	memcpy(bytes, &request, 4);
	memcpy(bytes + 4, &flags, 4);
	memcpy(bytes + 8, &size, 4);
	if (payload)
		memcpy(bytes + VHOST_MESSAGE_HEADER_SIZE, payload, size);
	(void)vhost_front_end_send_bytes(end, bytes, VHOST_MESSAGE_HEADER_SIZE + size, fds,
					 fd_count);
}

static void write_memory(const struct vhost_front_end *end, struct reader *reader)
{
	size_t place = (size_t)reader_u16(reader) * 4; /* reaches the rings of both queues */
	uint8_t size = reader_u8(reader);
	const uint8_t *bytes = reader_take(reader, size);

	if (bytes)
		memcpy(end->guest.bytes + place, bytes, size);
}

static void start(const struct vhost_front_end *end, uint8_t marks)
{
	uint64_t features = VHOST_FEATURES & ~VHOST_F_LOG_ALL;
	const struct vhost_message log = { .request = VHOST_SET_LOG_BASE, .log = { 4096, 0 } };

	features &= marks & 1 ? ~VIRTIO_F_EVENT_IDX : UINT64_MAX;
	features &= marks & 2 ? ~VIRTIO_NET_F_MRG_RXBUF : UINT64_MAX;
	features &= marks & 4 ? ~VIRTIO_NET_F_GUEST_CSUM : UINT64_MAX;
	features &= marks & 8 ? ~(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF) : UINT64_MAX;
	features &= marks & 16 ? ~VHOST_USER_F_PROTOCOL_FEATURES : UINT64_MAX;
	(void)vhost_front_end_try_start(end, features, VHOST_PROTOCOL_FEATURES);
	if (marks & 32) {
		(void)vhost_front_end_send(end, &log, &end->guest.memory_fd, 1);
		(void)vhost_front_end_set_u64(end, VHOST_SET_FEATURES, features | VHOST_F_LOG_ALL);
		(void)vhost_front_end_set_rings(end, 0, VHOST_VRING_LOG);
	}
}

static void push(struct attach_rig *rig, size_t size)
{
	static uint8_t bytes[FRAME_MAX_SIZE] = { [12] = 0x90 };
	enum drop_reason reason;
	struct frame frame;

	if (frame_from_bytes(&frame, bytes, size % 3000, FRAME_PORT_NONE, &reason))
		frame_sink_push(attachment_sink(rig->attachment), &frame);
}

static void push_in_place(struct attach_rig *rig, size_t header_size, size_t size)
{
	static const uint8_t bytes[FRAME_HEADER_MAX] = { [12] = 0x90 };
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	enum drop_reason reason;
	struct frame frame;
	size_t count = 0;

	if (!frame_from_bytes(&frame, bytes, header_size, FRAME_PORT_NONE, &reason))
		return;
	size_t got = frame_sink_reserve(attachment_sink(rig->attachment), ATTACH_RIG_PORT,
					header_size, size, parts, ARRAY_COUNT(parts), &count);
	FUZZ_CHECK(got <= size && count <= ARRAY_COUNT(parts));
	if (got == 0)
		return;
	frame.payload_size = 0;
	for (size_t i = 0; i < count; i++) {
		FUZZ_CHECK(parts[i].iov_len > 0);
		memset(parts[i].iov_base, 0x5a, parts[i].iov_len);
		frame.payload_size += parts[i].iov_len;
	}
	FUZZ_CHECK(frame.payload_size == got);
	frame.payload = parts;
	frame.payload_count = count;
	frame.in_place = true;
	frame_sink_push(attachment_sink(rig->attachment), &frame);
}

static void turn(struct attach_rig *rig, const struct vhost_front_end *end)
{
	uint8_t bytes[256];

	frame_sink_flush(attachment_sink(rig->attachment));
	FUZZ_CHECK(loop_run_once(rig->loop, 0) == 0);
	while (recv(end->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void act(struct attach_rig *rig, const struct vhost_front_end *end, struct reader *reader)
{
	switch (reader_u8(reader) % 8) {
	case 0:
		send_message(end, reader);
		break;
	case 1:
		write_memory(end, reader);
		break;
	case 2:
		vhost_front_end_kick(end, reader_u8(reader) & 1);
		break;
	case 3:
		start(end, reader_u8(reader));
		break;
	case 4:
		push(rig, reader_u16(reader));
		break;
	case 5: {
		size_t header_size = reader_u8(reader);
		size_t size = reader_u16(reader);

		push_in_place(rig, header_size, size);
		break;
	}
	case 6:
		(void)frame_sink_room(attachment_sink(rig->attachment), ATTACH_RIG_PORT);
		break;
	default:
		turn(rig, end);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	struct vhost_front_end end;
	struct attach_rig rig = {};
	int fds[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	vhost_front_end_init(&end, fds[1], QUEUE_SIZE, true);
	attach_rig_start(&rig, attachment_new_vhost_user, fds[0], 65520);
	rig.sends_back = (reader_u8(&reader) & 1) != 0;
	for (unsigned i = 0; i < 200 && reader_left(&reader) > 0 && rig.closed == 0; i++)
		act(&rig, &end, &reader);
	for (unsigned i = 0; i < 4; i++)
		turn(&rig, &end);
	FUZZ_CHECK(rig.closed <= 1);
	(void)close(end.fd);
	turn(&rig, &end);
	FUZZ_CHECK(rig.closed == 1);
	attach_rig_end(&rig);
	vhost_front_end_done(&end);
	return 0;
}
