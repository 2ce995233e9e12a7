#pragma once
/* A bounded queue of bytes: what a kernel keeps for one direction of a socket. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct rig_bytes {
	uint8_t *data;
	size_t capacity;
	size_t head;
	size_t size;
};

static inline void rig_bytes_init(struct rig_bytes *bytes, size_t capacity)
{
	*bytes = (struct rig_bytes){ .data = malloc(capacity), .capacity = capacity };
	assert(bytes->data);
}

static inline void rig_bytes_done(struct rig_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct rig_bytes){};
}

static inline size_t rig_bytes_room(const struct rig_bytes *bytes)
{
	return bytes->capacity - bytes->size;
}

/* As much as there is room for; returns how much. */
static inline size_t rig_bytes_put(struct rig_bytes *bytes, const uint8_t *from, size_t size)
{
	if (size > rig_bytes_room(bytes))
		size = rig_bytes_room(bytes);
	for (size_t done = 0; done < size;) {
		size_t at = (bytes->head + bytes->size) % bytes->capacity;
		size_t part = bytes->capacity - at;

		if (part > size - done)
			part = size - done;
		memcpy(bytes->data + at, from + done, part);
		bytes->size += part;
		done += part;
	}
	return size;
}

/* Copies from `offset` on; the bytes stay. Returns how many there were. */
static inline size_t rig_bytes_peek(const struct rig_bytes *bytes, size_t offset, uint8_t *to,
				    size_t size)
{
	if (offset >= bytes->size)
		return 0;
	if (size > bytes->size - offset)
		size = bytes->size - offset;
	for (size_t done = 0; done < size;) {
		size_t at = (bytes->head + offset + done) % bytes->capacity;
		size_t part = bytes->capacity - at;

		if (part > size - done)
			part = size - done;
		memcpy(to + done, bytes->data + at, part);
		done += part;
	}
	return size;
}

static inline size_t rig_bytes_drop(struct rig_bytes *bytes, size_t size)
{
	if (size > bytes->size)
		size = bytes->size;
	bytes->head = bytes->capacity > 0 ? (bytes->head + size) % bytes->capacity : 0;
	bytes->size -= size;
	return size;
}
