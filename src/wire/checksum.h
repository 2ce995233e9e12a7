#pragma once
/* The Internet checksum (RFC 1071). Sums are kept unfolded in 64 bits until the end. */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/addr.h"

/* Adds size bytes. `odd` says that an odd number of bytes was added before. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t size, bool odd);
uint64_t checksum_add_iov(uint64_t sum, const struct iovec *iov, size_t count, bool odd);
/* The pseudo header of TCP, UDP and ICMPv6 (RFC 9293 3.1, RFC 8200 8.1). size: L4 header and
 * payload. */
uint64_t checksum_pseudo(const struct ip_addr *source, const struct ip_addr *destination,
			 uint8_t protocol, uint32_t size);
/* Folds without the final complement: what a partial checksum field holds. */
uint16_t checksum_fold(uint64_t sum);
/* Folds and complements: what goes into the header, as a number (write it big-endian). */
uint16_t checksum_finish(uint64_t sum);
