/*
 * Many connections that carry nothing. The client opens them, says how many are open, and holds
 * them until its standard input ends or its time is over; the server accepts and holds.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "probe.h"

#define COUNT_MAX     200000
#define UNDER_WAY_MAX 64
#define EVENTS_MAX    256

struct idle_options {
	const char *address; /* NULL: server */
	uint16_t port;
	unsigned count;
	double open_seconds;
	double limit;
};

enum {
	KEY_SERVER = 256,
	KEY_PORT,
	KEY_COUNT,
	KEY_OPEN_SECONDS,
	KEY_LIMIT,
};

static void watch(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		probe_fail("cannot watch a socket: %s", strerror(errno));
}

static _Noreturn void serve(const struct idle_options *options)
{
	int listener = probe_open_server(SOCK_STREAM, options->port);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS_MAX];

	probe_set_nonblocking(listener);
	watch(epoll_fd, listener, EPOLLIN);
	probe_say_ready(options->port);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			/* Nobody sends here: what is readable has ended. */
			if (fd != listener) {
				close(fd);
				continue;
			}
			while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
				watch(epoll_fd, fd, EPOLLIN);
		}
	}
}

static int begin(const struct probe_address *address)
{
	int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		probe_fail("no socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&address->socket, address->size) < 0 &&
	    errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_connected(int fd)
{
	int failure = 0;
	socklen_t size = sizeof(failure);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0;
}

/* Opens them with a bounded number under way; those that fail are not tried again. */
static unsigned open_all(const struct idle_options *options)
{
	struct probe_address address = probe_address(options->address, options->port);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS_MAX];
	uint64_t end = probe_now_ns() + (uint64_t)(options->open_seconds * 1e9);
	unsigned begun = 0, under_way = 0, open = 0;

	while ((begun < options->count || under_way > 0) && probe_now_ns() < end) {
		int count;

		for (; begun < options->count && under_way < UNDER_WAY_MAX; begun++) {
			int fd = begin(&address);

			if (fd < 0)
				continue;
			watch(epoll_fd, fd, EPOLLOUT | EPOLLONESHOT);
			under_way++;
		}
		count = epoll_wait(epoll_fd, events, EVENTS_MAX, 100);
		for (int i = 0; i < count; i++) {
			under_way--;
			if (is_connected(events[i].data.fd))
				open++;
			else
				close(events[i].data.fd);
		}
	}
	close(epoll_fd);
	return open;
}

static void run_client(const struct idle_options *options)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t start = probe_now_ns();
	unsigned open = open_all(options);
	char byte;

	printf("{\"wanted\": %u, \"open\": %u, \"seconds\": %.3f}\n", options->count, open,
	       (double)(probe_now_ns() - start) / 1e9);
	(void)fflush(stdout);
	while (poll(&input, 1, -1) >= 0 || errno == EINTR) {
		if (input.revents && read(STDIN_FILENO, &byte, 1) <= 0)
			return;
	}
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct idle_options *options = state->input;

	switch (key) {
	case KEY_SERVER:
		options->address = NULL;
		return 0;
	case KEY_PORT:
		options->port = (uint16_t)probe_parse_number(state, "--port", argument, 1, 65535);
		return 0;
	case KEY_COUNT:
		options->count =
			(unsigned)probe_parse_number(state, "--count", argument, 1, COUNT_MAX);
		return 0;
	case KEY_OPEN_SECONDS:
		options->open_seconds =
			probe_parse_number(state, "--open-seconds", argument, 0.01, 3600);
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
		{ "server", KEY_SERVER, NULL, 0, "Accept and hold", 0 },
		{ "port", KEY_PORT, "N", 0, "Port of the server (default 7300)", 0 },
		{ "count", KEY_COUNT, "N", 0, "Connections (default 10000)", 0 },
		{ "open-seconds", KEY_OPEN_SECONDS, "S", 0,
		  "Stop opening more after this (default 30)", 0 },
		{ "limit", KEY_LIMIT, "S", 0, "Ends after this (default 600)", 0 },
		{},
	};
	static const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "--server\nADDRESS",
		.doc = "Holds many idle TCP connections until its standard input ends.\v"
		       "Examples:\n"
		       "  bench-idle --server --port 7300\n"
		       "  bench-idle 198.51.100.2 --port 7300 --count 10000\n",
	};
	struct idle_options options = {
		.port = 7300,
		.count = 10000,
		.open_seconds = 30,
		.limit = 600,
	};

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
		return 64;
	probe_raise_files();
	probe_limit(options.limit);
	if (!options.address)
		serve(&options);
	run_client(&options);
	return 0;
}
