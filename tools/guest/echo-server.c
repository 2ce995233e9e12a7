/* Echo over UDP and TCP: echo-server PORT sends everything back to where it came from. */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[262144];

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

static void echo_datagram(int fd)
{
	struct sockaddr_in6 from;
	socklen_t from_size = sizeof(from);
	ssize_t got = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_size);

	if (got >= 0)
		(void)sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from,
			     from_size); /* a lost answer is UDP's own affair */
}

/* Until the other half is closed, or the connection is lost. */
static void echo_stream(int connection)
{
	ssize_t got;

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
	int port = argc == 2 ? atoi(argv[1]) : 0;

	if (port < 1 || port > 65535) {
		fprintf(stderr, "usage: echo-server PORT\n");
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
			int connection = accept(fds[1].fd, NULL, NULL);

			if (connection >= 0 && fork() == 0) {
				echo_stream(connection);
				_exit(0);
			}
			if (connection >= 0)
				close(connection);
		}
	}
}
