#include "base/text.h"

#include <string.h>

struct text_view text_view_of(const char *text)
{
	return (struct text_view){ .start = text, .length = strlen(text) };
}

bool text_view_equal(struct text_view view, const char *text)
{
	return strlen(text) == view.length &&
	       (view.length == 0 || memcmp(view.start, text, view.length) == 0);
}

bool text_view_copy(struct text_view view, char *buffer, size_t size)
{
	if (view.length >= size)
		return false;
	if (view.length > 0)
		memcpy(buffer, view.start, view.length);
	buffer[view.length] = '\0';
	return true;
}

bool text_view_cut(struct text_view view, char separator, struct text_view *ret_head,
		   struct text_view *ret_rest)
{
	const char *found = view.length > 0 ? memchr(view.start, separator, view.length) : NULL;
	size_t head_length;

	if (!found) {
		*ret_head = view;
		*ret_rest = (struct text_view){ .start = view.start, .length = 0 };
		return false;
	}
	head_length = (size_t)(found - view.start);
	*ret_head = (struct text_view){ .start = view.start, .length = head_length };
	*ret_rest = (struct text_view){
		.start = found + 1,
		.length = view.length - head_length - 1,
	};
	return true;
}

bool text_parse_u64(struct text_view view, uint64_t most, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (view.length == 0)
		return false;
	for (size_t i = 0; i < view.length; i++) {
		char c = view.start[i];

		if (c < '0' || c > '9')
			return false;
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
			return false;
	}
	if (value > most)
		return false;
	*ret_value = value;
	return true;
}

bool text_parse_u16(struct text_view view, uint16_t *ret_value)
{
	uint64_t value;

	if (!text_parse_u64(view, UINT16_MAX, &value))
		return false;
	*ret_value = (uint16_t)value;
	return true;
}
