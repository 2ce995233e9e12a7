#pragma once
/* UTF-8 one code point at a time, for names and labels (RFC 3629). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdu

/*
 * The code point that `text` (terminated) begins with; returns its size in bytes, 0 at the end. A
 * byte that begins no valid sequence is UTF8_REPLACEMENT, one byte long, and *ret_valid is false.
 */
size_t utf8_decode(const char *text, uint32_t *ret_code, bool *ret_valid);

/* C0, C1 and DEL, and the marks that reorder or hide text on a terminal (U+202A.., U+2066..,
 * U+200B..U+200F, U+FEFF). */
bool utf8_is_control(uint32_t code);
/* White space and line ends in the sense of Unicode's White_Space property. */
bool utf8_is_blank(uint32_t code);
