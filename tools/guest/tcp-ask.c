/*
 * Connects and copies: tcp-ask ADDRESS PORT [SECONDS] sends standard input, closes its half at the
 * end of it, and prints what comes back until the other half is closed. Exit code 1 and a line on
 * standard error when the connection fails, is reset, or is not there within SECONDS (default 20).
 *
 * busybox has nc for this, but that copies a kilobyte at a time, which costs an emulated CPU a minute
 * for 100 MB.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES 262144

static char outward[BUFFER_BYTES];
static char inward[BUFFER_BYTES];

static int failed(const char *what, int error)
{
	fprintf(stderr, "tcp-ask: %s: %s\n", what, strerror(error));
	return 1;
}

static int connect_within(int fd, const struct sockaddr_in *address, int seconds)
{
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0;

	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&writable, 1, seconds * 1000) != 1)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return errno;
	return error;
}

static int write_all(const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(STDOUT_FILENO, bytes, size);

		if (written < 0)
			return errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

/* Sends what is pending, or reads more of it; *ret_done once standard input has ended. */
static int push_out(int fd, size_t *start, size_t *end, int *ret_done)
{
	ssize_t count;

	if (*start == *end) {
		count = read(STDIN_FILENO, outward, sizeof(outward));
		if (count < 0)
			return errno;
		if (count == 0) {
			*ret_done = 1;
			return shutdown(fd, SHUT_WR) < 0 ? errno : 0;
		}
		*start = 0;
		*end = (size_t)count;
	}
	count = send(fd, outward + *start, *end - *start, MSG_NOSIGNAL);
	if (count < 0)
		return errno == EAGAIN ? 0 : errno;
	*start += (size_t)count;
	return 0;
}

static int copy(int fd)
{
	size_t start = 0;
	size_t end = 0;
	int out_done = 0;

	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = fd, .events = POLLIN },
			{ .fd = STDIN_FILENO, .events = POLLIN },
		};
		int error = 0;

		if (out_done || start < end)
			fds[1].fd = -1;
		if (start < end)
			fds[0].events |= POLLOUT;
		if (poll(fds, 2, -1) < 0)
			return errno;
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
			ssize_t count = recv(fd, inward, sizeof(inward), 0);

			if (count == 0)
				return 0;
			if (count < 0 && errno != EAGAIN)
				return errno;
			if (count > 0)
				error = write_all(inward, (size_t)count);
		}
		if (error == 0 && ((fds[0].revents & POLLOUT) || fds[1].revents != 0))
			error = push_out(fd, &start, &end, &out_done);
		if (error != 0)
			return error;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int error;

	if (argc < 3 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: tcp-ask ADDRESS PORT [SECONDS]\n");
		return 64;
	}
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	if (fd < 0)
		return failed("socket", errno);
	error = connect_within(fd, &address, argc > 3 ? atoi(argv[3]) : 20);
	if (error != 0)
		return failed("connect", error);
	error = copy(fd);
	return error == 0 ? 0 : failed("connection", error);
}
