/*
 * Connections per second: connect, one byte there, one byte back, close; then the next. The client
 * closes first, so that what waits (TIME_WAIT) waits on its side.
 *
 * One at a time measures the latency of opening; with --parallel so many are under way at once,
 * which measures what the path can do.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "probe.h"

#define PARALLEL_MAX 1024
#define EVENTS_MAX   256
#define TIMES_MAX    (1U << 20)
#define PATIENCE_NS  (2 * PROBE_NS_PER_S)

struct connect_options {
	const char *address; /* NULL: server */
	uint16_t port;
	unsigned parallel;
	double seconds;
	double limit;
};

enum {
	KEY_SERVER = 256,
	KEY_PORT,
	KEY_PARALLEL,
	KEY_SECONDS,
	KEY_LIMIT,
};

struct attempt {
	int fd; /* -1: none under way */
	bool asked;
	uint64_t start;
};

struct client {
	int epoll_fd;
	struct probe_address address;
	struct attempt attempts[PARALLEL_MAX];
	uint64_t failed;
	int failure; /* the last errno */
	struct probe_times times;
};

static void watch(int epoll_fd, int fd, uint32_t events, uint64_t data, int operation)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	if (epoll_ctl(epoll_fd, operation, fd, &event) < 0)
		probe_fail("cannot watch a socket: %s", strerror(errno));
}

static void serve_connection(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return;
	/* The answer; after the client has closed, our half. */
	if (got <= 0 || send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		close(fd);
}

static _Noreturn void serve(const struct connect_options *options)
{
	int listener = probe_open_server(SOCK_STREAM, options->port);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS_MAX];

	probe_set_nonblocking(listener);
	watch(epoll_fd, listener, EPOLLIN, (uint64_t)listener, EPOLL_CTL_ADD);
	probe_say_ready(options->port);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			int fd = (int)events[i].data.u64;

			if (fd != listener) {
				serve_connection(fd);
				continue;
			}
			while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
				watch(epoll_fd, fd, EPOLLIN, (uint64_t)fd, EPOLL_CTL_ADD);
		}
	}
}

static void attempt_end(struct client *client, struct attempt *attempt, int failure)
{
	if (failure) {
		client->failed++;
		client->failure = failure;
	} else {
		probe_times_add(&client->times, probe_now_ns() - attempt->start);
	}
	close(attempt->fd);
	attempt->fd = -1;
}

static void attempt_begin(struct client *client, unsigned slot)
{
	struct attempt *attempt = &client->attempts[slot];
	int fd = socket(client->address.socket.ss_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		probe_fail("no socket: %s", strerror(errno));
	*attempt = (struct attempt){ .fd = fd, .start = probe_now_ns() };
	if (connect(fd, (const struct sockaddr *)&client->address.socket, client->address.size) <
		    0 &&
	    errno != EINPROGRESS) {
		/* No port is left, for one: the next attempt would only fail the same way. */
		attempt_end(client, attempt, errno);
		return;
	}
	watch(client->epoll_fd, fd, EPOLLOUT, slot, EPOLL_CTL_ADD);
}

static void attempt_go_on(struct client *client, unsigned slot)
{
	struct attempt *attempt = &client->attempts[slot];
	char byte = 'x';

	if (!attempt->asked) {
		int failure = 0;
		socklen_t size = sizeof(failure);

		(void)getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
		if (failure == 0 && send(attempt->fd, &byte, 1, MSG_NOSIGNAL) != 1)
			failure = errno;
		if (failure) {
			attempt_end(client, attempt, failure);
			return;
		}
		attempt->asked = true;
		watch(client->epoll_fd, attempt->fd, EPOLLIN, slot, EPOLL_CTL_MOD);
		return;
	}
	switch (recv(attempt->fd, &byte, 1, 0)) {
	case 1:
		attempt_end(client, attempt, 0);
		return;
	case 0:
		attempt_end(client, attempt, ECONNRESET);
		return;
	default:
		if (errno != EAGAIN)
			attempt_end(client, attempt, errno);
	}
}

static void end_stuck(struct client *client, unsigned parallel, uint64_t now)
{
	for (unsigned slot = 0; slot < parallel; slot++) {
		struct attempt *attempt = &client->attempts[slot];

		if (attempt->fd >= 0 && now - attempt->start > PATIENCE_NS)
			attempt_end(client, attempt, ETIMEDOUT);
	}
}

/* False: no connection could even be begun. */
static bool begin_missing(struct client *client, unsigned parallel)
{
	unsigned under_way = 0;

	for (unsigned slot = 0; slot < parallel; slot++) {
		if (client->attempts[slot].fd < 0)
			attempt_begin(client, slot);
		under_way += client->attempts[slot].fd >= 0;
	}
	return under_way > 0;
}

static void run_client(const struct connect_options *options)
{
	static struct client client;
	struct epoll_event events[EVENTS_MAX];
	uint64_t start = probe_now_ns();
	uint64_t end = start + (uint64_t)(options->seconds * 1e9);
	double lasted;

	client.address = probe_address(options->address, options->port);
	client.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	probe_times_init(&client.times, TIMES_MAX);
	for (unsigned slot = 0; slot < PARALLEL_MAX; slot++)
		client.attempts[slot].fd = -1;
	while (probe_now_ns() < end) {
		int count;

		if (!begin_missing(&client, options->parallel))
			break;
		count = epoll_wait(client.epoll_fd, events, EVENTS_MAX, 100);
		for (int i = 0; i < count; i++)
			attempt_go_on(&client, (unsigned)events[i].data.u64);
		if (count <= 0)
			end_stuck(&client, options->parallel, probe_now_ns());
	}
	lasted = (double)(probe_now_ns() - start) / 1e9;
	probe_times_sort(&client.times);
	printf("{\"connections\": %zu, \"failed\": %llu, \"failure\": \"%s\", \"per_second\": %.1f, "
	       "\"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f}\n",
	       client.times.count, (unsigned long long)client.failed,
	       client.failure ? strerror(client.failure) : "", (double)client.times.count / lasted,
	       probe_times_percentile(&client.times, 50), probe_times_percentile(&client.times, 99),
	       probe_times_percentile(&client.times, 100));
	probe_times_done(&client.times);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct connect_options *options = state->input;

	switch (key) {
	case KEY_SERVER:
		options->address = NULL;
		return 0;
	case KEY_PORT:
		options->port = (uint16_t)probe_parse_number(state, "--port", argument, 1, 65535);
		return 0;
	case KEY_PARALLEL:
		options->parallel = (unsigned)probe_parse_number(state, "--parallel", argument, 1,
								 PARALLEL_MAX);
		return 0;
	case KEY_SECONDS:
		options->seconds = probe_parse_number(state, "--seconds", argument, 0.01, 3600);
		return 0;
	case KEY_LIMIT:
		options->limit = probe_parse_number(state, "--limit", argument, 0.01, 86400);
		return 0;
	case ARGP_KEY_ARG:
		if (options->address)
			argp_error(state, "unexpected argument \"%s\"", argument);
		options->address = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{ "server", KEY_SERVER, NULL, 0, "Answer", 0 },
		{ "port", KEY_PORT, "N", 0, "Port of the server (default 7200)", 0 },
		{ "parallel", KEY_PARALLEL, "N", 0, "Connections under way (default 1)", 0 },
		{ "seconds", KEY_SECONDS, "S", 0, "How long to measure (default 1)", 0 },
		{ "limit", KEY_LIMIT, "S", 0, "The server ends after this (default 600)", 0 },
		{},
	};
	static const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "--server\nADDRESS",
		.doc = "Counts short connections: connect, one byte each way, close.\v"
		       "Examples:\n"
		       "  bench-connect --server --port 7200\n"
		       "  bench-connect 198.51.100.2 --port 7200 --seconds 2 --parallel 16\n",
	};
	struct connect_options options = {
		.port = 7200,
		.parallel = 1,
		.seconds = 1,
		.limit = 600,
	};

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
		return 64;
	probe_raise_files();
	if (!options.address) {
		probe_limit(options.limit);
		serve(&options);
	}
	probe_limit(options.seconds + 5);
	run_client(&options);
	return 0;
}
