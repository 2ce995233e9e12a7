/*
 * Theory of operation
 *
 * The back end of vhost-user: a unix stream socket over which a front end (QEMU) says where the
 * guest's memory and rings are (vhost_message, vhost_session), and eventfds by which guest and we
 * wake each other. Frames never pass the socket (vhost_net).
 *
 * One message is read at a time, header first, because descriptors belong to the bytes they came
 * with. What a message does not want is closed. Before it is handled, every buffer of the guest is
 * given back, so it may change everything.
 *
 * A message that is wrong, or a ring that is, ends the session: rings, memory and descriptors are
 * given up, at the end of the batch, for it may show in the middle of a push. A listening socket then
 * serves the next front end; a connected one ends the port, and so does one whose calls block: each
 * time would cost the network a moment.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "attach/attachment_internal.h"
#include "attach/vhost_user/vhost_net.h"
#include "attach/vhost_user/vhost_session.h"
#include "base/fd.h"

/* Messages of one turn. */
#define VHOST_USER_BATCH 16
/* How long accepting pauses when no descriptor is left; the listener would wake us for ever. */
#define VHOST_USER_PAUSE_NS (100 * NS_PER_MS)

struct vhost_user {
	struct attachment attachment;
	struct loop_watch listener;
	struct loop_watch connection;
	struct timer accept_again;
	struct loop_deferred end; /* of the session */
	int listen_fd;
	int fd; /* -1: nobody is connected */
	char reason[ERROR_TEXT_SIZE];

	/* The message that is being read. */
	uint8_t header[VHOST_MESSAGE_HEADER_SIZE];
	uint8_t payload[VHOST_MESSAGE_PAYLOAD_MOST];
	struct vhost_message_header parsed; /* once the header is whole */
	size_t filled;			    /* of both */
	int fds[VHOST_MESSAGE_FDS_MOST];
	size_t fd_count;

	struct vhost_session session;
	struct vhost_net net;
};

static struct vhost_user *vhost_user_of(struct attachment *attachment)
{
	return container_of(attachment, struct vhost_user, attachment);
}

/* --- the session's end ---------------------------------------------------------------------- */

static void vhost_user_watch_listener(struct vhost_user *vhost)
{
	struct attachment_context *context = &vhost->attachment.context;
	int status = loop_watch_add(context->loop, &vhost->listener, vhost->listen_fd, EPOLLIN);

	if (status < 0)
		context->closed(context->context, vhost->attachment.port,
				"cannot wait for a front end");
}

static void vhost_user_close_fds(struct vhost_user *vhost)
{
	for (size_t i = 0; i < vhost->fd_count; i++)
		(void)fd_close(vhost->fds[i]);
	vhost->fd_count = 0;
}

static void vhost_user_disconnect(struct vhost_user *vhost)
{
	struct attachment_context *context = &vhost->attachment.context;

	loop_watch_remove(context->loop, &vhost->connection);
	vhost->fd = fd_close(vhost->fd);
	vhost_user_close_fds(vhost);
	vhost->filled = 0;
	vhost_session_reset(&vhost->session);
	vhost_net_forget(&vhost->net);
}

static void vhost_user_end(struct loop_deferred *deferred)
{
	struct vhost_user *vhost = container_of(deferred, struct vhost_user, end);
	struct attachment_context *context = &vhost->attachment.context;

	bool serves_next = vhost->listen_fd >= 0 && !vhost->session.blocks;
	vhost_user_disconnect(vhost);
	if (!serves_next) {
		context->closed(context->context, vhost->attachment.port, vhost->reason);
		return;
	}
	if (vhost->reason[0] != '\0')
		log_write_limited(context->log, &vhost->attachment.log_limit,
				  loop_now(context->loop), LOG_LEVEL_WARNING,
				  "a guest's connection: %s", vhost->reason);
	vhost_user_watch_listener(vhost);
}

/* From now on nothing runs; the rest happens at the end of the batch. */
static void vhost_user_fail(struct vhost_user *vhost, const char *reason)
{
	if (vhost->session.over)
		return;
	vhost->session.over = true;
	(void)snprintf(vhost->reason, sizeof(vhost->reason), "%s", reason);
	loop_watch_remove(vhost->attachment.context.loop, &vhost->connection);
	loop_defer(vhost->attachment.context.loop, &vhost->end);
}

static void vhost_user_fail_because(struct vhost_user *vhost, struct error *err)
{
	error_prefix(err, "closed: its front end is wrong");
	vhost_user_fail(vhost, err->text);
}

static void vhost_user_blocked(struct vhost_session *session)
{
	vhost_user_fail(container_of(session, struct vhost_user, session),
			"closed: its front end is wrong: it made the eventfd of its calls block");
}

static void vhost_user_net_failed(struct vhost_net *net, const char *reason)
{
	struct vhost_user *vhost = container_of(net, struct vhost_user, net);
	struct error err;

	error_set(&err, "closed: %s", reason);
	vhost_user_fail(vhost, err.text);
}

/* --- messages ------------------------------------------------------------------------------- */

/* Whether all of it left. A front end that does not read its answers is none. */
static bool vhost_user_send(struct vhost_user *vhost, const struct writer *reply)
{
	ssize_t sent = send(vhost->fd, reply->data, reply->position, MSG_NOSIGNAL | MSG_DONTWAIT);

	return sent >= 0 && (size_t)sent == reply->position;
}

static void vhost_user_handle(struct vhost_user *vhost)
{
	uint8_t bytes[VHOST_SESSION_REPLY_MOST];
	struct writer reply = writer_of(bytes, sizeof(bytes));
	struct vhost_message message;
	struct error err = {};

	if (!vhost_message_parse(&vhost->parsed, vhost->payload, vhost->fd_count, &message)) {
		const char *name = vhost_message_name(vhost->parsed.request);

		error_set(&err, "%s (%u) of %u bytes with %zu descriptors", name ? name : "unknown",
			  vhost->parsed.request, vhost->parsed.payload_size, vhost->fd_count);
		vhost_user_fail_because(vhost, &err);
		return;
	}
	log_write(vhost->attachment.context.log, LOG_LEVEL_DEBUG, "vhost-user: %s",
		  vhost_message_name(message.request));
	vhost_net_settle(&vhost->net);
	if (vhost->session.over)
		return; /* a call blocked */
	int status = vhost_session_handle(&vhost->session, &message, vhost->fds, &reply, &err);
	if (reply.position > 0 && !vhost_user_send(vhost, &reply) && status == 0) {
		error_set(&err, "it does not read its answers");
		status = -EPIPE;
	}
	if (status < 0)
		vhost_user_fail_because(vhost, &err);
	else
		vhost_net_resume(&vhost->net);
}

/* Keeps the descriptors that came with some bytes; false where there were more than there may be. */
static bool vhost_user_keep_fds(struct vhost_user *vhost, struct msghdr *message)
{
	bool all = (message->msg_flags & MSG_CTRUNC) == 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
			if (vhost->fd_count < VHOST_MESSAGE_FDS_MOST) {
				vhost->fds[vhost->fd_count++] = fd;
			} else {
				(void)fd_close(fd);
				all = false;
			}
		}
	}
	return all;
}

/* How much of the message is to be read now, and where to. */
static size_t vhost_user_wanted(struct vhost_user *vhost, uint8_t **ret_place)
{
	if (vhost->filled < VHOST_MESSAGE_HEADER_SIZE) {
		*ret_place = vhost->header + vhost->filled;
		return VHOST_MESSAGE_HEADER_SIZE - vhost->filled;
	}
	*ret_place = vhost->payload + (vhost->filled - VHOST_MESSAGE_HEADER_SIZE);
	return VHOST_MESSAGE_HEADER_SIZE + vhost->parsed.payload_size - vhost->filled;
}

/* Reads on; false when there is no more now, or the session is over. */
static bool vhost_user_read(struct vhost_user *vhost)
{
	union {
		struct cmsghdr align;
		/* One more than there may be: it shows. */
		uint8_t bytes[CMSG_SPACE((VHOST_MESSAGE_FDS_MOST + 1) * sizeof(int))];
	} control;
	struct iovec part;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct error err = {};
	uint8_t *place;

	part.iov_len = vhost_user_wanted(vhost, &place);
	part.iov_base = place;
	ssize_t got = recvmsg(vhost->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0 && errno == EINTR)
		return true;
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0) {
		vhost_user_fail(vhost, "");
		return false;
	}
	vhost->filled += (size_t)got;
	if (!vhost_user_keep_fds(vhost, &message)) {
		error_set(&err, "more than %d descriptors", VHOST_MESSAGE_FDS_MOST);
		vhost_user_fail_because(vhost, &err);
		return false;
	}
	if (vhost->filled == VHOST_MESSAGE_HEADER_SIZE &&
	    !vhost_message_parse_header(vhost->header, &vhost->parsed)) {
		error_set(&err, "its header is of no request");
		vhost_user_fail_because(vhost, &err);
		return false;
	}
	return true;
}

static bool vhost_user_is_whole(const struct vhost_user *vhost)
{
	return vhost->filled >= VHOST_MESSAGE_HEADER_SIZE &&
	       vhost->filled == VHOST_MESSAGE_HEADER_SIZE + vhost->parsed.payload_size;
}

static void vhost_user_connection_ready(struct loop_watch *watch, uint32_t events)
{
	struct vhost_user *vhost = container_of(watch, struct vhost_user, connection);

	(void)events;
	for (unsigned i = 0; i < VHOST_USER_BATCH && !vhost->session.over;) {
		if (!vhost_user_read(vhost))
			return;
		if (!vhost_user_is_whole(vhost))
			continue;
		vhost_user_handle(vhost);
		vhost_user_close_fds(vhost);
		vhost->filled = 0;
		i++;
	}
}

/* --- the listener --------------------------------------------------------------------------- */

static void vhost_user_listener_ready(struct loop_watch *watch, uint32_t events)
{
	struct vhost_user *vhost = container_of(watch, struct vhost_user, listener);
	struct loop *loop = vhost->attachment.context.loop;

	(void)events;
	/* cppcheck-suppress nullPointer ; accept() without an address */
	int fd = accept4(vhost->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return; /* gone again */
	loop_watch_remove(loop, &vhost->listener);
	if (fd < 0) {
		drop_count(vhost->attachment.context.drops, DROP_SOCKET_LIMIT);
		timer_set(loop_timers(loop), &vhost->accept_again,
			  loop_now(loop) + VHOST_USER_PAUSE_NS);
		return;
	}
	vhost->fd = fd;
	if (loop_watch_add(loop, &vhost->connection, fd, EPOLLIN) < 0)
		vhost_user_fail(vhost, "cannot watch the connection");
}

static void vhost_user_accept_again(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	vhost_user_watch_listener(container_of(timer, struct vhost_user, accept_again));
}

/* --- the attachment ------------------------------------------------------------------------- */

static void vhost_user_kicked(struct vhost_session *session, unsigned index)
{
	vhost_net_kicked(&container_of(session, struct vhost_user, session)->net, index);
}

static struct vhost_net *vhost_user_net_of(struct frame_sink *sink)
{
	return &vhost_user_of(container_of(sink, struct attachment, sink))->net;
}

static void vhost_user_sink_push(struct frame_sink *sink, struct frame *frame)
{
	vhost_net_push(vhost_user_net_of(sink), frame);
}

static void vhost_user_sink_flush(struct frame_sink *sink)
{
	vhost_net_flush(vhost_user_net_of(sink));
}

static size_t vhost_user_sink_room(struct frame_sink *sink, uint32_t port)
{
	(void)port;
	return vhost_net_room(vhost_user_net_of(sink));
}

static size_t vhost_user_sink_reserve(struct frame_sink *sink, uint32_t port, size_t header_size,
				      size_t size, struct iovec *ret_parts, size_t capacity,
				      size_t *ret_count)
{
	(void)port;
	return vhost_net_reserve(vhost_user_net_of(sink), header_size, size, ret_parts, capacity,
				 ret_count);
}

static const struct frame_sink_ops vhost_user_sink_ops = {
	.push = vhost_user_sink_push,
	.flush = vhost_user_sink_flush,
	.room = vhost_user_sink_room,
	.reserve = vhost_user_sink_reserve,
};

static void vhost_user_start(struct attachment *attachment)
{
	struct vhost_user *vhost = vhost_user_of(attachment);

	vhost_net_start(&vhost->net);
	if (vhost->listen_fd >= 0)
		vhost_user_watch_listener(vhost);
	else if (loop_watch_add(attachment->context.loop, &vhost->connection, vhost->fd, EPOLLIN) <
		 0)
		vhost_user_fail(vhost, "cannot watch the connection");
}

static void vhost_user_disown(struct attachment *attachment)
{
	struct vhost_user *vhost = vhost_user_of(attachment);

	vhost->fd = -1;
	vhost->listen_fd = -1;
}

static void vhost_user_free(struct attachment *attachment)
{
	struct vhost_user *vhost = vhost_user_of(attachment);
	struct loop *loop = attachment->context.loop;

	loop_deferred_cancel(&vhost->end);
	loop_watch_remove(loop, &vhost->listener);
	loop_watch_remove(loop, &vhost->connection);
	timer_clear(loop_timers(loop), &vhost->accept_again);
	vhost_user_close_fds(vhost);
	vhost_net_done(&vhost->net);
	vhost_session_reset(&vhost->session);
	(void)fd_close(vhost->listen_fd);
	(void)fd_close(vhost->fd);
	free(vhost);
}

static const struct attachment_ops vhost_user_ops = {
	.start = vhost_user_start,
	.disown = vhost_user_disown,
	.free = vhost_user_free,
};

/* Descriptors pass only sockets of this family. */
static int vhost_user_check_family(int fd, struct error *err)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX)
		return 0;
	error_set(err, "file descriptor %d is not a unix socket", fd);
	return -EINVAL;
}

int attachment_new_vhost_user(const struct attachment_context *context, int fd,
			      struct attachment **ret_attachment, struct error *err)
{
	bool listening;
	int status = attachment_check_socket(fd, SOCK_STREAM, &listening, err);

	if (status == 0)
		status = vhost_user_check_family(fd, err);
	if (status == 0)
		status = fd_set_nonblocking(fd);
	if (status < 0)
		return status;
	struct vhost_user *vhost = calloc(1, sizeof(*vhost));
	if (!vhost)
		return -ENOMEM;
	vhost->attachment = (struct attachment){
		.ops = &vhost_user_ops,
		.context = *context,
		.sink.ops = &vhost_user_sink_ops,
	};
	timer_init(&vhost->accept_again, vhost_user_accept_again);
	loop_deferred_init(&vhost->end, vhost_user_end);
	loop_watch_init(&vhost->listener, vhost_user_listener_ready);
	loop_watch_init(&vhost->connection, vhost_user_connection_ready);
	vhost->listen_fd = listening ? fd : -1;
	vhost->fd = listening ? -1 : fd;
	vhost->session.loop = context->loop;
	vhost->session.call_guard = context->call_guard;
	vhost->session.kicked = vhost_user_kicked;
	vhost->session.blocked = vhost_user_blocked;
	vhost->session.mtu_most = context->mtu;
	vhost->session.allow_unsealed = context->allow_unsealed_memory;
	vhost_session_init(&vhost->session);
	vhost->net.attachment = &vhost->attachment;
	vhost->net.session = &vhost->session;
	vhost->net.failed = vhost_user_net_failed;
	vhost_net_init(&vhost->net);
	*ret_attachment = &vhost->attachment;
	return 0;
}
