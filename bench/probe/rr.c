/*
 * Request and response: one question after another over one TCP connection, or by UDP, each
 * answered by the same bytes. What it takes is the latency of the path, both ways and two wake-ups.
 *
 * A question that is not answered when the time is over counts with the time it has waited: a path
 * that stalls must not look fast because only its answers were counted.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

#define SIZE_MAX_BYTES	16384
#define CONNECTIONS_MAX 64
#define TIMES_MAX	(4U << 20)
#define UDP_PATIENCE_NS (250 * PROBE_NS_PER_MS)

struct rr_options {
	const char *address; /* NULL: server */
	uint16_t port;
	bool udp;
	size_t size;
	double seconds;
	double warm_up;
	double limit;
};

enum {
	KEY_SERVER = 256,
	KEY_PORT,
	KEY_UDP,
	KEY_SIZE,
	KEY_SECONDS,
	KEY_WARM_UP,
	KEY_LIMIT,
};

static char bytes[SIZE_MAX_BYTES];

static void serve_stream(struct pollfd *entry)
{
	ssize_t got = recv(entry->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return;
	/* One question at a time: what comes fits into the socket's buffer on the way back. */
	if (got <= 0 || send(entry->fd, bytes, (size_t)got, MSG_NOSIGNAL) != got) {
		close(entry->fd);
		entry->fd = -1;
	}
}

static void accept_stream(int listener, struct pollfd *entries)
{
	int one = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		if (entries[i].fd < 0) {
			entries[i].fd = fd;
			return;
		}
	}
	close(fd);
}

static void serve_datagrams(int fd)
{
	struct sockaddr_storage from;
	socklen_t from_size = sizeof(from);
	ssize_t got = recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from,
			       &from_size);

	if (got >= 0)
		(void)sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from,
			     from_size); /* the one who asks counts what is lost */
}

/* TCP and UDP on the same port, until the time limit. */
static _Noreturn void serve(const struct rr_options *options)
{
	struct pollfd entries[CONNECTIONS_MAX + 2];
	struct pollfd *listener = &entries[CONNECTIONS_MAX];
	struct pollfd *datagrams = &entries[CONNECTIONS_MAX + 1];

	for (int i = 0; i < CONNECTIONS_MAX + 2; i++)
		entries[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	listener->fd = probe_open_server(SOCK_STREAM, options->port);
	datagrams->fd = probe_open_server(SOCK_DGRAM, options->port);
	probe_say_ready(options->port);
	for (;;) {
		if (poll(entries, CONNECTIONS_MAX + 2, -1) < 0)
			continue;
		for (int i = 0; i < CONNECTIONS_MAX; i++) {
			if (entries[i].fd >= 0 && entries[i].revents)
				serve_stream(&entries[i]);
		}
		if (datagrams->revents)
			serve_datagrams(datagrams->fd);
		if (listener->revents)
			accept_stream(listener->fd, entries);
	}
}

static bool wait_readable(int fd, uint64_t until)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };
	uint64_t now = probe_now_ns();

	if (now >= until)
		return false;
	return poll(&entry, 1, (int)((until - now) / PROBE_NS_PER_MS) + 1) > 0;
}

/* One exchange. False: not answered by `until`. A blocking recv() comes first: a poll() before each
 * would add its own time to what is measured. */
static bool ask(int fd, const struct rr_options *options, uint32_t number, uint64_t until)
{
	size_t mark = sizeof(number) < options->size ? sizeof(number) : options->size;
	size_t have = 0;

	memcpy(bytes, &number, mark);
	if (send(fd, bytes, options->size, MSG_NOSIGNAL) < 0 && !options->udp)
		probe_fail("cannot send: %s", strerror(errno));
	while (have < options->size) {
		ssize_t got = recv(fd, bytes + have, options->size - have, 0);

		if (got > 0) {
			/* A datagram that answers an earlier question, too late, is no answer. */
			if (!options->udp || memcmp(bytes, &number, mark) == 0)
				have += (size_t)got;
			continue;
		}
		if (options->udp)
			return false;
		if (got == 0)
			probe_fail("the server closed the connection");
		if (errno != EAGAIN && errno != EINTR)
			probe_fail("cannot receive: %s", strerror(errno));
		if (!wait_readable(fd, until))
			return false;
	}
	return true;
}

static void run_client(const struct rr_options *options)
{
	struct probe_address address = probe_address(options->address, options->port);
	int fd = probe_open_client(options->udp ? SOCK_DGRAM : SOCK_STREAM, &address);
	struct timeval patience = { .tv_usec = UDP_PATIENCE_NS / 1000 };
	struct probe_times times;
	uint64_t start = probe_now_ns();
	uint64_t warm = start + (uint64_t)(options->warm_up * 1e9);
	uint64_t end = warm + (uint64_t)(options->seconds * 1e9);
	uint64_t unanswered = 0;
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		probe_fail("no time limit for answers: %s", strerror(errno));
	if (!options->udp)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	probe_times_init(&times, TIMES_MAX);
	for (uint32_t number = 1;; number++) {
		uint64_t asked = probe_now_ns();
		bool answered;

		if (asked >= end)
			break;
		answered = ask(fd, options, number, end);
		if (asked < warm)
			continue;
		if (!answered)
			unanswered++;
		probe_times_add(&times, probe_now_ns() - asked);
	}
	close(fd);
	if (times.count == 0) /* it hung from the warm-up on */
		probe_times_add(&times, end - start);
	probe_times_sort(&times);
	printf("{\"exchanges\": %zu, \"unanswered\": %llu, \"per_second\": %.1f, \"p50_us\": %.2f, "
	       "\"p90_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f}\n",
	       times.count, (unsigned long long)unanswered, (double)times.count / options->seconds,
	       probe_times_percentile(&times, 50), probe_times_percentile(&times, 90),
	       probe_times_percentile(&times, 99), probe_times_percentile(&times, 100));
	probe_times_done(&times);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct rr_options *options = state->input;

	switch (key) {
	case KEY_SERVER:
		options->address = NULL;
		return 0;
	case KEY_PORT:
		options->port = (uint16_t)probe_parse_number(state, "--port", argument, 1, 65535);
		return 0;
	case KEY_UDP:
		options->udp = true;
		return 0;
	case KEY_SIZE:
		options->size =
			(size_t)probe_parse_number(state, "--size", argument, 1, SIZE_MAX_BYTES);
		return 0;
	case KEY_SECONDS:
		options->seconds = probe_parse_number(state, "--seconds", argument, 0.01, 3600);
		return 0;
	case KEY_WARM_UP:
		options->warm_up = probe_parse_number(state, "--warm-up", argument, 0, 60);
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
		{ "server", KEY_SERVER, NULL, 0, "Answer, by TCP and UDP", 0 },
		{ "port", KEY_PORT, "N", 0, "Port of the server (default 7100)", 0 },
		{ "udp", KEY_UDP, NULL, 0, "Ask by UDP", 0 },
		{ "size", KEY_SIZE, "BYTES", 0, "Size of question and answer (default 1)", 0 },
		{ "seconds", KEY_SECONDS, "S", 0, "How long to measure (default 1)", 0 },
		{ "warm-up", KEY_WARM_UP, "S", 0, "Not measured before that (default 0.05)", 0 },
		{ "limit", KEY_LIMIT, "S", 0, "The server ends after this (default 600)", 0 },
		{},
	};
	static const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "--server\nADDRESS",
		.doc = "Measures how long one question and its answer take.\v"
		       "Examples:\n"
		       "  bench-rr --server --port 7100\n"
		       "  bench-rr 198.51.100.2 --port 7100 --seconds 2 --udp\n",
	};
	struct rr_options options = {
		.port = 7100,
		.size = 1,
		.seconds = 1,
		.warm_up = 0.05,
		.limit = 600,
	};

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
		return 64;
	if (!options.address) {
		probe_limit(options.limit);
		serve(&options);
	}
	probe_limit(options.seconds + options.warm_up + 5);
	run_client(&options);
	return 0;
}
