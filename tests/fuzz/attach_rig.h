#pragma once
/*
 * An attachment between a socket and a bridge port that checks each frame and, if told to, sends it
 * back to where it came from.
 */

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attach/attachment.h"
#include "attach/vhost_user/call_guard.h"
#include "frame_check.h"

#define ATTACH_RIG_PORT 5

struct attach_rig {
	struct clock clock;
	struct loop *loop;
	struct log log;
	struct drop_counters drops;
	struct frame_sink ingress;
	struct attachment *attachment;
	size_t most; /* bytes of a frame */
	bool sends_back;
	uint64_t frames;
	uint64_t flushed; /* frames, at the last flush */
	unsigned closed;
	unsigned writable;
};

static uint64_t attach_rig_now(const struct clock *clock)
{
	(void)clock;
	return NS_PER_S;
}

static void attach_rig_push(struct frame_sink *sink, struct frame *frame)
{
	struct attach_rig *rig = container_of(sink, struct attach_rig, ingress);

	FUZZ_CHECK(rig->closed == 0);
	FUZZ_CHECK(frame->port == ATTACH_RIG_PORT);
	frame_check(frame, rig->most);
	rig->frames++;
	if (rig->sends_back)
		frame_sink_push(attachment_sink(rig->attachment), frame);
}

static void attach_rig_flush(struct frame_sink *sink)
{
	struct attach_rig *rig = container_of(sink, struct attach_rig, ingress);

	rig->flushed = rig->frames;
	if (rig->sends_back)
		frame_sink_flush(attachment_sink(rig->attachment));
}

static size_t attach_rig_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static void attach_rig_closed(void *context, uint32_t port, const char *reason)
{
	struct attach_rig *rig = context;

	FUZZ_CHECK(port == ATTACH_RIG_PORT && reason);
	FUZZ_CHECK(rig->closed++ == 0);
}

static void attach_rig_writable(void *context, uint32_t port)
{
	FUZZ_CHECK(port == ATTACH_RIG_PORT);
	((struct attach_rig *)context)->writable++;
}

typedef int attach_rig_new(const struct attachment_context *context, int fd,
			   struct attachment **ret_attachment, struct error *err);

static inline void attach_rig_start(struct attach_rig *rig, attach_rig_new *make, int fd,
				    uint32_t mtu)
{
	static const struct frame_sink_ops ops = {
		.push = attach_rig_push,
		.flush = attach_rig_flush,
		.room = attach_rig_room,
	};
	struct attachment_context context = {
		.drops = &rig->drops,
		.log = &rig->log,
		.mtu = mtu,
		.closed = attach_rig_closed,
		.writable = attach_rig_writable,
		.context = rig,
	};
	static struct call_guard *guard; /* of all runs */
	struct error err;

	rig->clock.now_ns = attach_rig_now;
	rig->ingress.ops = &ops;
	rig->most = (size_t)mtu + FRAME_ETHERNET_SIZE + 4;
	FUZZ_CHECK(loop_new(&rig->clock, &rig->loop) == 0);
	context.loop = rig->loop;
	if (!guard)
		FUZZ_CHECK(call_guard_new(&guard) == 0);
	context.call_guard = guard;
	FUZZ_CHECK(make(&context, fd, &rig->attachment, &err) == 0);
	attachment_start(rig->attachment, ATTACH_RIG_PORT, &rig->ingress);
}

static inline void attach_rig_end(struct attach_rig *rig)
{
	rig->attachment = attachment_free(rig->attachment);
	rig->loop = loop_free(rig->loop);
}

static inline uint64_t attach_rig_dropped(const struct attach_rig *rig, enum drop_reason except)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < DROP_REASON_COUNT; i++)
		sum += i == (size_t)except ? 0 : rig->drops.count[i];
	return sum;
}
