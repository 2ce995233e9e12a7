#pragma once
/*
 * Bounded cursor for bytes that we make. Failure is sticky, as in the reader: a builder writes its
 * fields in a row and asks writer_ok() once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct writer {
	uint8_t *data;
	size_t size;
	size_t position;
	bool failed;
};

static inline struct writer writer_of(void *data, size_t size)
{
	return (struct writer){ .data = data, .size = size };
}

static inline bool writer_ok(const struct writer *writer)
{
	return !writer->failed;
}

static inline size_t writer_left(const struct writer *writer)
{
	return writer->failed ? 0 : writer->size - writer->position;
}

/* Room for size bytes, or NULL when there is less. */
static inline uint8_t *writer_take(struct writer *writer, size_t size)
{
	if (writer->failed || writer->size - writer->position < size) {
		writer->failed = true;
		return NULL;
	}
	uint8_t *bytes = writer->data + writer->position;
	writer->position += size;
	return bytes;
}

static inline void writer_u8(struct writer *writer, uint8_t value)
{
	uint8_t *b = writer_take(writer, 1);
	if (b)
		b[0] = value;
}

static inline void writer_u16(struct writer *writer, uint16_t value)
{
	uint8_t *b = writer_take(writer, 2);
	if (b) {
		b[0] = (uint8_t)(value >> 8);
		b[1] = (uint8_t)value;
	}
}

static inline void writer_u32(struct writer *writer, uint32_t value)
{
	uint8_t *b = writer_take(writer, 4);
	if (b) {
		b[0] = (uint8_t)(value >> 24);
		b[1] = (uint8_t)(value >> 16);
		b[2] = (uint8_t)(value >> 8);
		b[3] = (uint8_t)value;
	}
}

static inline void writer_bytes(struct writer *writer, const void *bytes, size_t size)
{
	uint8_t *b = writer_take(writer, size);
	if (b && size > 0)
		memcpy(b, bytes, size);
}

static inline void writer_zeroes(struct writer *writer, size_t size)
{
	uint8_t *b = writer_take(writer, size);
	if (b && size > 0)
		memset(b, 0, size);
}

/* Overwrites two bytes written before (a length or checksum known only at the end). */
static inline void writer_patch_u16(struct writer *writer, size_t position, uint16_t value)
{
	if (writer->failed || position + 2 > writer->position) {
		writer->failed = true;
		return;
	}
	writer->data[position] = (uint8_t)(value >> 8);
	writer->data[position + 1] = (uint8_t)value;
}
