#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* One byte more than is kept, which tells whether a character goes on behind the end. */
#define WHOLE_SIZE (ERROR_TEXT_SIZE + 1)

/* As much of `text` as there is room for. A character in two halves could not be said in JSON. */
static void keep(struct error *err, const char *text)
{
	size_t size = utf8_fit(text, strlen(text), ERROR_TEXT_SIZE - 1);

	memcpy(err->text, text, size);
	err->text[size] = '\0';
}

void error_set(struct error *err, const char *format, ...)
{
	/* Through a copy: an argument may be the old text. */
	char text[WHOLE_SIZE] = "";
	va_list arguments;

	if (!err)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	keep(err, text);
}

void error_prefix(struct error *err, const char *format, ...)
{
	char prefix[WHOLE_SIZE] = "";
	char text[WHOLE_SIZE + ERROR_TEXT_SIZE + 2];
	va_list arguments;

	if (!err)
		return;
	va_start(arguments, format);
	vsnprintf(prefix, sizeof(prefix), format, arguments);
	va_end(arguments);
	snprintf(text, sizeof(text), "%s: %s", prefix, err->text);
	keep(err, text);
}
