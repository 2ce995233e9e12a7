#pragma once
/* Random bytes: getrandom(), or a test's repeatable sequence. */

#include <stddef.h>
#include <stdint.h>

struct random {
	void (*fill)(struct random *random, void *buffer, size_t size);
};

/* Never fails: it asserts that getrandom() works. Safe from any thread. */
extern struct random random_system;

uint32_t random_u32(struct random *random);
uint64_t random_u64(struct random *random);
/* Uniform in [0, bound); bound > 0. */
uint32_t random_below(struct random *random, uint32_t bound);

/* xoshiro256** from a seed, for tests and probing sequences; not for secrets. */
struct random_seeded {
	struct random random;
	uint64_t state[4];
};
void random_seeded_init(struct random_seeded *seeded, uint64_t seed);
