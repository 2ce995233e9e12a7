#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct sip_state {
	uint64_t a, b, c, d;
};

static uint64_t rotate_left(uint64_t value, unsigned int bits)
{
	return value << bits | value >> (64 - bits);
}

/* The remaining octets, at most eight, as a little-endian number. */
static uint64_t load_le64(const uint8_t *octet, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, octet, size);
	return le64toh(value);
}

static void sip_round(struct sip_state *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotate_left(s->b, 13) ^ s->a;
	s->d = rotate_left(s->d, 16) ^ s->c;
	s->a = rotate_left(s->a, 32);
	s->c += s->b;
	s->a += s->d;
	s->b = rotate_left(s->b, 17) ^ s->c;
	s->d = rotate_left(s->d, 21) ^ s->a;
	s->c = rotate_left(s->c, 32);
}

static void sip_absorb(struct sip_state *s, uint64_t word)
{
	s->d ^= word;
	sip_round(s);
	sip_round(s);
	s->a ^= word;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t size)
{
	/* The constants spell "somepseudorandomlygeneratedbytes". */
	struct sip_state s = {
		.a = key->word[0] ^ UINT64_C(0x736f6d6570736575),
		.b = key->word[1] ^ UINT64_C(0x646f72616e646f6d),
		.c = key->word[0] ^ UINT64_C(0x6c7967656e657261),
		.d = key->word[1] ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *octet = data;
	size_t whole = size - size % 8;
	uint64_t last;

	for (size_t i = 0; i < whole; i += 8)
		sip_absorb(&s, load_le64(octet + i, 8));
	last = (uint64_t)size << 56;
	if (size > whole)
		last |= load_le64(octet + whole, size - whole);
	sip_absorb(&s, last);
	s.c ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}
