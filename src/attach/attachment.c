#include "attach/attachment.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "attach/attachment_internal.h"

void attachment_disown(struct attachment *attachment)
{
	attachment->ops->disown(attachment);
}

struct attachment *attachment_free(struct attachment *attachment)
{
	if (attachment)
		attachment->ops->free(attachment);
	return NULL;
}

struct frame_sink *attachment_sink(struct attachment *attachment)
{
	return &attachment->sink;
}

void attachment_start(struct attachment *attachment, uint32_t port, struct frame_sink *ingress)
{
	attachment->port = port;
	attachment->ingress = ingress;
	attachment->ops->start(attachment);
}

void attachment_receive(struct attachment *attachment, const uint8_t *bytes, size_t size)
{
	struct frame frame;
	enum drop_reason reason = DROP_LONG_FRAME;

	if (size > attachment_frame_limit(attachment) ||
	    !frame_from_bytes(&frame, bytes, size, attachment->port, &reason)) {
		drop_count(attachment->context.drops, reason);
		return;
	}
	frame_sink_push(attachment->ingress, &frame);
}

bool attachment_receive_parts(struct attachment *attachment, const struct frame_offload *offload,
			      const struct iovec *parts, size_t count, size_t size)
{
	size_t limit = offload->gso == FRAME_GSO_NONE ? attachment_frame_limit(attachment)
						      : FRAME_MAX_SIZE;
	struct iovec payload[FRAME_PAYLOAD_MAX_PARTS];
	enum drop_reason reason = DROP_LONG_FRAME;
	struct frame frame;

	if (size > limit ||
	    !frame_from_parts(&frame, parts, count, size, attachment->port, payload, &reason)) {
		drop_count(attachment->context.drops, reason);
		return true;
	}
	frame.offload = *offload;
	if (!frame_check_offload(&frame)) {
		drop_count(attachment->context.drops, DROP_BAD_OFFLOAD);
		return true;
	}
	/* Stages may change the frame. */
	bool is_bare = frame.packet.has_l4 && frame.packet.ip_protocol == PACKET_IP_PROTOCOL_TCP &&
		       frame.payload_size == 0;
	frame_sink_push(attachment->ingress, &frame);
	return !is_bare;
}

static int attachment_get_option(int fd, int option, int *ret_value)
{
	socklen_t size = sizeof(*ret_value);

	return getsockopt(fd, SOL_SOCKET, option, ret_value, &size) < 0 ? -errno : 0;
}

int attachment_check_socket(int fd, int type, bool *ret_listening, struct error *err)
{
	int actual_type = 0;
	int domain = 0;
	int listening = 0;
	int status = attachment_get_option(fd, SO_TYPE, &actual_type);

	if (status == 0)
		status = attachment_get_option(fd, SO_DOMAIN, &domain);
	if (status == 0)
		status = attachment_get_option(fd, SO_ACCEPTCONN, &listening);
	if (status < 0) {
		error_set(err, "file descriptor %d is not a socket: %s", fd, strerror(-status));
		return -EINVAL;
	}
	if (actual_type != type) {
		error_set(err, "file descriptor %d is not a %s socket", fd,
			  type == SOCK_STREAM ? "stream" : "datagram");
		return -EINVAL;
	}
	/* QEMU's streams may come by TCP; datagrams of another family lose and reorder frames. */
	if (type == SOCK_DGRAM && domain != AF_UNIX) {
		error_set(err, "file descriptor %d is not a unix socket", fd);
		return -EINVAL;
	}
	struct sockaddr_storage peer;
	socklen_t peer_size = sizeof(peer);
	if (!listening && getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0) {
		error_set(err, "file descriptor %d is not connected", fd);
		return -EINVAL;
	}
	*ret_listening = listening != 0;
	return 0;
}
