#include "base/error.h"

#include <stdio.h>
#include <string.h>

void error_set(struct error *err, const char *format, ...)
{
	/* Through a copy: an argument may be the old text. */
	char text[ERROR_TEXT_SIZE] = "";
	va_list arguments;

	if (!err)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	memcpy(err->text, text, sizeof(text));
}

void error_prefix(struct error *err, const char *format, ...)
{
	char prefix[ERROR_TEXT_SIZE] = "";
	char text[2 * ERROR_TEXT_SIZE + 2];
	va_list arguments;

	if (!err)
		return;
	va_start(arguments, format);
	vsnprintf(prefix, sizeof(prefix), format, arguments);
	va_end(arguments);
	snprintf(text, sizeof(text), "%s: %s", prefix, err->text);
	text[ERROR_TEXT_SIZE - 1] = '\0';
	memcpy(err->text, text, ERROR_TEXT_SIZE);
}
