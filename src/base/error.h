#pragma once
/*
 * A sentence for the operator. Functions whose failure a person will read take `struct error *err`
 * (NULL when the caller does not care) and return a negative errno beside it.
 */

#include <stdarg.h>

#include "base/compiler.h"

#define ERROR_TEXT_SIZE 512

struct error {
	char text[ERROR_TEXT_SIZE]; /* always terminated; "" when nothing was set */
};

/* Replaces the text. Too long a text is cut, between two characters. err may be NULL. */
void error_set(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "format: " before the text that is there. err may be NULL. */
void error_prefix(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);
