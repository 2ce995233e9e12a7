#pragma once
/* Base64 (RFC 4648, section 4): with padding, without line ends. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Characters, without the terminator. */
static inline size_t base64_text_size(size_t size)
{
	return (size + 2) / 3 * 4;
}
/* Bytes that a text of that many characters can have at most. */
static inline size_t base64_most_bytes(size_t length)
{
	return length / 4 * 3;
}

/* text has room for base64_text_size(size) + 1. */
void base64_encode(const uint8_t *bytes, size_t size, char *text);
/*
 * buffer has room for base64_most_bytes(length). False for anything but what base64_encode() would
 * have written.
 */
bool base64_decode(const char *text, size_t length, uint8_t *buffer, size_t *ret_size) MUST_USE;
