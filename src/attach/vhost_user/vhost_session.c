#include "attach/vhost_user/vhost_session.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "attach/vhost_user/given_eventfd.h"
#include "base/fd.h"

/* RFC 791: every host takes 68 bytes. */
#define MTU_LEAST 68

static struct vhost_ring *find_ring(struct vhost_session *session, uint32_t index,
				    struct error *err)
{
	if (index < VHOST_RINGS)
		return &session->rings[index];
	error_set(err, "there is no ring %" PRIu32, index);
	return NULL;
}

static bool is_enabled(const struct vhost_session *session, const struct vhost_ring *ring)
{
	return ring->enabled || !vhost_session_has(session, VHOST_USER_F_PROTOCOL_FEATURES);
}

bool vhost_session_runs(const struct vhost_session *session, unsigned index)
{
	const struct vhost_ring *ring = &session->rings[index];

	return !session->over && ring->started && is_enabled(session, ring) &&
	       virtqueue_is_mapped(&ring->queue);
}

/* --- rings ---------------------------------------------------------------------------------- */

static void ring_call(const struct vhost_ring *ring)
{
	struct vhost_session *session = ring->session;

	if (ring->call_fd < 0 || session->blocks ||
	    call_guard_call(session->call_guard, ring->call_fd))
		return;
	session->blocks = true;
	session->blocked(session);
}

void vhost_ring_publish(struct vhost_ring *ring)
{
	if (virtqueue_is_mapped(&ring->queue) && virtqueue_publish(&ring->queue))
		ring_call(ring);
}

void vhost_ring_show(struct vhost_ring *ring)
{
	if (virtqueue_is_mapped(&ring->queue))
		virtqueue_show(&ring->queue);
}

static void ring_kicked(struct loop_watch *watch, uint32_t events)
{
	struct vhost_ring *ring = container_of(watch, struct vhost_ring, kick);
	struct vhost_session *session = ring->session;

	(void)events;
	session->kicked(session, (unsigned)(ring - session->rings));
}

static void ring_unwatch(struct vhost_ring *ring)
{
	loop_watch_remove(ring->session->loop, &ring->kick);
	ring->kick_fd = fd_close(ring->kick_fd);
}

static void ring_stop(struct vhost_ring *ring)
{
	ring_unwatch(ring);
	ring->started = false;
}

/* After its memory, size or addresses changed. */
static bool ring_map(struct vhost_ring *ring)
{
	struct vhost_session *session = ring->session;

	if (ring->has_address && ring->queue.size > 0 &&
	    virtqueue_map(&ring->queue, &session->memory, &ring->address))
		return true;
	virtqueue_unmap(&ring->queue);
	return false;
}

static void apply_features(struct vhost_session *session)
{
	for (unsigned i = 0; i < VHOST_RINGS; i++) {
		struct virtqueue *queue = &session->rings[i].queue;

		queue->event_index = vhost_session_has(session, VIRTIO_F_EVENT_IDX);
		queue->indirect = vhost_session_has(session, VIRTIO_F_INDIRECT_DESC);
		queue->log = vhost_session_has(session, VHOST_F_LOG_ALL) &&
					     dirty_log_is_open(&session->log)
				     ? &session->log
				     : NULL;
	}
}

/* --- messages ------------------------------------------------------------------------------- */

struct handling {
	struct vhost_session *session;
	const struct vhost_message *message;
	int *fds;
	struct writer *reply;
	struct error *err;
	bool refused; /* said in the answer; the session goes on */
};

static int take_fd(struct handling *handling)
{
	int fd = handling->fds[0];

	handling->fds[0] = -1;
	return fd;
}

static int fail(struct handling *handling, const char *sentence)
{
	error_set(handling->err, "%s", sentence);
	return -EPROTO;
}

static int on_nothing(struct handling *handling)
{
	(void)handling;
	return 0;
}

static int on_get_features(struct handling *handling)
{
	vhost_message_build_u64(handling->reply, handling->message->request, VHOST_FEATURES);
	return 0;
}

static int on_set_features(struct handling *handling)
{
	struct vhost_session *session = handling->session;
	uint64_t features = handling->message->u64;
	uint64_t changed = features ^ session->features;

	if (features & ~VHOST_FEATURES)
		return fail(handling, "features that were not offered");
	/* Only logging begins and ends while frames move. */
	for (unsigned i = 0; i < VHOST_RINGS; i++) {
		if (session->rings[i].started && (changed & ~VHOST_F_LOG_ALL))
			return fail(handling, "features changed while a ring runs");
	}
	session->features = features;
	apply_features(session);
	return 0;
}

static int on_get_protocol_features(struct handling *handling)
{
	vhost_message_build_u64(handling->reply, handling->message->request,
				VHOST_PROTOCOL_FEATURES);
	return 0;
}

static int on_set_protocol_features(struct handling *handling)
{
	if (handling->message->u64 & ~VHOST_PROTOCOL_FEATURES)
		return fail(handling, "protocol features that were not offered");
	handling->session->protocol_features = handling->message->u64;
	return 0;
}

/* Never sent by a front end of today. It once meant "disable all rings", and nothing more is safe to
 * read into it (vhost-user, RESET_OWNER). */
static int on_reset_owner(struct handling *handling)
{
	for (unsigned i = 0; i < VHOST_RINGS; i++)
		handling->session->rings[i].enabled = false;
	return 0;
}

/*
 * Also while rings run (memory was plugged in). A ring that has no place in the new memory waits for
 * new addresses: a front end that starts again tells its memory first.
 */
static int on_set_mem_table(struct handling *handling)
{
	struct vhost_session *session = handling->session;
	struct guest_memory memory;
	int status = guest_memory_map(handling->message->memory.regions, handling->fds,
				      handling->message->memory.count, session->allow_unsealed,
				      &memory, handling->err);

	if (status < 0)
		return status;
	guest_memory_unmap(&session->memory);
	session->memory = memory;
	for (unsigned i = 0; i < VHOST_RINGS; i++)
		(void)ring_map(&session->rings[i]);
	return 0;
}

static int on_set_log_base(struct handling *handling)
{
	struct vhost_session *session = handling->session;
	const struct vhost_message *message = handling->message;

	if (!(session->protocol_features & VHOST_USER_PROTOCOL_F_LOG_SHMFD))
		return fail(handling, "a log without LOG_SHMFD");
	int status = dirty_log_open(&session->log, handling->fds[0], message->log.offset,
				    message->log.size, session->allow_unsealed, handling->err);
	if (status < 0)
		return status;
	apply_features(session);
	/* An answer also where none was asked for: QEMU waits for it. */
	vhost_message_build_u64(handling->reply, message->request, 0);
	return 0;
}

static int on_set_vring_num(struct handling *handling)
{
	const struct vhost_vring_state *state = &handling->message->state;
	struct vhost_ring *ring = find_ring(handling->session, state->index, handling->err);

	if (!ring)
		return -EPROTO;
	if (ring->started)
		return fail(handling, "the size of a ring that runs");
	/* As wide as it came: cut to 16 bits a bad size could be a good one (CVE-2020-10723). */
	if (state->value == 0 || state->value > VIRTQUEUE_SIZE_MOST ||
	    (state->value & (state->value - 1)) != 0)
		return fail(handling, "a ring's size that is no power of two up to 32768");
	ring->queue.size = (uint16_t)state->value;
	(void)ring_map(ring);
	return 0;
}

static int on_set_vring_addr(struct handling *handling)
{
	const struct vhost_vring_address *address = &handling->message->address;
	struct vhost_ring *ring = find_ring(handling->session, address->index, handling->err);

	if (!ring)
		return -EPROTO;
	ring->address = *address;
	ring->has_address = true;
	if (!ring_map(ring))
		return fail(handling, "a ring outside the guest's memory");
	return 0;
}

static int on_set_vring_base(struct handling *handling)
{
	const struct vhost_vring_state *state = &handling->message->state;
	struct vhost_ring *ring = find_ring(handling->session, state->index, handling->err);

	if (!ring)
		return -EPROTO;
	if (ring->started)
		return fail(handling, "the base of a ring that runs");
	if (state->value > UINT16_MAX)
		return fail(handling, "a ring's base beyond 65535");
	/* virtqueue_start() knows better; this is for who asks before it ran. */
	ring->queue.next_available = (uint16_t)state->value;
	return 0;
}

/* Everything taken was put or given back before; what is used becomes visible, and it stops. */
static int on_get_vring_base(struct handling *handling)
{
	const struct vhost_vring_state *state = &handling->message->state;
	struct vhost_ring *ring = find_ring(handling->session, state->index, handling->err);

	if (!ring)
		return -EPROTO;
	if (ring->started)
		vhost_ring_publish(ring);
	ring_stop(ring);
	const struct vhost_vring_state base = {
		.index = state->index,
		.value = ring->queue.next_available,
	};
	vhost_message_build_state(handling->reply, handling->message->request, &base);
	return 0;
}

static int on_set_vring_kick(struct handling *handling)
{
	struct vhost_session *session = handling->session;
	struct vhost_ring *ring =
		find_ring(session, handling->message->vring_fd.index, handling->err);

	if (!ring)
		return -EPROTO;
	if (!handling->message->vring_fd.has_fd)
		return fail(handling, "a ring that wants to be polled");
	if (!virtqueue_is_mapped(&ring->queue))
		return fail(handling, "a ring started before its size, addresses and memory");
	if (!given_eventfd_is_one(handling->fds[0]))
		return fail(handling, "a kick that is no eventfd");
	ring_unwatch(ring);
	ring->kick_fd = take_fd(handling);
	/* Edge-triggered, so it need not be read: each kick is an edge. */
	int status = loop_watch_add(session->loop, &ring->kick, ring->kick_fd, EPOLLIN | EPOLLET);
	if (status < 0) {
		error_set(handling->err, "a kick that cannot be waited for");
		return status;
	}
	if (!ring->started)
		virtqueue_start(&ring->queue);
	ring->started = true;
	return 0;
}

static int on_set_vring_call(struct handling *handling)
{
	struct vhost_ring *ring =
		find_ring(handling->session, handling->message->vring_fd.index, handling->err);

	if (!ring)
		return -EPROTO;
	ring->call_fd = fd_close(ring->call_fd);
	if (!handling->message->vring_fd.has_fd)
		return 0;
	/* Full is no reason to wait. Who takes that back later meets the guard. */
	if (!given_eventfd_is_one(handling->fds[0]) || fd_set_nonblocking(handling->fds[0]) < 0)
		return fail(handling, "a call that is no eventfd");
	ring->call_fd = take_fd(handling);
	/* The old one's last call may have been lost with it. */
	if (ring->started)
		ring_call(ring);
	return 0;
}

static int on_set_vring_err(struct handling *handling)
{
	/* What is wrong with a ring ends the session, which is louder. */
	return find_ring(handling->session, handling->message->vring_fd.index, handling->err)
		       ? 0
		       : -EPROTO;
}

static int on_set_vring_enable(struct handling *handling)
{
	const struct vhost_vring_state *state = &handling->message->state;
	struct vhost_ring *ring = find_ring(handling->session, state->index, handling->err);

	if (!ring)
		return -EPROTO;
	if (state->value > 1)
		return fail(handling, "a ring neither enabled nor disabled");
	ring->enabled = state->value == 1;
	return 0;
}

static int on_net_set_mtu(struct handling *handling)
{
	uint64_t mtu = handling->message->u64;

	handling->refused = mtu < MTU_LEAST || mtu > handling->session->mtu_most;
	return 0;
}

typedef int handler(struct handling *handling);

static handler *const handlers[VHOST_REQUEST_LIMIT] = {
	[VHOST_GET_FEATURES] = on_get_features,
	[VHOST_SET_FEATURES] = on_set_features,
	[VHOST_SET_OWNER] = on_nothing,
	[VHOST_RESET_OWNER] = on_reset_owner,
	[VHOST_SET_MEM_TABLE] = on_set_mem_table,
	[VHOST_SET_LOG_BASE] = on_set_log_base,
	[VHOST_SET_LOG_FD] = on_nothing, /* it may look at the log whenever it likes */
	[VHOST_SET_VRING_NUM] = on_set_vring_num,
	[VHOST_SET_VRING_ADDR] = on_set_vring_addr,
	[VHOST_SET_VRING_BASE] = on_set_vring_base,
	[VHOST_GET_VRING_BASE] = on_get_vring_base,
	[VHOST_SET_VRING_KICK] = on_set_vring_kick,
	[VHOST_SET_VRING_CALL] = on_set_vring_call,
	[VHOST_SET_VRING_ERR] = on_set_vring_err,
	[VHOST_GET_PROTOCOL_FEATURES] = on_get_protocol_features,
	[VHOST_SET_PROTOCOL_FEATURES] = on_set_protocol_features,
	[VHOST_SET_VRING_ENABLE] = on_set_vring_enable,
	[VHOST_NET_SET_MTU] = on_net_set_mtu,
};

int vhost_session_handle(struct vhost_session *session, const struct vhost_message *message,
			 int *fds, struct writer *reply, struct error *err)
{
	struct handling handling = {
		.session = session,
		.message = message,
		.fds = fds,
		.reply = reply,
		.err = err,
	};
	int status = handlers[message->request](&handling);

	if (status < 0)
		error_prefix(err, "%s", vhost_message_name(message->request));
	if (reply->position == 0 && message->needs_reply &&
	    (session->protocol_features & VHOST_USER_PROTOCOL_F_REPLY_ACK))
		vhost_message_build_u64(reply, message->request,
					status < 0 || handling.refused ? 1 : 0);
	return status;
}

void vhost_session_init(struct vhost_session *session)
{
	session->over = false;
	session->blocks = false;
	session->features = 0;
	session->protocol_features = 0;
	for (unsigned i = 0; i < VHOST_RINGS; i++) {
		struct vhost_ring *ring = &session->rings[i];

		*ring = (struct vhost_ring){ .kick_fd = -1, .call_fd = -1, .session = session };
		ring->queue.direction =
			i == VHOST_RING_RECEIVE ? VIRTQUEUE_TO_GUEST : VIRTQUEUE_FROM_GUEST;
		loop_watch_init(&ring->kick, ring_kicked);
	}
}

void vhost_session_reset(struct vhost_session *session)
{
	for (unsigned i = 0; i < VHOST_RINGS; i++) {
		ring_stop(&session->rings[i]);
		(void)fd_close(session->rings[i].call_fd);
	}
	guest_memory_unmap(&session->memory);
	dirty_log_close(&session->log);
	vhost_session_init(session);
}
