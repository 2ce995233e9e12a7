#pragma once
/* The TCP header with its options (RFC 9293, 7323, 2018), and sequence number arithmetic. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define TCP_HEADER_SIZE	     20
#define TCP_HEADER_MAX	     60
#define TCP_OPTIONS_MAX	     40
#define TCP_FLAGS_OFFSET     13
#define TCP_CHECKSUM_OFFSET  16
#define TCP_SACK_MAX	     4
#define TCP_WINDOW_SCALE_MAX 14	 /* RFC 7323 2.3 */
#define TCP_MSS_DEFAULT_V4   536 /* without the option: RFC 9293 3.7.1 */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_ECE 0x40
#define TCP_CWR 0x80

struct tcp_sack_block {
	uint32_t start; /* first sequence number of the block */
	uint32_t end;	/* first one behind it */
};

struct tcp_header {
	uint16_t source_port;
	uint16_t destination_port;
	uint32_t sequence;
	uint32_t acknowledgement;
	uint8_t flags;
	uint8_t header_size; /* with options; set by tcp_parse(), ignored by tcp_build() */
	uint16_t window;     /* as on the wire, not scaled */
	uint16_t checksum;
	uint16_t urgent;

	bool has_mss;
	bool has_window_scale;
	bool sack_permitted;
	bool has_timestamps;
	uint16_t mss;
	uint8_t window_scale; /* at most 14: a larger one is read as 14 (RFC 7323 2.3) */
	uint8_t sack_count;   /* 0..TCP_SACK_MAX */
	uint32_t timestamp_value;
	uint32_t timestamp_echo;
	struct tcp_sack_block sack[TCP_SACK_MAX];
};

/*
 * Leaves the reader behind the options. False: header or options cut short, data offset below 5.
 * Options: reading stops at the first malformed length and keeps what was read before (RFC 9293
 * 3.1 leaves this open; a stack must not crash on them: MUST-7); an option of a known kind with
 * another length than its RFC's is skipped; the first of two MSS, scale or timestamps counts.
 */
bool tcp_parse(struct reader *reader, struct tcp_header *ret_header) MUST_USE;

/* Bytes that tcp_build() will write: 20..60, a multiple of 4. SACK blocks that do not fit into the
 * 40 bytes of options are left out (3 fit beside timestamps). */
size_t tcp_header_size(const struct tcp_header *header) MUST_USE;
void tcp_build(struct writer *writer, const struct tcp_header *header);

/* Sequence numbers live on a circle (RFC 9293 3.4): a is before b when b is less than 2^31 ahead.
 */
static inline bool tcp_seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool tcp_seq_before_equal(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool tcp_seq_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool tcp_seq_after_equal(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

/* first <= x < end; an empty range holds nothing. */
static inline bool tcp_seq_in(uint32_t x, uint32_t first, uint32_t end)
{
	return x - first < end - first;
}

static inline uint32_t tcp_seq_min(uint32_t a, uint32_t b)
{
	return tcp_seq_before(a, b) ? a : b;
}

static inline uint32_t tcp_seq_max(uint32_t a, uint32_t b)
{
	return tcp_seq_before(a, b) ? b : a;
}

/* The sequence numbers that a segment occupies: its payload, SYN and FIN (RFC 9293 3.4). */
static inline uint32_t tcp_seq_size(uint8_t flags, size_t payload_size)
{
	return (uint32_t)payload_size + (flags & TCP_SYN ? 1U : 0U) + (flags & TCP_FIN ? 1U : 0U);
}
