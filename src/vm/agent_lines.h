#pragma once
/* The lines that the agent in a guest sends, out of bytes that come in any pieces. */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

/* Stands before the answer to guest-sync-delimited; no other answer has it, being UTF-8. */
#define AGENT_DELIMITER 0xff

struct agent_lines {
	char *buffer;
	size_t capacity;
	size_t start;	/* of what was not given out yet */
	size_t scanned; /* up to there is no end of a line; >= start */
	size_t used;
};

/* All zero is a good beginning. */
void agent_lines_done(struct agent_lines *lines);

/*
 * Room for more bytes. 0; -ENOBUFS when a line would become longer than `most`; -ENOMEM. What
 * agent_lines_next() gave out is gone.
 */
int agent_lines_reserve(struct agent_lines *lines, size_t most, char **ret_room,
			size_t *ret_size) MUST_USE;
/* So many bytes have been put there. */
void agent_lines_added(struct agent_lines *lines, size_t size);

/* The next whole line, without its end. */
bool agent_lines_next(struct agent_lines *lines, const char **ret_line, size_t *ret_size) MUST_USE;
/* Throws away all up to the last delimiter that has come; false = none has. */
bool agent_lines_skip_to_delimiter(struct agent_lines *lines);
/* Throws away all that has come. */
void agent_lines_drop(struct agent_lines *lines);
