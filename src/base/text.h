#pragma once
/* Scanning text that people wrote: whole-piece number parsing and splitting, nothing implicit. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* A piece of a longer text; not terminated. */
struct text_view {
	const char *start;
	size_t length; /* bytes */
};

struct text_view text_view_of(const char *text);
bool text_view_equal(struct text_view view, const char *text);
/* Copies and terminates; false when it does not fit into size bytes. */
bool text_view_copy(struct text_view view, char *buffer, size_t size) MUST_USE;
/* Cuts at the first `separator`: *rest keeps what follows. Without one, the whole view is the head
 * and *rest becomes empty. Returns true when the separator was there. */
bool text_view_cut(struct text_view view, char separator, struct text_view *ret_head,
		   struct text_view *ret_rest);

/* The whole view must be a decimal number: digits only (leading zeros are taken), no sign, no
 * blanks, at most `most`. */
bool text_parse_u64(struct text_view view, uint64_t most, uint64_t *ret_value) MUST_USE;
bool text_parse_u16(struct text_view view, uint16_t *ret_value) MUST_USE;
