/*
 * Theory of operation
 *
 * QEMU's stream framing: a 32-bit big-endian length before each Ethernet frame, both ways. One read
 * takes many frames; a frame that is cut off stays at the start of the buffer for the next read. A
 * length beyond what the MTU allows, or below an Ethernet header, cannot be resynchronised: it ends
 * the connection (not the network).
 *
 * What goes to the guest is queued and leaves with the flush; what the socket does not take waits in
 * the queue for EPOLLOUT.
 *
 * A listening socket serves one front end at a time and accepts the next when it left, so that a VMM
 * may restart. While one is served, others wait in the kernel's backlog.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "attach/attachment_internal.h"
#include "attach/door.h"
#include "attach/out_queue.h"
#include "base/fd.h"
#include "wire/reader.h"

#define STREAM_LENGTH_SIZE 4
#define STREAM_BUFFER_SIZE ((size_t)256 << 10)
/* How long accepting pauses when no descriptor is left; the listener would wake us for ever. */
#define STREAM_PAUSE_NS (100 * NS_PER_MS)

struct stream {
	struct attachment attachment;
	struct loop_watch listener;
	struct loop_watch connection;
	struct timer accept_again;
	int listen_fd;
	int fd; /* -1: nobody is connected */
	bool waits_for_out;
	bool deaf; /* the front end reads no more, though it may still send */
	struct out_queue queue;
	uint8_t *buffer; /* STREAM_BUFFER_SIZE */
	size_t filled;
};

static struct stream *stream_of(struct attachment *attachment)
{
	return container_of(attachment, struct stream, attachment);
}

static void stream_watch_listener(struct stream *stream)
{
	struct attachment_context *context = &stream->attachment.context;
	int status = loop_watch_add(context->loop, &stream->listener, stream->listen_fd, EPOLLIN);

	if (status < 0)
		context->closed(context->context, stream->attachment.port,
				"cannot wait for a front end");
}

/* The front end is gone: wait for the next one, or report that the port is dead. */
static void stream_disconnect(struct stream *stream, const char *reason)
{
	struct attachment_context *context = &stream->attachment.context;

	loop_watch_remove(context->loop, &stream->connection);
	stream->fd = fd_close(stream->fd);
	stream->filled = 0;
	stream->waits_for_out = false;
	stream->deaf = false;
	out_queue_clear(&stream->queue);
	if (stream->listen_fd < 0) {
		context->closed(context->context, stream->attachment.port, reason);
		return;
	}
	if (reason[0] != '\0')
		log_write_limited(context->log, &stream->attachment.log_limit,
				  loop_now(context->loop), LOG_LEVEL_WARNING,
				  "a guest's connection: %s", reason);
	stream_watch_listener(stream);
	/* Sources that wait for room would wait for ever: what they push now is dropped. */
	if (out_queue_room_returned(&stream->queue))
		context->writable(context->context, stream->attachment.port);
}

static void stream_send_queue(struct stream *stream)
{
	struct attachment_context *context = &stream->attachment.context;
	bool blocked = false;

	while (stream->fd >= 0 && out_queue_used(&stream->queue) > 0 && !blocked) {
		struct iovec parts[2];
		struct msghdr message = { .msg_iov = parts };

		message.msg_iovlen = out_queue_peek(&stream->queue, parts);
		ssize_t sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0)
			out_queue_take(&stream->queue, (size_t)sent);
		else if (errno == EAGAIN)
			blocked = true;
		else if (errno != EINTR) {
			/* Who left altogether is found by reading. Watched for writing, a socket that
			 * nobody reads would wake us for ever. */
			stream->deaf = true;
			out_queue_clear(&stream->queue);
		}
	}
	/* Where the change of the watch fails, the next flush tries again. */
	if (stream->fd >= 0 && blocked != stream->waits_for_out &&
	    loop_watch_change(context->loop, &stream->connection,
			      blocked ? EPOLLIN | EPOLLOUT : EPOLLIN) == 0)
		stream->waits_for_out = blocked;
	if (out_queue_room_returned(&stream->queue))
		context->writable(context->context, stream->attachment.port);
}

/* Pushes every whole frame; false when a length is impossible. */
static bool stream_deliver(struct stream *stream)
{
	struct attachment *attachment = &stream->attachment;
	struct reader reader = reader_of(stream->buffer, stream->filled);
	size_t done = 0;
	bool ok = true;

	while (reader_left(&reader) >= STREAM_LENGTH_SIZE) {
		uint32_t size = reader_u32(&reader);

		if (size < FRAME_ETHERNET_SIZE || size > attachment_frame_limit(attachment)) {
			drop_count(attachment->context.drops, DROP_BAD_STREAM_LENGTH);
			ok = false;
			break;
		}
		const uint8_t *bytes = reader_take(&reader, size);
		if (!bytes)
			break;
		attachment_receive(attachment, bytes, size);
		done = reader.position;
	}
	stream->filled -= done;
	memmove(stream->buffer, stream->buffer + done, stream->filled);
	frame_sink_flush(attachment->ingress);
	return ok;
}

static void stream_receive(struct stream *stream)
{
	ssize_t got = recv(stream->fd, stream->buffer + stream->filled,
			   STREAM_BUFFER_SIZE - stream->filled, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		stream_disconnect(stream, "");
		return;
	}
	stream->filled += (size_t)got;
	if (!stream_deliver(stream))
		stream_disconnect(stream, "closed: its stream sent an impossible frame length");
}

static void stream_connection_ready(struct loop_watch *watch, uint32_t events)
{
	struct stream *stream = container_of(watch, struct stream, connection);

	if (events & EPOLLOUT)
		stream_send_queue(stream);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		stream_receive(stream);
}

static int stream_watch_connection(struct stream *stream)
{
	return loop_watch_add(stream->attachment.context.loop, &stream->connection, stream->fd,
			      EPOLLIN);
}

static void stream_listener_ready(struct loop_watch *watch, uint32_t events)
{
	struct stream *stream = container_of(watch, struct stream, listener);
	struct loop *loop = stream->attachment.context.loop;

	(void)events;
	/* cppcheck-suppress nullPointer ; accept() without an address */
	int fd = accept4(stream->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return; /* gone again */
	loop_watch_remove(loop, &stream->listener);
	if (fd < 0) {
		drop_count(stream->attachment.context.drops, DROP_SOCKET_LIMIT);
		timer_set(loop_timers(loop), &stream->accept_again,
			  loop_now(loop) + STREAM_PAUSE_NS);
		return;
	}
	stream->fd = fd;
	if (stream_watch_connection(stream) < 0)
		stream_disconnect(stream, "cannot watch the connection");
}

static void stream_accept_again(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	stream_watch_listener(container_of(timer, struct stream, accept_again));
}

static void stream_emit(void *context, const struct frame *frame, const struct iovec *parts,
			size_t count, size_t size)
{
	struct stream *stream = context;

	(void)frame; /* no marks are left on it */
	if (!out_queue_put(&stream->queue, parts, count, size))
		drop_count(stream->attachment.context.drops, DROP_PORT_FULL);
}

static void stream_sink_push(struct frame_sink *sink, struct frame *frame)
{
	struct stream *stream = stream_of(container_of(sink, struct attachment, sink));
	struct drop_counters *drops = stream->attachment.context.drops;

	if (stream->fd < 0 || stream->deaf)
		drop_count(drops, DROP_PORT_GONE);
	else if (!door_pass(frame, &door_plain, stream_emit, stream))
		drop_count(drops, DROP_BAD_OFFLOAD);
}

static void stream_sink_flush(struct frame_sink *sink)
{
	struct stream *stream = stream_of(container_of(sink, struct attachment, sink));

	if (!stream->waits_for_out)
		stream_send_queue(stream);
}

static size_t stream_sink_room(struct frame_sink *sink, uint32_t port)
{
	struct stream *stream = stream_of(container_of(sink, struct attachment, sink));

	(void)port;
	return stream->fd < 0 || stream->deaf ? SIZE_MAX : out_queue_room(&stream->queue);
}

static const struct frame_sink_ops stream_sink_ops = {
	.push = stream_sink_push,
	.flush = stream_sink_flush,
	.room = stream_sink_room,
};

static void stream_start(struct attachment *attachment)
{
	struct stream *stream = stream_of(attachment);

	if (stream->listen_fd >= 0)
		stream_watch_listener(stream);
	else if (stream_watch_connection(stream) < 0)
		stream_disconnect(stream, "cannot watch the connection");
}

static void stream_disown(struct attachment *attachment)
{
	struct stream *stream = stream_of(attachment);

	stream->fd = -1;
	stream->listen_fd = -1;
}

static void stream_free(struct attachment *attachment)
{
	struct stream *stream = stream_of(attachment);

	loop_watch_remove(attachment->context.loop, &stream->listener);
	loop_watch_remove(attachment->context.loop, &stream->connection);
	timer_clear(loop_timers(attachment->context.loop), &stream->accept_again);
	(void)fd_close(stream->listen_fd);
	(void)fd_close(stream->fd);
	out_queue_done(&stream->queue);
	free(stream->buffer);
	free(stream);
}

static const struct attachment_ops stream_ops = {
	.start = stream_start,
	.disown = stream_disown,
	.free = stream_free,
};

int attachment_new_stream(const struct attachment_context *context, int fd,
			  struct attachment **ret_attachment, struct error *err)
{
	bool listening;
	int status = attachment_check_socket(fd, SOCK_STREAM, &listening, err);

	if (status == 0)
		status = fd_set_nonblocking(fd);
	if (status < 0)
		return status;
	struct stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		return -ENOMEM;
	stream->buffer = malloc(STREAM_BUFFER_SIZE);
	if (!stream->buffer || out_queue_init(&stream->queue) < 0) {
		free(stream->buffer);
		free(stream);
		return -ENOMEM;
	}
	stream->attachment = (struct attachment){
		.ops = &stream_ops,
		.context = *context,
		.sink.ops = &stream_sink_ops,
	};
	timer_init(&stream->accept_again, stream_accept_again);
	loop_watch_init(&stream->listener, stream_listener_ready);
	loop_watch_init(&stream->connection, stream_connection_ready);
	stream->listen_fd = listening ? fd : -1;
	stream->fd = listening ? -1 : fd;
	*ret_attachment = &stream->attachment;
	return 0;
}
