#include "wire/checksum.h"

#include <endian.h>
#include <string.h>

/*
 * The sum of 16-bit words is the same in either byte order but for a final swap (RFC 1071 2 (B)),
 * so sums are kept in the machine's order and swapped where a number comes out; and of wider words
 * it is the same, folded. What the callers hand on is folded to 32 bits: 2^32 calls do not overflow.
 */

static uint64_t fold32(uint64_t sum)
{
	sum = (sum & 0xffffffffU) + (sum >> 32);
	return (sum & 0xffffffffU) + (sum >> 32);
}

static uint16_t fold16(uint64_t sum)
{
	sum = fold32(sum);
	sum = (sum & 0xffffU) + (sum >> 16);
	sum = (sum & 0xffffU) + (sum >> 16);
	return (uint16_t)sum;
}

static uint64_t load64(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* End-around carry: what 64 bits cannot hold comes back at the bottom (RFC 1071 2 (A)). */
static uint64_t add_carry(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* Up to 7 bytes, as if zeroes followed. */
static uint64_t load_rest(const uint8_t *bytes, size_t size)
{
	uint64_t word = 0;

	for (size_t i = 0; i < size; i++)
		word |= (uint64_t)bytes[i] << (8 * i);
	return le64toh(word);
}

static uint64_t add_words(const uint8_t *bytes, size_t size)
{
	uint64_t sum[4] = {};

	/* Four sums side by side do not wait for each other's carry. */
	for (; size >= 32; bytes += 32, size -= 32) {
		sum[0] = add_carry(sum[0], load64(bytes));
		sum[1] = add_carry(sum[1], load64(bytes + 8));
		sum[2] = add_carry(sum[2], load64(bytes + 16));
		sum[3] = add_carry(sum[3], load64(bytes + 24));
	}
	for (; size >= 8; bytes += 8, size -= 8)
		sum[0] = add_carry(sum[0], load64(bytes));
	sum[0] = add_carry(sum[0], load_rest(bytes, size));
	return add_carry(add_carry(sum[0], sum[1]), add_carry(sum[2], sum[3]));
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t size, bool odd)
{
	if (size == 0)
		return sum;

	uint64_t added = add_words(data, size);

	/* Bytes that begin in the middle of a word count with their places exchanged. */
	if (odd)
		added = __builtin_bswap16(fold16(added));
	return sum + fold32(added);
}

uint64_t checksum_add_iov(uint64_t sum, const struct iovec *iov, size_t count, bool odd)
{
	for (size_t i = 0; i < count; i++) {
		sum = checksum_add(sum, iov[i].iov_base, iov[i].iov_len, odd);
		odd ^= (iov[i].iov_len & 1) != 0;
	}
	return sum;
}

uint64_t checksum_pseudo(const struct ip_addr *source, const struct ip_addr *destination,
			 uint8_t protocol, uint32_t size)
{
	size_t address_size = source->family == IP_FAMILY_V4 ? 4 : 16;
	/* size and protocol as 32-bit numbers give the sum of both families' layouts. */
	uint32_t tail[2] = { htobe32(size), htobe32(protocol) };

	uint64_t sum = checksum_add(0, source->octet, address_size, false);
	sum = checksum_add(sum, destination->octet, address_size, false);
	return checksum_add(sum, tail, sizeof(tail), false);
}

uint16_t checksum_fold(uint64_t sum)
{
	return be16toh(fold16(sum));
}

uint16_t checksum_finish(uint64_t sum)
{
	return (uint16_t)~checksum_fold(sum);
}
