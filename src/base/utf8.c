#include "base/utf8.h"

#include "base/compiler.h"

#define UTF8_JOINER    0x200du
#define UTF8_TAIL_MOST 3 /* bytes behind the first of a character */

/* Size of the sequence that a first byte announces, 0 for a byte that cannot be a first one. */
static size_t announced_size(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

static bool is_allowed(uint32_t code, size_t size)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	return code >= least[size] && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
}

size_t utf8_decode(const char *text, uint32_t *ret_code, bool *ret_valid)
{
	unsigned char first = (unsigned char)text[0];
	if (first == 0)
		return 0;
	size_t size = announced_size(first);
	*ret_valid = true;
	if (size == 1) {
		*ret_code = first;
		return 1;
	}
	uint32_t code = size ? (uint32_t)(first & (0x7f >> size)) : 0;
	for (size_t i = 1; i < size; i++) {
		unsigned char next = (unsigned char)text[i];
		if ((next & 0xc0) != 0x80) { /* also the end of the text */
			size = 0;
			break;
		}
		code = code << 6 | (next & 0x3f);
	}
	if (size == 0 || !is_allowed(code, size)) {
		*ret_valid = false;
		*ret_code = UTF8_REPLACEMENT;
		return 1;
	}
	*ret_code = code;
	return size;
}

bool utf8_is_valid(const char *text)
{
	uint32_t code;
	size_t size;
	bool valid;

	while ((size = utf8_decode(text, &code, &valid)) > 0) {
		if (!valid)
			return false;
		text += size;
	}
	return true;
}

bool utf8_is_control(uint32_t code)
{
	if (code < 0x20 || (code >= 0x7f && code <= 0x9f))
		return true;
	if (code >= 0x200b && code <= 0x200f)
		return true;
	if ((code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
		return true;
	return code == 0x2028 || code == 0x2029 || code == 0xfeff;
}

bool utf8_is_blank(uint32_t code)
{
	if ((code >= 0x09 && code <= 0x0d) || (code >= 0x2000 && code <= 0x200a))
		return true;
	switch (code) {
	case 0x20:
	case 0x85:
	case 0xa0:
	case 0x1680:
	case 0x2028:
	case 0x2029:
	case 0x202f:
	case 0x205f:
	case 0x3000:
		return true;
	default:
		return false;
	}
}

bool utf8_is_extending(uint32_t code)
{
	static const struct {
		uint32_t first;
		uint32_t last;
	} ranges[] = {
		{ 0x0300, 0x036f }, /* combining diacritical marks, and their four later blocks */
		{ 0x1ab0, 0x1aff },	      { 0x1dc0, 0x1dff },
		{ 0x20d0, 0x20ff },	      { 0xfe20, 0xfe2f },
		{ UTF8_JOINER, UTF8_JOINER }, { 0xfe00, 0xfe0f }, /* variation selectors */
		{ 0x1f3fb, 0x1f3ff },				  /* skin tones */
		{ 0xe0020, 0xe007f },				  /* tags of regional flags */
		{ 0xe0100, 0xe01ef }, /* variation selectors supplement */
	};

	for (size_t i = 0; i < ARRAY_COUNT(ranges); i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	}
	return false;
}

size_t utf8_cut(const char *text, size_t size, size_t most)
{
	size_t used = 0;
	size_t whole = 0; /* where the last character begins */
	bool is_joined = false;

	for (size_t count = 0; used < size; count++) {
		uint32_t code;
		bool valid;
		size_t step = utf8_decode(text + used, &code, &valid);
		if (step == 0)
			break;
		if (!is_joined && !utf8_is_extending(code))
			whole = used;
		if (count == most)
			return whole > 0 ? whole : used; /* one that fills it all is parted */
		is_joined = code == UTF8_JOINER;
		used += step;
	}
	return used;
}

size_t utf8_fit(const char *text, size_t size, size_t most)
{
	size_t used = most;

	if (size <= most)
		return size;
	while (used > 0 && most - used < UTF8_TAIL_MOST &&
	       ((unsigned char)text[used] & 0xc0) == 0x80)
		used--;
	return used;
}
