/*
 * Theory of operation
 *
 * A connected unix datagram socket carries one Ethernet frame a datagram (vfkit, vmnet-helper). The
 * kernel queues few datagrams for the peer (net.unix.max_dgram_qlen), so what it does not take waits
 * in our queue for EPOLLOUT. A datagram that is too long or too short costs that frame only.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "attach/attachment_internal.h"
#include "attach/door.h"
#include "attach/out_queue.h"
#include "base/fd.h"

/* Frames read before others get their turn. */
#define DATAGRAM_BATCH 64
/* Frames sent by one call: enough that the call is a small part of each. */
#define DATAGRAM_SEND_BATCH 16

struct datagram {
	struct attachment attachment;
	struct loop_watch watch;
	int fd;
	bool waits_for_out;
	struct out_queue queue;
	size_t buffer_size; /* one more than the longest frame: shows that one is longer */
	uint8_t *buffer;
};

static struct datagram *datagram_of(struct attachment *attachment)
{
	return container_of(attachment, struct datagram, attachment);
}

static void datagram_close(struct datagram *datagram)
{
	struct attachment_context *context = &datagram->attachment.context;

	loop_watch_remove(context->loop, &datagram->watch);
	datagram->fd = fd_close(datagram->fd);
	out_queue_clear(&datagram->queue);
	context->closed(context->context, datagram->attachment.port, "");
}

/* A unix datagram socket hears of its peer's end only when it sends. */
static bool datagram_peer_is_gone(int error)
{
	return error == ECONNREFUSED || error == ECONNRESET || error == ENOTCONN || error == EPIPE;
}

/* Sends the first frames of the queue by one call. False when the socket takes no more, now or
 * (closed) ever. */
static bool datagram_send_some(struct datagram *datagram)
{
	struct iovec parts[DATAGRAM_SEND_BATCH][2];
	struct mmsghdr messages[DATAGRAM_SEND_BATCH] = {};
	size_t ends[DATAGRAM_SEND_BATCH]; /* of each frame in the queue */
	size_t offset = 0;
	unsigned count = 0;

	while (count < DATAGRAM_SEND_BATCH) {
		struct msghdr *message = &messages[count].msg_hdr;

		message->msg_iov = parts[count];
		message->msg_iovlen = out_queue_peek_frame(&datagram->queue, &offset, parts[count]);
		if (message->msg_iovlen == 0)
			break;
		ends[count++] = offset;
	}
	assert(count > 0); /* called while frames wait */
	int sent = sendmmsg(datagram->fd, messages, count, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0) {
		/* Why it stopped, if it did, is what the next call says. */
		out_queue_take(&datagram->queue, ends[sent - 1]);
		return true;
	}
	if (errno == EAGAIN || errno == ENOBUFS)
		return false;
	if (datagram_peer_is_gone(errno)) {
		datagram_close(datagram);
		return false;
	}
	/* Longer than the peer's buffer: the frame is lost. */
	drop_count(datagram->attachment.context.drops, DROP_SOCKET_ERROR);
	out_queue_take(&datagram->queue, ends[0]);
	return true;
}

static void datagram_send_queue(struct datagram *datagram)
{
	struct attachment_context *context = &datagram->attachment.context;
	bool blocked = false;

	while (datagram->fd >= 0 && out_queue_used(&datagram->queue) > 0 && !blocked)
		blocked = !datagram_send_some(datagram);
	/* Where the change of the watch fails, the next flush tries again. */
	if (datagram->fd >= 0 && blocked != datagram->waits_for_out &&
	    loop_watch_change(context->loop, &datagram->watch,
			      blocked ? EPOLLIN | EPOLLOUT : EPOLLIN) == 0)
		datagram->waits_for_out = blocked;
	if (out_queue_room_returned(&datagram->queue))
		context->writable(context->context, datagram->attachment.port);
}

static void datagram_receive(struct datagram *datagram)
{
	for (unsigned i = 0; i < DATAGRAM_BATCH; i++) {
		ssize_t got =
			recv(datagram->fd, datagram->buffer, datagram->buffer_size, MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (got < 0) { /* ECONNRESET: the peer closed its socket */
			datagram_close(datagram);
			return;
		}
		attachment_receive(&datagram->attachment, datagram->buffer, (size_t)got);
	}
	frame_sink_flush(datagram->attachment.ingress);
}

static void datagram_ready(struct loop_watch *watch, uint32_t events)
{
	struct datagram *datagram = container_of(watch, struct datagram, watch);

	if (events & EPOLLOUT)
		datagram_send_queue(datagram);
	if (events & EPOLLIN)
		datagram_receive(datagram);
	if (datagram->fd >= 0 && (events & (EPOLLHUP | EPOLLERR)))
		datagram_close(datagram);
}

static void datagram_emit(void *context, const struct frame *frame, const struct iovec *parts,
			  size_t count, size_t size)
{
	struct datagram *datagram = context;

	(void)frame; /* no marks are left on it */
	if (!out_queue_put(&datagram->queue, parts, count, size))
		drop_count(datagram->attachment.context.drops, DROP_PORT_FULL);
}

static void datagram_sink_push(struct frame_sink *sink, struct frame *frame)
{
	struct datagram *datagram = datagram_of(container_of(sink, struct attachment, sink));
	struct drop_counters *drops = datagram->attachment.context.drops;

	if (datagram->fd < 0)
		drop_count(drops, DROP_PORT_GONE);
	else if (!door_pass(frame, &door_plain, datagram_emit, datagram))
		drop_count(drops, DROP_BAD_OFFLOAD);
}

static void datagram_sink_flush(struct frame_sink *sink)
{
	struct datagram *datagram = datagram_of(container_of(sink, struct attachment, sink));

	if (!datagram->waits_for_out)
		datagram_send_queue(datagram);
}

static size_t datagram_sink_room(struct frame_sink *sink, uint32_t port)
{
	struct datagram *datagram = datagram_of(container_of(sink, struct attachment, sink));

	(void)port;
	return datagram->fd < 0 ? SIZE_MAX : out_queue_room(&datagram->queue);
}

static const struct frame_sink_ops datagram_sink_ops = {
	.push = datagram_sink_push,
	.flush = datagram_sink_flush,
	.room = datagram_sink_room,
};

static void datagram_start(struct attachment *attachment)
{
	struct datagram *datagram = datagram_of(attachment);

	if (loop_watch_add(attachment->context.loop, &datagram->watch, datagram->fd, EPOLLIN) < 0)
		datagram_close(datagram);
}

static void datagram_disown(struct attachment *attachment)
{
	datagram_of(attachment)->fd = -1;
}

static void datagram_free(struct attachment *attachment)
{
	struct datagram *datagram = datagram_of(attachment);

	loop_watch_remove(attachment->context.loop, &datagram->watch);
	(void)fd_close(datagram->fd);
	out_queue_done(&datagram->queue);
	free(datagram->buffer);
	free(datagram);
}

static const struct attachment_ops datagram_ops = {
	.start = datagram_start,
	.disown = datagram_disown,
	.free = datagram_free,
};

int attachment_new_datagram(const struct attachment_context *context, int fd,
			    struct attachment **ret_attachment, struct error *err)
{
	bool listening;
	int status = attachment_check_socket(fd, SOCK_DGRAM, &listening, err);

	if (status == 0)
		status = fd_set_nonblocking(fd);
	if (status < 0)
		return status;
	struct datagram *datagram = calloc(1, sizeof(*datagram));
	if (!datagram)
		return -ENOMEM;
	datagram->attachment = (struct attachment){
		.ops = &datagram_ops,
		.context = *context,
		.sink.ops = &datagram_sink_ops,
	};
	datagram->buffer_size = attachment_frame_limit(&datagram->attachment) + 1;
	datagram->buffer = malloc(datagram->buffer_size);
	if (!datagram->buffer || out_queue_init(&datagram->queue) < 0) {
		free(datagram->buffer);
		free(datagram);
		return -ENOMEM;
	}
	loop_watch_init(&datagram->watch, datagram_ready);
	datagram->fd = fd;
	*ret_attachment = &datagram->attachment;
	return 0;
}
