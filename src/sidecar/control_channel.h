#pragma once
/*
 * Lines over a stream socket, each answered by one line: the frame of the control channel. What comes is bounded
 * (a request of more than 1 MiB is thrown away up to its end, and answered by that), and so is what goes: while
 * answers wait for the other side, no more requests are read. Who ends its own half of the socket still gets the
 * answers to what it has asked; then the channel ends.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "loop/loop.h"

#define CONTROL_REQUEST_MOST ((size_t)1 << 20)
/* While more than that waits to be taken, nothing is read. One answer more may come on top of it. */
#define CONTROL_PENDING_MOST ((size_t)1 << 20)

struct control_channel;

struct control_channel_ops {
	/* The answer to a line, which the channel frees; NULL: no memory, the channel ends. */
	char *(*answer)(void *context, const char *line, size_t size);
	char *(*too_long)(void *context);
	/* The other side has gone, or has ended and got its answers, or the channel is broken. Not called by control_channel_free(). */
	void (*closed)(void *context);
	void *context;
};

/* Whether it is a connected unix stream socket. */
bool control_channel_takes(int fd);

/* fd is one that control_channel_takes(), and the channel's from a success on. Negative errno. */
int control_channel_new(struct loop *loop, int fd, const struct control_channel_ops *ops,
			struct control_channel **ret_channel) MUST_USE;
struct control_channel *control_channel_free(struct control_channel *channel);
