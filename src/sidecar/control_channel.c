#include "sidecar/control_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

#define READ_SIZE ((size_t)64 << 10)

struct control_channel {
	struct loop *loop;
	struct control_channel_ops ops;
	struct loop_watch watch;
	int fd;
	bool is_skipping; /* the rest of a request that was too long */
	bool has_ended;	  /* the other side says no more, and may still listen */
	char *input;	  /* the beginning of a line */
	size_t input_size;
	size_t input_capacity;
	char *output;
	size_t output_size;
	size_t output_sent;
};

static bool make_room(struct control_channel *channel)
{
	size_t capacity = channel->input_size + READ_SIZE;

	if (capacity <= channel->input_capacity)
		return true;
	char *input = realloc(channel->input, capacity);
	if (!input)
		return false;
	channel->input = input;
	channel->input_capacity = capacity;
	return true;
}

/* Consumes the answer. */
static bool enqueue(struct control_channel *channel, char *answer)
{
	size_t size = answer ? strlen(answer) : 0;

	if (!answer)
		return false;
	if (channel->output_sent > 0) {
		channel->output_size -= channel->output_sent;
		memmove(channel->output, channel->output + channel->output_sent,
			channel->output_size);
		channel->output_sent = 0;
	}
	char *output = realloc(channel->output, channel->output_size + size + 1);
	if (output) {
		answer[size] = '\n'; /* the line ends where the text did */
		memcpy(output + channel->output_size, answer, size + 1);
		channel->output = output;
		channel->output_size += size + 1;
	}
	free(answer);
	return output != NULL;
}

static size_t pending(const struct control_channel *channel)
{
	return channel->output_size - channel->output_sent;
}

static bool answer_line(struct control_channel *channel, size_t size)
{
	void *context = channel->ops.context;

	if (channel->is_skipping) {
		channel->is_skipping = false;
		return true;
	}
	if (size > CONTROL_REQUEST_MOST)
		return enqueue(channel, channel->ops.too_long(context));
	return enqueue(channel, channel->ops.answer(context, channel->input, size));
}

/* The lines that are whole, as long as their answers can wait. */
static bool take_lines(struct control_channel *channel)
{
	char *end;

	while (pending(channel) <= CONTROL_PENDING_MOST && channel->input_size > 0 &&
	       (end = memchr(channel->input, '\n', channel->input_size))) {
		size_t size = (size_t)(end - channel->input);

		if (!answer_line(channel, size))
			return false;
		channel->input_size -= size + 1;
		memmove(channel->input, end + 1, channel->input_size);
	}
	if (pending(channel) > CONTROL_PENDING_MOST || channel->input_size <= CONTROL_REQUEST_MOST)
		return true;
	if (memchr(channel->input, '\n', channel->input_size))
		return true; /* its turn comes */
	bool first = !channel->is_skipping;
	channel->is_skipping = true;
	channel->input_size = 0;
	return !first || enqueue(channel, channel->ops.too_long(channel->ops.context));
}

/* False: over. */
static bool send_pending(struct control_channel *channel)
{
	while (pending(channel) > 0) {
		ssize_t sent = send(channel->fd, channel->output + channel->output_sent,
				    pending(channel), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN;
		channel->output_sent += (size_t)sent;
	}
	return true;
}

/* False: over. */
static bool receive(struct control_channel *channel)
{
	ssize_t got;

	if (!make_room(channel))
		return false;
	do {
		got = recv(channel->fd, channel->input + channel->input_size,
			   channel->input_capacity - channel->input_size, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN;
	channel->input_size += (size_t)got;
	channel->has_ended = got == 0;
	return true;
}

static bool is_listening(const struct control_channel *channel)
{
	return !channel->has_ended && pending(channel) <= CONTROL_PENDING_MOST;
}

/* False: over. */
static bool serve(struct control_channel *channel)
{
	/* One piece at a time: whoever asks without end does not keep the loop. */
	bool good = !is_listening(channel) || receive(channel);
	/* What was asked before the end is answered, as far as it is taken. */
	good = take_lines(channel) && send_pending(channel) && take_lines(channel) && good;
	/* Where nothing waits, there is no whole line left. */
	return good && (!channel->has_ended || pending(channel) > 0);
}

static void ready(struct loop_watch *watch, uint32_t events)
{
	struct control_channel *channel = container_of(watch, struct control_channel, watch);

	(void)events;
	bool goes_on = serve(channel);
	uint32_t wanted = is_listening(channel) ? EPOLLIN : 0;
	if (pending(channel) > 0)
		wanted |= EPOLLOUT;
	if (!goes_on || loop_watch_change(channel->loop, watch, wanted) < 0) {
		loop_watch_remove(channel->loop, watch);
		channel->ops.closed(channel->ops.context);
	}
}

static bool has_option(int fd, int option, int wanted)
{
	int value;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

bool control_channel_takes(int fd)
{
	struct sockaddr_un peer;
	socklen_t size = sizeof(peer);

	return has_option(fd, SO_DOMAIN, AF_UNIX) && has_option(fd, SO_TYPE, SOCK_STREAM) &&
	       getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

int control_channel_new(struct loop *loop, int fd, const struct control_channel_ops *ops,
			struct control_channel **ret_channel)
{
	struct control_channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return -ENOMEM;
	channel->loop = loop;
	channel->ops = *ops;
	loop_watch_init(&channel->watch, ready);
	int status = loop_watch_add(loop, &channel->watch, fd, EPOLLIN);
	if (status < 0) {
		free(channel);
		return status;
	}
	channel->fd = fd;
	*ret_channel = channel;
	return 0;
}

struct control_channel *control_channel_free(struct control_channel *channel)
{
	if (!channel)
		return NULL;
	loop_watch_remove(channel->loop, &channel->watch);
	fd_close(channel->fd);
	free(channel->input);
	free(channel->output);
	free(channel);
	return NULL;
}
