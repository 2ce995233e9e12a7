#pragma once
/* Walks along a list of memory pieces and cuts slices off it, without copying. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov_cursor {
	const struct iovec *iov;
	size_t count;
	size_t index;  /* the piece we are in */
	size_t offset; /* bytes of it that are used up */
};

static inline struct iov_cursor iov_cursor_of(const struct iovec *iov, size_t count)
{
	return (struct iov_cursor){ .iov = iov, .count = count };
}

/*
 * Describes the next size bytes in ret_parts. They must be there, and must not lie in more than
 * `capacity` pieces (the caller's list is no longer than that). Returns the number of parts.
 */
static inline size_t iov_cursor_cut(struct iov_cursor *cursor, size_t size, struct iovec *ret_parts,
				    size_t capacity)
{
	size_t parts = 0;

	while (size > 0) {
		assert(cursor->index < cursor->count);
		const struct iovec *piece = &cursor->iov[cursor->index];
		size_t left = piece->iov_len - cursor->offset;
		size_t now = left < size ? left : size;

		if (now > 0) {
			assert(parts < capacity);
			ret_parts[parts].iov_base =
				(void *)((uintptr_t)piece->iov_base + cursor->offset);
			ret_parts[parts].iov_len = now;
			parts++;
		}
		size -= now;
		cursor->offset += now;
		if (cursor->offset == piece->iov_len) {
			cursor->index++;
			cursor->offset = 0;
		}
	}
	return parts;
}

/* Passes over size bytes, which must be there. */
static inline void iov_cursor_skip(struct iov_cursor *cursor, size_t size)
{
	while (size > 0) {
		assert(cursor->index < cursor->count);
		size_t left = cursor->iov[cursor->index].iov_len - cursor->offset;
		size_t now = left < size ? left : size;

		size -= now;
		cursor->offset += now;
		if (now == left) {
			cursor->index++;
			cursor->offset = 0;
		}
	}
}
