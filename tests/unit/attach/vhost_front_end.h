#pragma once
/* A vhost-user front end that a test plays: the socket's other end, with a guest behind it. Nothing
 * here checks what it sends, so it can be as wrong as the test likes. */

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "attach/vhost_user/vhost_session.h"
#include "vhost_guest.h"

struct vhost_front_end {
	int fd;
	struct vhost_guest guest;
	int kick_fds[2];
	int call_fds[2];
};

static inline void vhost_front_end_init(struct vhost_front_end *end, int fd, uint16_t queue_size,
					bool sealed)
{
	*end = (struct vhost_front_end){ .fd = fd };
	vhost_guest_init(&end->guest, queue_size, sealed);
	for (unsigned i = 0; i < 2; i++) {
		end->kick_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		end->call_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		vhost_guest_check(end->kick_fds[i] >= 0 && end->call_fds[i] >= 0);
	}
}

static inline void vhost_front_end_done(struct vhost_front_end *end)
{
	for (unsigned i = 0; i < 2; i++) {
		(void)close(end->kick_fds[i]);
		(void)close(end->call_fds[i]);
	}
	vhost_guest_done(&end->guest);
}

/* Any bytes with any descriptors; false when the other end is gone. */
static inline bool vhost_front_end_send_bytes(const struct vhost_front_end *end, const void *bytes,
					      size_t size, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(32 * sizeof(int))];
	} control = {};
	struct iovec part = { (void *)(uintptr_t)bytes, size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	}
	return sendmsg(end->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}

static inline bool vhost_front_end_send(const struct vhost_front_end *end,
					const struct vhost_message *message, const int *fds,
					size_t count)
{
	uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE + VHOST_MESSAGE_PAYLOAD_MOST];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	vhost_message_build(&writer, message);
	return vhost_front_end_send_bytes(end, bytes, writer.position, fds, count);
}

/* An answer of 8 bytes that is there already; false: none, or to another request. */
static inline bool vhost_front_end_reply(const struct vhost_front_end *end, uint32_t request,
					 uint64_t *ret_value)
{
	uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE + 8];
	uint32_t answered;
	uint32_t size;

	if (recv(end->fd, bytes, sizeof(bytes), MSG_DONTWAIT) != sizeof(bytes) ||
	    !vhost_message_parse_reply(bytes, &answered, &size) || answered != request || size != 8)
		return false;
	memcpy(ret_value, bytes + VHOST_MESSAGE_HEADER_SIZE, 8);
	return true;
}

static inline bool vhost_front_end_set_u64(const struct vhost_front_end *end,
					   enum vhost_request request, uint64_t value)
{
	const struct vhost_message message = { .request = request, .u64 = value };

	return vhost_front_end_send(end, &message, NULL, 0);
}

static inline bool vhost_front_end_set_state(const struct vhost_front_end *end,
					     enum vhost_request request, uint32_t index,
					     uint32_t value)
{
	const struct vhost_message message = { .request = request, .state = { index, value } };

	return vhost_front_end_send(end, &message, NULL, 0);
}

static inline bool vhost_front_end_set_fd(const struct vhost_front_end *end,
					  enum vhost_request request, uint8_t index, int fd)
{
	const struct vhost_message message = { .request = request, .vring_fd = { index, fd >= 0 } };

	return vhost_front_end_send(end, &message, &fd, fd >= 0 ? 1 : 0);
}

static inline bool vhost_front_end_set_memory(const struct vhost_front_end *end)
{
	struct vhost_message message = { .request = VHOST_SET_MEM_TABLE, .memory.count = 2 };
	const int fds[2] = { end->guest.memory_fd, end->guest.memory_fd };

	vhost_guest_regions(&end->guest, message.memory.regions);
	return vhost_front_end_send(end, &message, fds, 2);
}

static inline bool vhost_front_end_set_rings(const struct vhost_front_end *end, uint32_t index,
					     uint32_t flags)
{
	struct vhost_message message = { .request = VHOST_SET_VRING_ADDR };

	message.address = vhost_guest_rings(&end->guest, index);
	message.address.flags = flags;
	return vhost_front_end_send(end, &message, NULL, 0);
}

/* Everything up to traffic, in QEMU's order; the loop runs later. False where a message did not leave
 * (the other end is gone, or its socket full). */
static inline bool vhost_front_end_try_start(const struct vhost_front_end *end, uint64_t features,
					     uint64_t protocol_features)
{
	const struct vhost_message owner = { .request = VHOST_SET_OWNER };
	bool protocol = (features & VHOST_USER_F_PROTOCOL_FEATURES) != 0;
	bool ok = true;

	if (protocol)
		ok = vhost_front_end_set_u64(end, VHOST_SET_PROTOCOL_FEATURES, protocol_features);
	ok = ok && vhost_front_end_send(end, &owner, NULL, 0);
	for (uint8_t i = 0; i < 2; i++)
		ok = ok && vhost_front_end_set_fd(end, VHOST_SET_VRING_CALL, i, end->call_fds[i]);
	ok = ok && vhost_front_end_set_u64(end, VHOST_SET_FEATURES, features) &&
	     vhost_front_end_set_memory(end);
	for (uint8_t i = 0; i < 2 && ok; i++) {
		uint32_t size = end->guest.queues[i].size;

		ok = vhost_front_end_set_state(end, VHOST_SET_VRING_NUM, i, size) &&
		     vhost_front_end_set_state(end, VHOST_SET_VRING_BASE, i, 0) &&
		     vhost_front_end_set_rings(end, i, 0) &&
		     vhost_front_end_set_fd(end, VHOST_SET_VRING_KICK, i, end->kick_fds[i]) &&
		     (!protocol || vhost_front_end_set_state(end, VHOST_SET_VRING_ENABLE, i, 1));
	}
	return ok;
}

static inline void vhost_front_end_start(const struct vhost_front_end *end, uint64_t features,
					 uint64_t protocol_features)
{
	vhost_guest_check(vhost_front_end_try_start(end, features, protocol_features));
}

static inline void vhost_front_end_kick(const struct vhost_front_end *end, unsigned index)
{
	const uint64_t one = 1;

	vhost_guest_check(write(end->kick_fds[index], &one, sizeof(one)) == sizeof(one));
}

/* Whether the guest was called since the last question. */
static inline bool vhost_front_end_called(const struct vhost_front_end *end, unsigned index)
{
	uint64_t count;

	return read(end->call_fds[index], &count, sizeof(count)) == sizeof(count);
}
