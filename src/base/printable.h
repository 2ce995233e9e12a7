#pragma once
/* What people typed, as it can be shown: a sentence that quotes it must not steer the terminal. */

#include <stddef.h>

/*
 * Copies `text`; control characters become "\\u001b", bytes that are no UTF-8 "\\xff". What does not
 * fit is cut off. Returns the buffer.
 */
const char *printable(const char *text, char *buffer, size_t size);
