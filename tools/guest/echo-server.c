/*
 * Echo over UDP and TCP: echo-server PORT sends everything back to where it came from; echo-server
 * PORT who sends instead where it came from as seen here: "ADDRESS PORT\n", an answer to each
 * datagram and once to each connection, which is then closed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[262144];
static bool is_who;

static int open_socket(int kind, int port)
{
	struct sockaddr_in6 address = {
		.sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port),
	};
	int one = 1;
	int fd = socket(AF_INET6, kind, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (kind == SOCK_STREAM && listen(fd, 128) < 0)) {
		perror("echo-server");
		exit(1);
	}
	return fd;
}

/* Into `bytes`; its size. IPv4 without the prefix that an IPv6 socket shows it with. */
static ssize_t write_who(const struct sockaddr_in6 *from)
{
	char text[INET6_ADDRSTRLEN] = "?";
	const uint8_t *address = from->sin6_addr.s6_addr;

	if (IN6_IS_ADDR_V4MAPPED(&from->sin6_addr))
		inet_ntop(AF_INET, address + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, address, text, sizeof(text));
	return snprintf(bytes, sizeof(bytes), "%s %u\n", text, ntohs(from->sin6_port));
}

static void echo_datagram(int fd)
{
	struct sockaddr_in6 from;
	socklen_t from_size = sizeof(from);
	ssize_t got = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_size);

	if (got >= 0 && is_who)
		got = write_who(&from);
	if (got >= 0)
		(void)sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from,
			     from_size); /* a lost answer is UDP's own affair */
}

/* Until the other half is closed, or the connection is lost. */
static void echo_stream(int connection, const struct sockaddr_in6 *from)
{
	ssize_t got;

	if (is_who) {
		got = write_who(from);
		(void)send(connection, bytes, (size_t)got, MSG_NOSIGNAL); /* or the asker left */
		return;
	}
	while ((got = recv(connection, bytes, sizeof(bytes), 0)) > 0) {
		for (ssize_t sent = 0, now; sent < got; sent += now) {
			now = send(connection, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL);
			if (now < 0)
				return;
		}
	}
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	int port = argc >= 2 ? atoi(argv[1]) : 0;

	is_who = argc == 3 && strcmp(argv[2], "who") == 0;
	if (port < 1 || port > 65535 || argc > 2 + is_who) {
		fprintf(stderr, "usage: echo-server PORT [who]\n");
		return 64;
	}
	signal(SIGCHLD, SIG_IGN);
	fds[0].fd = open_socket(SOCK_DGRAM, port);
	fds[1].fd = open_socket(SOCK_STREAM, port);
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents != 0)
			echo_datagram(fds[0].fd);
		if (fds[1].revents != 0) {
			struct sockaddr_in6 from;
			socklen_t from_size = sizeof(from);
			int connection = accept(fds[1].fd, (struct sockaddr *)&from, &from_size);

			if (connection >= 0 && fork() == 0) {
				echo_stream(connection, &from);
				_exit(0);
			}
			if (connection >= 0)
				close(connection);
		}
	}
}
