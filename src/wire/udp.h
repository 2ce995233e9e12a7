#pragma once
/* The UDP header (RFC 768). Checksums are computed where the addresses are known
 * (wire/packet_build.h). */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define UDP_HEADER_SIZE	    8
#define UDP_CHECKSUM_OFFSET 6
/* What one IPv4 packet without options carries. */
#define UDP_PAYLOAD_MAX_V4 (65535 - 20 - UDP_HEADER_SIZE)

struct udp_header {
	uint16_t source_port;
	uint16_t destination_port;
	uint16_t size;	   /* header and payload, bytes; at least 8 */
	uint16_t checksum; /* 0 = none (IPv4 only) */
};

/* Leaves the reader behind the header. False: fewer than 8 bytes, or a size below 8. Does not
 * compare size with what is there. */
bool udp_parse(struct reader *reader, struct udp_header *ret_header) MUST_USE;
void udp_build(struct writer *writer, const struct udp_header *header);
