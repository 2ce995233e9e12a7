#include "capture/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "wire/frame.h"

/* Block types and options of the pcapng format. All fields are in the writer's byte order. */
#define CAPTURE_SECTION_HEADER	  0x0a0d0d0aU
#define CAPTURE_BYTE_ORDER	  0x1a2b3c4dU
#define CAPTURE_INTERFACE	  0x00000001U
#define CAPTURE_ENHANCED_PACKET	  0x00000006U
#define CAPTURE_LINK_ETHERNET	  1U
#define CAPTURE_OPTION_END	  0U
#define CAPTURE_OPTION_IF_NAME	  2U
#define CAPTURE_OPTION_IF_TSRESOL 9U
#define CAPTURE_OPTION_EPB_FLAGS  2U
#define CAPTURE_FROM_GUEST	  1U /* epb_flags: inbound */
#define CAPTURE_TO_GUEST	  2U /* outbound */

/* Room for several super-frames between two writes. */
#define CAPTURE_BUFFER_SIZE ((size_t)1 << 18)
/* Enhanced packet block without its data: header 28, padding 3, flags option 8, end 4, length 4. */
#define CAPTURE_PACKET_OVERHEAD 48

struct capture {
	struct frame_sink sink;
	int fd;
	bool is_pipe; /* or anything else whose reader may be slow, or leave */
	bool dead;    /* the file cannot be written any more */
	uint64_t lost;
	size_t filled;
	uint8_t buffer[CAPTURE_BUFFER_SIZE];
};

static void capture_u16(struct capture *capture, uint16_t value)
{
	memcpy(capture->buffer + capture->filled, &value, sizeof(value));
	capture->filled += sizeof(value);
}

static void capture_u32(struct capture *capture, uint32_t value)
{
	memcpy(capture->buffer + capture->filled, &value, sizeof(value));
	capture->filled += sizeof(value);
}

static void capture_pad(struct capture *capture)
{
	while (capture->filled % 4 != 0)
		capture->buffer[capture->filled++] = 0;
}

/* The length of a block stands at its start and at its end. */
static void capture_end_block(struct capture *capture, size_t start)
{
	uint32_t length = (uint32_t)(capture->filled - start + sizeof(uint32_t));

	capture_u32(capture, length);
	memcpy(capture->buffer + start + sizeof(uint32_t), &length, sizeof(length));
}

static void capture_write_header(struct capture *capture, const char *name)
{
	size_t start = capture->filled;
	size_t name_size = strnlen(name, 64);

	capture_u32(capture, CAPTURE_SECTION_HEADER);
	capture_u32(capture, 0);
	capture_u32(capture, CAPTURE_BYTE_ORDER);
	capture_u16(capture, 1); /* version 1.0 */
	capture_u16(capture, 0);
	capture_u32(capture, UINT32_MAX); /* section length unknown */
	capture_u32(capture, UINT32_MAX);
	capture_end_block(capture, start);

	start = capture->filled;
	capture_u32(capture, CAPTURE_INTERFACE);
	capture_u32(capture, 0);
	capture_u16(capture, CAPTURE_LINK_ETHERNET);
	capture_u16(capture, 0);
	capture_u32(capture, 0); /* no snapshot limit */
	capture_u16(capture, CAPTURE_OPTION_IF_NAME);
	capture_u16(capture, (uint16_t)name_size);
	memcpy(capture->buffer + capture->filled, name, name_size);
	capture->filled += name_size;
	capture_pad(capture);
	capture_u16(capture, CAPTURE_OPTION_IF_TSRESOL);
	capture_u16(capture, 1);
	capture->buffer[capture->filled++] = 9; /* nanoseconds */
	capture_pad(capture);
	capture_u32(capture, CAPTURE_OPTION_END);
	capture_end_block(capture, start);
}

/* write() without SIGPIPE, which would be the end of a process that did not ask for it: kept from
 * this thread, and taken away where this very write caused it. */
static ssize_t capture_write(const struct capture *capture, const void *bytes, size_t size)
{
	const struct timespec at_once = { .tv_sec = 0 };
	sigset_t pending;
	sigset_t broken;
	sigset_t before;

	if (!capture->is_pipe)
		return write(capture->fd, bytes, size);
	(void)sigemptyset(&broken);
	(void)sigaddset(&broken, SIGPIPE);
	(void)sigemptyset(&pending);
	(void)sigpending(&pending);
	(void)pthread_sigmask(SIG_BLOCK, &broken, &before);
	ssize_t written = write(capture->fd, bytes, size);
	int failed = errno;
	if (written < 0 && failed == EPIPE && !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&broken, NULL, &at_once) < 0 && errno == EINTR)
			;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = failed;
	return written;
}

/*
 * On a full pipe the bytes stay and later packets are left out until there is room: a block is never
 * cut in two.
 */
static void capture_write_out(struct capture *capture)
{
	size_t done = 0;

	while (done < capture->filled && !capture->dead) {
		ssize_t written =
			capture_write(capture, capture->buffer + done, capture->filled - done);
		if (written >= 0)
			done += (size_t)written;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			capture->dead = true;
	}
	capture->filled -= done;
	memmove(capture->buffer, capture->buffer + done, capture->filled);
}

static void capture_push(struct frame_sink *sink, struct frame *frame)
{
	struct capture *capture = container_of(sink, struct capture, sink);
	size_t size = frame_size(frame);
	struct timespec now;

	if (capture->filled + size + CAPTURE_PACKET_OVERHEAD > CAPTURE_BUFFER_SIZE)
		capture_write_out(capture);
	if (capture->dead ||
	    capture->filled + size + CAPTURE_PACKET_OVERHEAD > CAPTURE_BUFFER_SIZE) {
		capture->lost++;
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	uint64_t stamp = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	size_t start = capture->filled;

	capture_u32(capture, CAPTURE_ENHANCED_PACKET);
	capture_u32(capture, 0);
	capture_u32(capture, 0); /* interface */
	capture_u32(capture, (uint32_t)(stamp >> 32));
	capture_u32(capture, (uint32_t)stamp);
	capture_u32(capture, (uint32_t)size);
	capture_u32(capture, (uint32_t)size);
	capture->filled += frame_copy(frame, capture->buffer + capture->filled, size);
	capture_pad(capture);
	capture_u16(capture, CAPTURE_OPTION_EPB_FLAGS);
	capture_u16(capture, 4);
	capture_u32(capture,
		    frame->port == FRAME_PORT_NONE ? CAPTURE_TO_GUEST : CAPTURE_FROM_GUEST);
	capture_u32(capture, CAPTURE_OPTION_END);
	capture_end_block(capture, start);
}

static void capture_flush(struct frame_sink *sink)
{
	capture_write_out(container_of(sink, struct capture, sink));
}

/* The recorder never asks anybody to wait. */
static size_t capture_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static const struct frame_sink_ops capture_ops = {
	.push = capture_push,
	.flush = capture_flush,
	.room = capture_room,
};

int capture_new(int fd, const char *name, struct capture **ret_capture, struct error *err)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	struct stat status = {};

	if (!capture)
		return -ENOMEM;
	capture->sink.ops = &capture_ops;
	capture->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int failed = capture->fd < 0 || fstat(capture->fd, &status) < 0 ? errno : 0;
	if (failed == 0) {
		capture->is_pipe = !S_ISREG(status.st_mode);
		failed = capture->is_pipe ? -fd_set_nonblocking(capture->fd) : 0;
	}
	if (failed != 0) {
		error_set(err, "cannot capture to file descriptor %d: %s", fd, strerror(failed));
		(void)fd_close(capture->fd);
		free(capture);
		return -failed;
	}
	capture_write_header(capture, name);
	capture_write_out(capture);
	if (capture->dead) {
		error_set(err, "cannot write the capture to file descriptor %d", fd);
		capture_free(capture);
		return -EIO;
	}
	*ret_capture = capture;
	return 0;
}

struct capture *capture_free(struct capture *capture)
{
	if (!capture)
		return NULL;
	capture_write_out(capture);
	(void)fd_close(capture->fd);
	free(capture);
	return NULL;
}

struct frame_sink *capture_sink(struct capture *capture)
{
	return &capture->sink;
}

uint64_t capture_lost(const struct capture *capture)
{
	return capture->lost;
}
