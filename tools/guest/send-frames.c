/*
 * Puts frames onto the wire as they are: send-frames CARD HEX..., each HEX one frame from its Ethernet
 * header on. For what no socket of an honest kernel sends. Exit code 1 when one did not leave.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FRAME_MAX_BYTES 2048

static unsigned char frame[FRAME_MAX_BYTES];

/* 0: not hexadecimal, or too long. */
static size_t parse(const char *hex)
{
	size_t size = strlen(hex) / 2;

	if (size > sizeof(frame) || strlen(hex) % 2 != 0)
		return 0;
	for (size_t i = 0; i < size; i++) {
		if (sscanf(hex + 2 * i, "%2hhx", &frame[i]) != 1)
			return 0;
	}
	return size;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll card = { .sll_family = AF_PACKET };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	if (argc < 3 || fd < 0 || (card.sll_ifindex = (int)if_nametoindex(argv[1])) == 0) {
		fprintf(stderr, "usage: send-frames CARD HEX...\n");
		return 64;
	}
	for (int i = 2; i < argc; i++) {
		size_t size = parse(argv[i]);

		if (size == 0 || sendto(fd, frame, size, 0, (struct sockaddr *)&card,
					sizeof(card)) != (ssize_t)size) {
			fprintf(stderr, "send-frames: frame %d did not leave\n", i - 1);
			return 1;
		}
	}
	printf("%d sent\n", argc - 2);
	return 0;
}
