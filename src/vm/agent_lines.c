#include "vm/agent_lines.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY ((size_t)64 * 1024)

void agent_lines_done(struct agent_lines *lines)
{
	free(lines->buffer);
	*lines = (struct agent_lines){ 0 };
}

static void move_to_front(struct agent_lines *lines)
{
	if (lines->start == 0)
		return;
	memmove(lines->buffer, lines->buffer + lines->start, lines->used - lines->start);
	lines->used -= lines->start;
	lines->scanned -= lines->start;
	lines->start = 0;
}

static int grow(struct agent_lines *lines, size_t most)
{
	size_t capacity = lines->capacity > 0 ? lines->capacity * 2 : FIRST_CAPACITY;

	if (capacity > most)
		capacity = most;
	char *buffer = realloc(lines->buffer, capacity);
	if (!buffer)
		return -ENOMEM;
	lines->buffer = buffer;
	lines->capacity = capacity;
	return 0;
}

int agent_lines_reserve(struct agent_lines *lines, size_t most, char **ret_room, size_t *ret_size)
{
	if (lines->buffer)
		move_to_front(lines);
	if (lines->used >= most)
		return -ENOBUFS;
	if (lines->used == lines->capacity) {
		int r = grow(lines, most);
		if (r < 0)
			return r;
	}
	*ret_room = lines->buffer + lines->used;
	*ret_size = (lines->capacity < most ? lines->capacity : most) - lines->used;
	return 0;
}

void agent_lines_added(struct agent_lines *lines, size_t size)
{
	assert(size <= lines->capacity - lines->used);
	lines->used += size;
}

bool agent_lines_next(struct agent_lines *lines, const char **ret_line, size_t *ret_size)
{
	if (lines->scanned == lines->used)
		return false;
	const char *end =
		memchr(lines->buffer + lines->scanned, '\n', lines->used - lines->scanned);
	if (!end) {
		lines->scanned = lines->used;
		return false;
	}
	*ret_line = lines->buffer + lines->start;
	*ret_size = (size_t)(end - *ret_line);
	lines->start += *ret_size + 1;
	lines->scanned = lines->start;
	return true;
}

bool agent_lines_skip_to_delimiter(struct agent_lines *lines)
{
	if (lines->used == lines->start)
		return false;
	const char *delimiter =
		memrchr(lines->buffer + lines->start, AGENT_DELIMITER, lines->used - lines->start);
	if (!delimiter)
		return false;
	lines->start = (size_t)(delimiter + 1 - lines->buffer);
	lines->scanned = lines->start;
	return true;
}

void agent_lines_drop(struct agent_lines *lines)
{
	lines->start = lines->used;
	lines->scanned = lines->used;
}
