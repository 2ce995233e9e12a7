/*
 * Asks over UDP: udp-ask ADDRESS PORT SIZE [TRIES] sends SIZE bytes, awaits the same bytes back for a
 * second per try, and prints "SIZE bytes from ADDRESS:PORT". Exit code 1: another answer, 2: none,
 * 3: the send or the socket failed (an ICMP error), which it prints.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

static char question[65536];
static char answer[65536];

static int failed(const char *what)
{
	perror(what);
	return 3;
}

static int ask(int fd, size_t size, int tries)
{
	for (int i = 0; i < tries; i++) {
		ssize_t got;

		if (send(fd, question, size, 0) < 0)
			return failed("send");
		got = recv(fd, answer, sizeof(answer), 0);
		if (got < 0 && errno != EAGAIN)
			return failed("recv");
		if (got < 0)
			continue;
		if ((size_t)got != size || memcmp(question, answer, size) != 0) {
			printf("%zd bytes, not those that were sent\n", got);
			return 1;
		}
		return 0;
	}
	return 2;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct timeval second = { .tv_sec = 1 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	size_t size;
	int result;

	if (argc < 4 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: udp-ask ADDRESS PORT SIZE [TRIES]\n");
		return 64;
	}
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	size = strtoul(argv[3], NULL, 10);
	if (size > sizeof(question))
		size = sizeof(question);
	for (size_t i = 0; i < size; i++)
		question[i] = (char)(i * 31 + i / 251);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return failed("socket");
	result = ask(fd, size, argc > 4 ? atoi(argv[4]) : 30);
	if (result == 0)
		printf("%zu bytes from %s:%s\n", size, argv[1], argv[2]);
	return result;
}
