#pragma once
/* An attachment between a socket pair that the test holds the other end of, and a sink that keeps
 * what comes in. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/attachment.h"
#include "attach/vhost_user/call_guard.h"
#include "base/fd.h"
#include "wire/frame.h"
#include "wire/packet_build.h"

#define MAYBE_UNUSED __attribute__((unused))

#define TEST_MTU   1500
#define TEST_LIMIT (TEST_MTU + 18) /* the longest frame that may pass */
#define TEST_PORT  5
#define TEST_KEPT  4096

struct scene {
	struct clock clock;
	uint64_t now_ns;
	struct loop *loop;
	struct call_guard *call_guard;
	struct drop_counters drops;
	struct log log;
	unsigned log_lines;
	struct frame_sink ingress;
	struct attachment *attachment;
	int peer_fd; /* the test's end */
	unsigned received;
	unsigned flushed;
	size_t sizes[TEST_KEPT];
	uint8_t first[TEST_KEPT]; /* the byte behind the Ethernet header */
	uint32_t last_port;
	unsigned closed;
	const char *reason;
	unsigned writable;
	bool keeps_any; /* frames need not count up */
};

static struct scene *scene;

static inline void ingress_push(struct frame_sink *sink, struct frame *frame)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	size_t size = frame_copy(frame, bytes, sizeof(bytes));

	(void)sink;
	assert_true(size >= FRAME_ETHERNET_SIZE && scene->received < TEST_KEPT);
	scene->sizes[scene->received] = size;
	scene->first[scene->received] = size > 14 ? bytes[14] : 0;
	/* Every byte is where it belongs: the test's frames count up. */
	for (size_t i = 15; i < size && !scene->keeps_any; i++)
		assert_int_equal(bytes[i], (uint8_t)(bytes[14] + (i - 14)));
	scene->last_port = frame->port;
	scene->received++;
}

static inline void ingress_flush(struct frame_sink *sink)
{
	(void)sink;
	scene->flushed++;
}

static inline size_t ingress_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static inline void on_closed(void *context, uint32_t port, const char *reason)
{
	assert_ptr_equal(context, scene);
	assert_int_equal(port, TEST_PORT);
	scene->closed++;
	scene->reason = reason;
}

static inline void on_writable(void *context, uint32_t port)
{
	assert_ptr_equal(context, scene);
	assert_int_equal(port, TEST_PORT);
	scene->writable++;
}

static inline void on_log(void *context, enum log_level level, const char *line)
{
	(void)level;
	(void)line;
	((struct scene *)context)->log_lines++;
}

static inline uint64_t scene_now(const struct clock *clock)
{
	(void)clock;
	return scene->now_ns;
}

static inline struct attachment_context scene_context(void)
{
	return (struct attachment_context){
		.loop = scene->loop,
		.drops = &scene->drops,
		.log = &scene->log,
		.mtu = TEST_MTU,
		.call_guard = scene->call_guard,
		.closed = on_closed,
		.writable = on_writable,
		.context = scene,
	};
}

static inline struct attachment_context scene_new(void)
{
	static const struct frame_sink_ops ops = {
		.push = ingress_push,
		.flush = ingress_flush,
		.room = ingress_room,
	};

	scene = calloc(1, sizeof(*scene));
	scene->clock.now_ns = scene_now;
	scene->now_ns = 1000 * NS_PER_S;
	scene->peer_fd = -1;
	scene->ingress.ops = &ops;
	scene->log = (struct log){
		.write = on_log,
		.context = scene,
		.most = LOG_LEVEL_DEBUG,
	};
	assert_int_equal(loop_new(&scene->clock, &scene->loop), 0);
	assert_int_equal(call_guard_new(&scene->call_guard), 0);
	return scene_context();
}

static inline int scene_teardown(void **state)
{
	(void)state;
	attachment_free(scene->attachment);
	(void)fd_close(scene->peer_fd);
	loop_free(scene->loop);
	call_guard_free(scene->call_guard);
	free(scene);
	scene = NULL;
	return 0;
}

/* Batches, until nothing is ready any more. */
static inline MAYBE_UNUSED void run(void)
{
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_run_once(scene->loop, 0), 0);
}

/* A frame of `size` bytes whose payload counts up from `first`. */
static inline MAYBE_UNUSED void fill_frame(uint8_t *bytes, size_t size, uint8_t first)
{
	static const uint8_t header[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x90, 0 };

	memcpy(bytes, header, size < sizeof(header) ? size : sizeof(header));
	for (size_t i = 14; i < size; i++)
		bytes[i] = (uint8_t)(first + (i - 14));
}

/* Pushes such a frame towards the guest. */
static inline MAYBE_UNUSED void push_frame(size_t size, uint8_t first)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	enum drop_reason reason;
	struct frame frame;

	fill_frame(bytes, size, first);
	assert_true(frame_from_bytes(&frame, bytes, size, FRAME_PORT_NONE, &reason));
	frame_sink_push(attachment_sink(scene->attachment), &frame);
}

static inline MAYBE_UNUSED void flush(void)
{
	frame_sink_flush(attachment_sink(scene->attachment));
}

static inline MAYBE_UNUSED size_t room(void)
{
	return frame_sink_room(attachment_sink(scene->attachment), TEST_PORT);
}
