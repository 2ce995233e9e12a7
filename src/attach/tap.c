/*
 * Theory of operation
 *
 * A TAP device with the virtio-net header in front of each frame (IFF_VNET_HDR): the kernel on the
 * other side hands over and takes super-frames of up to 64 KiB with partial checksums, so that an
 * MTU of 1500 costs as few system calls as one of 65520.
 *
 * One read is one frame; a batch of them is pushed before the flush. A write passes the frame
 * through the guest's stack and returns, so nothing is queued here and the port is never full; what
 * the kernel refuses (the interface is down) is dropped and counted.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attach/attachment_internal.h"
#include "attach/door.h"
#include "base/fd.h"
#include "wire/virtio_net.h"

/* Since Linux 6.2; the headers of Debian 12 do not have them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TAP_OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)

#define TAP_BUFFER_SIZE (VIRTIO_NET_HEADER_SIZE + FRAME_MAX_SIZE)
/* A batch ends after so many frames or bytes: enough for one wake-up to be worth it, little enough
 * for others (a short question beside a bulk upload) to get their turn soon. */
#define TAP_BATCH_FRAMES 64
#define TAP_BATCH_BYTES	 ((size_t)128 << 10)

struct tap {
	struct attachment attachment;
	struct loop_watch watch;
	int fd;
	struct door_caps caps;
	uint8_t *buffer; /* TAP_BUFFER_SIZE */
};

static struct tap *tap_of(struct attachment *attachment)
{
	return container_of(attachment, struct tap, attachment);
}

static void tap_close(struct tap *tap, const char *reason)
{
	struct attachment_context *context = &tap->attachment.context;

	loop_watch_remove(context->loop, &tap->watch);
	tap->fd = fd_close(tap->fd);
	context->closed(context->context, tap->attachment.port, reason);
}

/* One frame; its size, or 0 when there is none, or no more ever. */
static size_t tap_receive_one(struct tap *tap)
{
	ssize_t got;

	do
		got = read(tap->fd, tap->buffer, TAP_BUFFER_SIZE);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return 0;
	/* EBADFD: the interface was deleted, with or without its namespace. */
	if (got <= 0) {
		tap_close(tap, "the TAP interface is gone");
		return 0;
	}
	struct reader reader = reader_of(tap->buffer, (size_t)got);
	struct frame_offload offload;
	if (!virtio_net_parse(&reader, &offload)) {
		drop_count(tap->attachment.context.drops, DROP_BAD_OFFLOAD);
		return (size_t)got;
	}
	const struct iovec part = { tap->buffer + reader.position, reader_left(&reader) };
	attachment_receive_parts(&tap->attachment, &offload, &part, 1, part.iov_len);
	return (size_t)got;
}

static void tap_ready(struct loop_watch *watch, uint32_t events)
{
	struct tap *tap = container_of(watch, struct tap, watch);
	size_t size = 0;
	size_t got;
	unsigned count = 0;

	(void)events;
	do {
		got = tap_receive_one(tap);
		size += got;
		count++;
	} while (got > 0 && count < TAP_BATCH_FRAMES && size < TAP_BATCH_BYTES);
	frame_sink_flush(tap->attachment.ingress);
}

static void tap_emit(void *context, const struct frame *frame, const struct iovec *parts,
		     size_t count, size_t size)
{
	struct tap *tap = context;
	uint8_t header[VIRTIO_NET_HEADER_SIZE];
	struct iovec all[3 + FRAME_PAYLOAD_MAX_PARTS];
	struct writer writer = writer_of(header, sizeof(header));

	(void)size;
	virtio_net_build(&writer, frame, 0);
	all[0] = (struct iovec){ header, sizeof(header) };
	memcpy(&all[1], parts, count * sizeof(*parts));
	while (writev(tap->fd, all, (int)(count + 1)) < 0) {
		if (errno == EINTR)
			continue;
		drop_count(tap->attachment.context.drops,
			   errno == EAGAIN ? DROP_PORT_FULL : DROP_PORT_GONE);
		return;
	}
}

static void tap_sink_push(struct frame_sink *sink, struct frame *frame)
{
	struct tap *tap = tap_of(container_of(sink, struct attachment, sink));
	struct drop_counters *drops = tap->attachment.context.drops;

	if (tap->fd < 0)
		drop_count(drops, DROP_PORT_GONE);
	else if (!door_pass(frame, &tap->caps, tap_emit, tap))
		drop_count(drops, DROP_BAD_OFFLOAD);
}

static void tap_sink_flush(struct frame_sink *sink)
{
	(void)sink; /* each frame was written when it was pushed */
}

static size_t tap_sink_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static const struct frame_sink_ops tap_sink_ops = {
	.push = tap_sink_push,
	.flush = tap_sink_flush,
	.room = tap_sink_room,
};

static void tap_start(struct attachment *attachment)
{
	struct tap *tap = tap_of(attachment);

	if (loop_watch_add(attachment->context.loop, &tap->watch, tap->fd, EPOLLIN) < 0)
		tap_close(tap, "cannot watch the TAP device");
}

static void tap_disown(struct attachment *attachment)
{
	tap_of(attachment)->fd = -1;
}

static void tap_free(struct attachment *attachment)
{
	struct tap *tap = tap_of(attachment);

	loop_watch_remove(attachment->context.loop, &tap->watch);
	(void)fd_close(tap->fd);
	free(tap->buffer);
	free(tap);
}

static const struct attachment_ops tap_ops = {
	.start = tap_start,
	.disown = tap_disown,
	.free = tap_free,
};

/* That it is a TAP of the right kind; says what is wrong. */
static int tap_check(int fd, struct error *err)
{
	struct ifreq request = {};

	if (ioctl(fd, TUNGETIFF, &request) < 0) {
		error_set(err, "file descriptor %d is not a TAP device: %s", fd, strerror(errno));
		return -EINVAL;
	}
	if (!(request.ifr_flags & IFF_TAP) || !(request.ifr_flags & IFF_VNET_HDR) ||
	    !(request.ifr_flags & IFF_NO_PI)) {
		error_set(err,
			  "interface %.*s must be made with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
			  IFNAMSIZ, request.ifr_name);
		return -EINVAL;
	}
	return 0;
}

/* USO where the kernel knows it (6.2), else without: the door cuts what it must. */
static int tap_set_offloads(int fd, struct door_caps *ret_caps, struct error *err)
{
	int size = VIRTIO_NET_HEADER_SIZE;
	int little_endian = 1;
	bool uso = true;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 || ioctl(fd, TUNSETVNETLE, &little_endian) < 0) {
		error_set(err, "the TAP device takes no virtio-net header: %s", strerror(errno));
		return -ENOTSUP;
	}
	if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TAP_OFFLOADS | TUN_F_USO4 | TUN_F_USO6)) < 0) {
		uso = false;
		if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)TAP_OFFLOADS) < 0) {
			error_set(err, "the TAP device takes no offloads: %s", strerror(errno));
			return -ENOTSUP;
		}
	}
	*ret_caps = (struct door_caps){ .checksum = true, .tso4 = true, .tso6 = true, .uso = uso };
	return 0;
}

int attachment_new_tap(const struct attachment_context *context, int fd,
		       struct attachment **ret_attachment, struct error *err)
{
	struct door_caps caps;
	int status = tap_check(fd, err);

	if (status == 0)
		status = tap_set_offloads(fd, &caps, err);
	if (status == 0)
		status = fd_set_nonblocking(fd);
	if (status < 0)
		return status;
	struct tap *tap = calloc(1, sizeof(*tap));
	if (!tap)
		return -ENOMEM;
	tap->buffer = malloc(TAP_BUFFER_SIZE);
	if (!tap->buffer) {
		free(tap);
		return -ENOMEM;
	}
	tap->attachment = (struct attachment){
		.ops = &tap_ops,
		.context = *context,
		.sink.ops = &tap_sink_ops,
	};
	tap->caps = caps;
	tap->fd = fd;
	loop_watch_init(&tap->watch, tap_ready);
	*ret_attachment = &tap->attachment;
	return 0;
}
