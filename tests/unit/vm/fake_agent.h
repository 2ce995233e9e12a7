#pragma once
/* An agent in a guest, played by a thread at agent.sock of a directory. */

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "scratch.h"

#define SYNC "\"guest-sync-delimited\",\"arguments\":{\"id\":"

struct fake_agent {
	/* The answer to a question, with its line end; "" = silence, NULL = closes the connection.
	 * `number` counts the questions from 0, without those for synchronisation. */
	const char *(*answer)(unsigned number, const char *question);
	int listen_fd;
	pthread_t thread;
	unsigned connections;
	unsigned questions;
};

static inline void fake_agent_say(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		bytes += n;
		size -= (size_t)n;
	}
}

/* False when the client has said something else, or gone away. */
static inline bool fake_agent_read_sync(FILE *stream, long long *ret_id)
{
	char *line = NULL;
	size_t size = 0;
	bool good = getline(&line, &size, stream) > 0 && (unsigned char)line[0] == 0xff &&
		    sscanf(line + 1, "{\"execute\":" SYNC "%lld}}", ret_id) == 1;

	free(line);
	return good;
}

static inline void fake_agent_serve(struct fake_agent *agent, int fd)
{
	FILE *stream = fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;
	char synchronised[64];
	long long id;

	if (fake_agent_read_sync(stream, &id)) {
		int length = snprintf(synchronised, sizeof(synchronised),
				      "\xff{\"return\": %lld}\n", id);
		fake_agent_say(fd, synchronised, (size_t)length);
	}
	while (getline(&line, &size, stream) > 0) {
		const char *answer = agent->answer(agent->questions++, line);
		if (!answer)
			break;
		fake_agent_say(fd, answer, strlen(answer));
	}
	free(line);
	fclose(stream);
}

static inline void *fake_agent_run(void *context)
{
	struct fake_agent *agent = context;
	int fd;

	while ((fd = accept4(agent->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		agent->connections++;
		fake_agent_serve(agent, fd);
	}
	return NULL;
}

static inline void fake_agent_start(struct fake_agent *agent, const struct scratch *scratch)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/agent.sock", scratch->path);
	agent->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(agent->listen_fd >= 0);
	assert_int_equal(bind(agent->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(agent->listen_fd, 1), 0);
	assert_int_equal(pthread_create(&agent->thread, NULL, fake_agent_run, agent), 0);
}

/* Its counters are to be looked at behind this. */
static inline void fake_agent_end(struct fake_agent *agent)
{
	assert_int_equal(shutdown(agent->listen_fd, SHUT_RDWR), 0);
	assert_int_equal(pthread_join(agent->thread, NULL), 0);
	close(agent->listen_fd);
}
