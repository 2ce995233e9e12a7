#pragma once
/* The IPv4 header (RFC 791). */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define IPV4_HEADER_SIZE 20
#define IPV4_HEADER_MAX	 60
#define IPV4_PACKET_MAX	 65535
/* Every host takes a datagram of this size (RFC 791 3.1). */
#define IPV4_PACKET_ALWAYS_TAKEN 576

struct ipv4_header {
	uint8_t tos;
	uint16_t total_size; /* header and payload, bytes */
	uint16_t id;
	bool dont_fragment;
	bool more_fragments;
	uint16_t fragment_offset; /* bytes, a multiple of 8 */
	uint8_t ttl;
	uint8_t protocol;
	struct ip_addr source;
	struct ip_addr destination;
	/* Set by ipv4_parse(), ignored by ipv4_build() (which writes no options). */
	uint8_t header_size; /* 20..60 */
	bool checksum_ok;
};

/*
 * Leaves the reader behind the header and its options. False: too few bytes for the header, another
 * version, header size below 20, total size below the header size. Does not compare total_size with
 * what is there (a packet quoted by an ICMP error is cut), nor refuse a wrong checksum (a quoted
 * header may have been changed): see checksum_ok.
 */
bool ipv4_parse(struct reader *reader, struct ipv4_header *ret_header) MUST_USE;
/* 20 bytes, with the header checksum. Addresses must be IPv4. */
void ipv4_build(struct writer *writer, const struct ipv4_header *header);
