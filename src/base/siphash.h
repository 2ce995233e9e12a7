#pragma once
/* SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash for every key that a guest can choose. */

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t word[2];
};

uint64_t siphash(const struct siphash_key *key, const void *data, size_t size);
