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

/* Whether all of it is UTF-8, as JSON needs it. */
bool utf8_is_valid(const char *text);

/* C0, C1 and DEL, and the marks that reorder or hide text on a terminal (U+202A.., U+2066..,
 * U+200B..U+200F, U+FEFF). */
bool utf8_is_control(uint32_t code);
/* What belongs to the character before it: marks of the blocks made for that, variation selectors,
 * skin tones, the joiner U+200D. Vowel signs of single scripts are not in it. */
bool utf8_is_extending(uint32_t code);
/*
 * Bytes of the first `most` code points of the `size` bytes at `text` (which is terminated, maybe
 * later), fewer where the cut would part a character from what extends it.
 */
size_t utf8_cut(const char *text, size_t size, size_t most);
/*
 * Bytes of the `size` at `text` that fit into `most` without the last character being cut in two. Where they are no
 * UTF-8, `most` is missed by three at most.
 */
size_t utf8_fit(const char *text, size_t size, size_t most);
/* White space and line ends in the sense of Unicode's White_Space property. */
bool utf8_is_blank(uint32_t code);
