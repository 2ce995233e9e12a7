/*
 * Writes COUNT bytes of a pattern to standard output: pattern COUNT [SEED]. The bytes depend on the
 * seed alone, so that both ends of a transfer can know the checksum beforehand;
 * tests/system/lab/pattern.py makes the same ones.
 *
 * One block of 64 KiB comes from a linear congruential generator; block i is that block rotated
 * left by (i * 7919) mod 65536 bytes. So making it costs little even in an emulated CPU, while lost,
 * repeated and swapped segments still change the checksum.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK 65536U

static unsigned char twice[2 * BLOCK];

static void fill(uint32_t state)
{
	for (unsigned int i = 0; i < BLOCK; i++) {
		state = state * 1664525U + 1013904223U;
		twice[i] = (unsigned char)(state >> 24);
		twice[BLOCK + i] = twice[i];
	}
}

static int write_all(const unsigned char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(STDOUT_FILENO, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long long left;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: pattern COUNT [SEED]\n");
		return 64;
	}
	left = strtoull(argv[1], NULL, 10);
	fill(argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1);
	for (uint32_t block = 0; left > 0; block++) {
		size_t size = left < BLOCK ? (size_t)left : BLOCK;

		if (write_all(twice + (block * 7919U) % BLOCK, size) < 0) {
			perror("pattern");
			return 1;
		}
		left -= size;
	}
	return 0;
}
