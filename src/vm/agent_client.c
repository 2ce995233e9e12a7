#include "vm/agent_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/random.h"
#include "vm/agent_answer.h"
#include "vm/agent_turn.h"
#include "vm/vm_directory.h"

#define SYNC_LINE_MOST ((size_t)64 * 1024)
/* More than the largest answer (agent_exec.c) that an earlier client may have left. */
#define STALE_MOST ((size_t)128 << 20)
/* Bytes come or go, or the guest is as good as gone. A long answer may take minutes. */
#define IDLE_NS (30 * NS_PER_S)
/* Of a number that is JSON for everybody. */
#define SYNC_ID_BITS 48

static int explain(int r, struct error *err)
{
	switch (r) {
	case 0:
	case -EREMOTEIO: /* has its own */
		break;
	case -ETIMEDOUT:
		error_set(err, "the agent does not answer");
		break;
	case -ECONNRESET:
		error_set(err, "the connection was closed");
		break;
	case -EPROTO:
		error_set(err, "the agent answers what is not the guest agent protocol");
		break;
	case -ENOBUFS:
		error_set(err, "the agent's answer is too long");
		break;
	case -E2BIG:
		error_set(err, "the agent's answer has too many values");
		break;
	default:
		error_set(err, "%s", strerror(-r));
	}
	return r;
}

static int await(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	uint64_t idle_ns = clock_now(&clock_boottime) + IDLE_NS;

	if (deadline_ns > idle_ns)
		deadline_ns = idle_ns;
	for (;;) {
		uint64_t now_ns = clock_now(&clock_boottime);
		if (now_ns >= deadline_ns)
			return -ETIMEDOUT;
		struct timespec left = { .tv_sec = (time_t)((deadline_ns - now_ns) / NS_PER_S),
					 .tv_nsec = (long)((deadline_ns - now_ns) % NS_PER_S) };
		int n = ppoll(&poll_fd, 1, &left, NULL);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_whole(int fd, const char *bytes, size_t size, uint64_t deadline_ns)
{
	while (size > 0) {
		int r = await(fd, POLLOUT, deadline_ns);
		if (r < 0)
			return r;
		ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : -errno;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* One piece more: its size, or negative errno. */
static ssize_t receive(struct agent_client *client, size_t most, uint64_t deadline_ns)
{
	char *room;
	size_t size;

	int r = agent_lines_reserve(&client->lines, most, &room, &size);
	while (r == 0) {
		r = await(client->fd, POLLIN, deadline_ns);
		if (r < 0)
			break;
		ssize_t n = recv(client->fd, room, size, MSG_DONTWAIT);
		if (n > 0) {
			agent_lines_added(&client->lines, (size_t)n);
			return n;
		}
		if (n == 0)
			return -ECONNRESET;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return r;
}

/* The line's number; -1 = it has none. */
static int64_t sync_id_of(const char *line, size_t size)
{
	json_t *value = NULL;
	int64_t id = -1;

	if (agent_answer_parse(line, size, &value, NULL) == 0 && json_is_integer(value))
		id = json_integer_value(value);
	json_decref(value);
	return id;
}

static int await_sync(struct agent_client *client, int64_t id, uint64_t deadline_ns)
{
	bool delimited = false;
	size_t stale = 0;
	const char *line;
	size_t size;

	for (;;) {
		ssize_t n = receive(client, SYNC_LINE_MOST, deadline_ns);
		/* No answer to us is as long as that. */
		if (n == -ENOBUFS) {
			agent_lines_drop(&client->lines);
			delimited = false;
			continue;
		}
		if (n < 0)
			return (int)n;
		stale += (size_t)n;
		if (stale > STALE_MOST)
			return -EPROTO;
		/* The last one counts: an answer to an earlier client may stand before ours. */
		if (agent_lines_skip_to_delimiter(&client->lines))
			delimited = true;
		else if (!delimited)
			agent_lines_drop(&client->lines);
		if (delimited && agent_lines_next(&client->lines, &line, &size)) {
			if (sync_id_of(line, size) == id)
				return 0;
			delimited = false;
		}
	}
}

static int synchronise(struct agent_client *client, struct random *random, uint64_t deadline_ns)
{
	char text[128];
	int64_t id = (int64_t)(random_u64(random) >> (64 - SYNC_ID_BITS));
	/* The delimiter also ends, for the agent, what an earlier client left half said. */
	int size =
		snprintf(text, sizeof(text),
			 "%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%lld}}\n",
			 AGENT_DELIMITER, (long long)id);

	int r = send_whole(client->fd, text, (size_t)size, deadline_ns);
	return r < 0 ? r : await_sync(client, id, deadline_ns);
}

int agent_client_start(int fd, struct random *random, uint64_t deadline_ns,
		       struct agent_client *ret_client, struct error *err)
{
	struct agent_client client = { .fd = fd, .turn_fd = -1 };

	int r = synchronise(&client, random, deadline_ns);
	if (r < 0) {
		agent_client_close(&client);
		return explain(r, err);
	}
	*ret_client = client;
	return 0;
}

void agent_client_close(struct agent_client *client)
{
	/* The turn goes last: the next client finds nobody before it. */
	client->fd = fd_close(client->fd);
	client->turn_fd = fd_close(client->turn_fd);
	agent_lines_done(&client->lines);
}

/* QEMU lets two wait unaccepted, more are kept waiting by the kernel: not for ever. */
static int set_connect_limit(int fd, uint64_t deadline_ns)
{
	uint64_t now_ns = clock_now(&clock_boottime);

	if (now_ns >= deadline_ns)
		return -ETIMEDOUT;
	uint64_t left_us = (deadline_ns - now_ns) / NS_PER_US + 1;
	const struct timeval limit = { .tv_sec = (time_t)(left_us / 1000000),
				       .tv_usec = (suseconds_t)(left_us % 1000000) };
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ? -errno : 0;
}

static int connect_to_agent(int directory_fd, uint64_t deadline_ns)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory_fd,
		 VM_AGENT_SOCKET_NAME);
	if (fd < 0)
		return -errno;
	int r = set_connect_limit(fd, deadline_ns);
	if (r < 0)
		return r;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return fd_take(&fd);
}

int agent_client_open(int directory_fd, uint64_t turn_deadline_ns, uint64_t answer_ns,
		      struct agent_client *ret_client, struct error *err)
{
	autoclose int turn_fd = agent_turn_take(directory_fd, turn_deadline_ns);

	if (turn_fd == -ETIMEDOUT) {
		error_set(err, "others use the guest agent of the VM and do not end");
		return -EBUSY;
	}
	if (turn_fd < 0) {
		error_set(err, "cannot lock agent.lock: %s", strerror(-turn_fd));
		return turn_fd;
	}
	uint64_t deadline_ns = clock_now(&clock_boottime) + answer_ns;
	int fd = connect_to_agent(directory_fd, deadline_ns);
	if (fd < 0)
		return explain(fd, err);
	int r = agent_client_start(fd, &random_system, deadline_ns, ret_client, err);
	if (r == 0)
		ret_client->turn_fd = fd_take(&turn_fd);
	return r;
}

static int send_question(struct agent_client *client, const char *command, json_t *arguments,
			 uint64_t deadline_ns)
{
	/* "O" keeps the caller's reference. */
	json_t *root = arguments ? json_pack("{ss sO}", "execute", command, "arguments", arguments)
				 : json_pack("{ss}", "execute", command);
	autofree char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	if (!text)
		return -ENOMEM;
	int r = send_whole(client->fd, text, strlen(text), deadline_ns);
	return r < 0 ? r : send_whole(client->fd, "\n", 1, deadline_ns);
}

static int await_answer(struct agent_client *client, size_t most, uint64_t deadline_ns,
			json_t **ret_value, struct error *err)
{
	const char *line;
	size_t size;

	while (!agent_lines_next(&client->lines, &line, &size)) {
		ssize_t n = receive(client, most, deadline_ns);
		if (n < 0)
			return (int)n;
	}
	return agent_answer_parse(line, size, ret_value, err);
}

int agent_client_ask(struct agent_client *client, const char *command, json_t *arguments,
		     size_t most, uint64_t deadline_ns, json_t **ret_value, struct error *err)
{
	int r = send_question(client, command, arguments, deadline_ns);

	if (r == 0)
		r = await_answer(client, most, deadline_ns, ret_value, err);
	return explain(r, err);
}

bool agent_client_is_wanted(const struct agent_client *client)
{
	return client->turn_fd >= 0 && agent_turn_is_wanted(client->turn_fd);
}
