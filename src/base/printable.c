#include "base/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

const char *printable(const char *text, char *buffer, size_t size)
{
	size_t used = 0;
	size_t step;
	uint32_t code;
	bool valid;

	for (; (step = utf8_decode(text, &code, &valid)); text += step) {
		char piece[16];
		if (!valid) {
			snprintf(piece, sizeof(piece), "\\x%02x", (unsigned)(unsigned char)text[0]);
		} else if (utf8_is_control(code)) {
			snprintf(piece, sizeof(piece), "\\u%04x", (unsigned)code);
		} else {
			memcpy(piece, text, step);
			piece[step] = 0;
		}
		size_t length = strlen(piece);
		if (used + length >= size)
			break;
		memcpy(buffer + used, piece, length);
		used += length;
	}
	buffer[used] = 0;
	return buffer;
}
