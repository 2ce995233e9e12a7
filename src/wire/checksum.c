#include "wire/checksum.h"

#include <endian.h>
#include <string.h>

/*
 * The sum of 16-bit words is the same in either byte order but for a final swap (RFC 1071 2 (B)),
 * so sums are kept in the machine's order and swapped where a number comes out. Of each 64-bit word
 * both halves are added into 64 bits: no carry can be lost below 4 GiB of data.
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

static uint64_t add_words(const uint8_t *bytes, size_t size)
{
	uint64_t low = 0;
	uint64_t high = 0;
	uint64_t words[4];

	for (; size >= sizeof(words); bytes += sizeof(words), size -= sizeof(words)) {
		memcpy(words, bytes, sizeof(words));
		for (size_t i = 0; i < 4; i++) {
			low += words[i] & 0xffffffffU;
			high += words[i] >> 32;
		}
	}
	/* The rest, as if zeroes followed. */
	memset(words, 0, sizeof(words));
	if (size > 0)
		memcpy(words, bytes, size);
	for (size_t i = 0; i < 4; i++) {
		low += words[i] & 0xffffffffU;
		high += words[i] >> 32;
	}
	return low + high;
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
