#pragma once
/* Frames for the tests of this room, byte by byte. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/frame.h"
#include "wire/packet_build.h"

#define GATEWAY UINT32_C(0x0a000001)
#define GUEST	UINT32_C(0x0a000002)
#define OTHER	UINT32_C(0x0a000003)

static const struct mac_addr gateway_mac = { { 2, 0, 0, 0, 0, 1 } };
static const struct mac_addr guest_mac = { { 2, 0, 0, 0, 0, 2 } };
static const struct mac_addr other_mac = { { 2, 0, 0, 0, 0, 3 } };

#define BYTES_MAX 3072

struct bytes {
	size_t size;
	uint8_t at[BYTES_MAX];
};

static inline __attribute__((unused)) void put(struct bytes *bytes, const void *from, size_t size)
{
	assert_true(bytes->size + size <= BYTES_MAX);
	memcpy(bytes->at + bytes->size, from, size);
	bytes->size += size;
}

static inline __attribute__((unused)) void put_u8(struct bytes *bytes, unsigned value)
{
	const uint8_t byte = (uint8_t)value;

	put(bytes, &byte, 1);
}

static inline __attribute__((unused)) void put_u16(struct bytes *bytes, unsigned value)
{
	put_u8(bytes, value >> 8);
	put_u8(bytes, value & 0xff);
}

static inline __attribute__((unused)) struct bytes ether(const struct mac_addr *to,
							 const struct mac_addr *from, unsigned type)
{
	struct bytes bytes = { .size = 0 };

	put(&bytes, to, sizeof(*to));
	put(&bytes, from, sizeof(*from));
	put_u16(&bytes, type);
	return bytes;
}

/* The frame borrows the bytes. */
static inline __attribute__((unused)) void frame_of(struct frame *frame, const struct bytes *bytes)
{
	enum drop_reason reason = DROP_REASON_COUNT;

	if (!frame_from_bytes(frame, bytes->at, bytes->size, 0, &reason))
		fail_msg("the test's frame is no frame: %s", drop_reason_name(reason));
}

static inline __attribute__((unused)) struct bytes bytes_of(const struct frame *frame)
{
	struct bytes bytes = { .size = 0 };

	bytes.size = frame_copy(frame, bytes.at, sizeof(bytes.at));
	assert_true(bytes.size > 0);
	return bytes;
}

/* UDP over IPv4 between addresses and ports. */
static inline __attribute__((unused)) struct bytes udp4(const struct mac_addr *to, uint32_t source,
							uint16_t source_port,
							uint16_t destination_port, size_t size)
{
	static char text[2048];
	const struct packet_link link = { .source = guest_mac, .destination = *to };
	const struct ip_endpoint from = { ip_addr_from_v4(source), source_port };
	const struct ip_endpoint destination = { ip_addr_from_v4(OTHER), destination_port };
	struct iovec payload = { text, size };
	struct frame frame;

	assert_true(packet_build_udp(&frame, &link, &from, &destination, &payload, 1));
	return bytes_of(&frame);
}
