/* UDP echo of the test guest: udp-echo PORT sends every datagram back to where it came from. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	static char bytes[65536];
	struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
	int port = argc == 2 ? atoi(argv[1]) : 0;
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (port < 1 || port > 65535) {
		fprintf(stderr, "usage: udp-echo PORT\n");
		return 64;
	}
	address.sin6_port = htons((uint16_t)port);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("udp-echo");
		return 1;
	}
	for (;;) {
		struct sockaddr_in6 from;
		socklen_t from_size = sizeof(from);
		ssize_t got =
			recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_size);

		if (got >= 0)
			(void)sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from,
				     from_size); /* a lost answer is UDP's own affair */
	}
}
