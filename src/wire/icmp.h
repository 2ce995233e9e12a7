#pragma once
/* ICMP for IPv4 (RFC 792): echo, and the errors that quote a packet. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/ipv4.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define ICMP_HEADER_SIZE     8
#define ICMP_CHECKSUM_OFFSET 2

#define ICMP_TYPE_ECHO_REPLY	    0
#define ICMP_TYPE_UNREACHABLE	    3
#define ICMP_TYPE_SOURCE_QUENCH	    4
#define ICMP_TYPE_REDIRECT	    5
#define ICMP_TYPE_ECHO_REQUEST	    8
#define ICMP_TYPE_TIME_EXCEEDED	    11
#define ICMP_TYPE_PARAMETER_PROBLEM 12

#define ICMP_CODE_NET_UNREACHABLE      0
#define ICMP_CODE_HOST_UNREACHABLE     1
#define ICMP_CODE_PROTOCOL_UNREACHABLE 2
#define ICMP_CODE_PORT_UNREACHABLE     3
#define ICMP_CODE_FRAGMENTATION_NEEDED 4
#define ICMP_CODE_ADMIN_PROHIBITED     13 /* RFC 1812 5.2.7.1 */

#define ICMP_CODE_TTL_EXCEEDED	  0
#define ICMP_CODE_REASSEMBLY_TIME 1

/* An error's packet stays within 576 bytes (RFC 1812 4.3.2.3). */
#define ICMP_QUOTE_MAX (IPV4_PACKET_ALWAYS_TAKEN - IPV4_HEADER_SIZE - ICMP_HEADER_SIZE)
/* Of the quoted packet's payload: at least this much, where it has that much (RFC 792). */
#define ICMP_QUOTE_PAYLOAD_MIN 8

struct icmp_header {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	uint16_t identifier; /* echo only, else 0 */
	uint16_t sequence;   /* echo only, else 0 */
	uint16_t mtu;	     /* fragmentation needed only, else 0 (RFC 1191 4) */
};

struct icmp_quote {
	struct ipv4_header ip;
	const uint8_t *payload; /* borrowed: what the quote has behind the IP header */
	size_t payload_size;	/* at least 8 */
};

/* True for the types that report an error, and so must never be answered with one (RFC 1122
 * 3.2.2). */
bool icmp_is_error(uint8_t type);

/* Leaves the reader behind the 8 bytes. Does not verify the checksum (frame_verify_checksum()). */
bool icmp_parse(struct reader *reader, struct icmp_header *ret_header) MUST_USE;
/* The packet that an error quotes: an IP header and 8 bytes or more. Borrows from the reader. */
bool icmp_parse_quote(struct reader *reader, struct icmp_quote *ret_quote) MUST_USE;

/* The 8 bytes, with header->checksum as it is (0 before a checksum is computed). */
void icmp_build(struct writer *writer, const struct icmp_header *header);
/*
 * A whole error message with its checksum (header->checksum is ignored). quote is the packet that
 * caused it, from its IP header on; as much of it as ICMP_QUOTE_MAX allows is taken.
 */
void icmp_build_error(struct writer *writer, const struct icmp_header *header, const void *quote,
		      size_t quote_size);
