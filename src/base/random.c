#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/compiler.h"

static void system_fill(struct random *random, void *buffer, size_t size)
{
	uint8_t *out = buffer;
	size_t filled = 0;

	(void)random;
	while (filled < size) {
		ssize_t count = getrandom(out + filled, size - filled, 0);

		if (count < 0 && errno == EINTR)
			continue;
		assert(count > 0);
		filled += (size_t)count;
	}
}

struct random random_system = { .fill = system_fill };

uint32_t random_u32(struct random *random)
{
	uint32_t value;

	random->fill(random, &value, sizeof(value));
	return value;
}

uint64_t random_u64(struct random *random)
{
	uint64_t value;

	random->fill(random, &value, sizeof(value));
	return value;
}

uint32_t random_below(struct random *random, uint32_t bound)
{
	uint32_t unfair;

	assert(bound > 0);
	/* 2^32 mod bound: values below it would make the low results likelier. */
	unfair = (0 - bound) % bound;
	for (;;) {
		uint32_t value = random_u32(random);

		if (value >= unfair)
			return value % bound;
	}
}

static uint64_t rotate_left(uint64_t value, unsigned int bits)
{
	return value << bits | value >> (64 - bits);
}

/* Blackman, Vigna: Scrambled Linear Pseudorandom Number Generators (2018). */
static uint64_t seeded_next(struct random_seeded *seeded)
{
	uint64_t *s = seeded->state;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t shifted = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate_left(s[3], 45);
	return result;
}

static void seeded_fill(struct random *random, void *buffer, size_t size)
{
	struct random_seeded *seeded = container_of(random, struct random_seeded, random);
	uint8_t *out = buffer;

	while (size > 0) {
		uint64_t value = seeded_next(seeded);
		size_t count = size < sizeof(value) ? size : sizeof(value);

		memcpy(out, &value, count);
		out += count;
		size -= count;
	}
}

void random_seeded_init(struct random_seeded *seeded, uint64_t seed)
{
	seeded->random.fill = seeded_fill;
	/* splitmix64 spreads the seed, so that the state is never all zero. */
	for (size_t i = 0; i < ARRAY_COUNT(seeded->state); i++) {
		uint64_t z;

		seed += UINT64_C(0x9e3779b97f4a7c15);
		z = seed;
		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		seeded->state[i] = z ^ z >> 31;
	}
}
