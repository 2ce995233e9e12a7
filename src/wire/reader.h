#pragma once
/*
 * Bounded cursor for foreign bytes. Failure is sticky: after the first read past the end every
 * read gives zero, and reader_ok() says false. So a parser reads its fields in a row and judges
 * once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

struct reader {
	const uint8_t *data;
	size_t size;
	size_t position;
	bool failed;
};

static inline struct reader reader_of(const void *data, size_t size)
{
	return (struct reader){ .data = data, .size = size };
}

static inline bool reader_ok(const struct reader *reader)
{
	return !reader->failed;
}

static inline size_t reader_left(const struct reader *reader)
{
	return reader->failed ? 0 : reader->size - reader->position;
}

/* Borrowed bytes, or NULL when fewer are left. */
static inline const uint8_t *reader_take(struct reader *reader, size_t size)
{
	if (reader_left(reader) < size || reader->failed) {
		reader->failed = true;
		return NULL;
	}
	const uint8_t *bytes = reader->data + reader->position;
	reader->position += size;
	return bytes;
}

static inline void reader_skip(struct reader *reader, size_t size)
{
	(void)reader_take(reader, size);
}

static inline uint8_t reader_u8(struct reader *reader)
{
	const uint8_t *b = reader_take(reader, 1);
	return b ? b[0] : 0;
}

static inline uint16_t reader_u16(struct reader *reader)
{
	const uint8_t *b = reader_take(reader, 2);
	return b ? (uint16_t)((unsigned)b[0] << 8 | b[1]) : 0;
}

static inline uint32_t reader_u32(struct reader *reader)
{
	const uint8_t *b = reader_take(reader, 4);
	return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

/* Copies size bytes; zeroes when fewer are left. */
static inline void reader_bytes(struct reader *reader, void *ret_bytes, size_t size)
{
	const uint8_t *b = reader_take(reader, size);
	if (b)
		memcpy(ret_bytes, b, size);
	else
		memset(ret_bytes, 0, size);
}

/* A reader over the next size bytes, which the outer one skips. Failed when fewer are left. */
static inline struct reader reader_sub(struct reader *reader, size_t size)
{
	const uint8_t *b = reader_take(reader, size);
	return (struct reader){ .data = b, .size = b ? size : 0, .failed = !b };
}
