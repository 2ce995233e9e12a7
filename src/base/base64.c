#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
#define PADDING 64 /* its place there */

void base64_encode(const uint8_t *bytes, size_t size, char *text)
{
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t group = (uint32_t)bytes[i] << 16;

		if (left > 1)
			group |= (uint32_t)bytes[i + 1] << 8;
		if (left > 2)
			group |= bytes[i + 2];
		*text++ = alphabet[group >> 18];
		*text++ = alphabet[group >> 12 & 63];
		*text++ = alphabet[left > 1 ? group >> 6 & 63 : PADDING];
		*text++ = alphabet[left > 2 ? group & 63 : PADDING];
	}
	*text = 0;
}

/* Of one character; -1 = it is none of the alphabet. */
static int value_of(char character)
{
	if (character >= 'A' && character <= 'Z')
		return character - 'A';
	if (character >= 'a' && character <= 'z')
		return character - 'a' + 26;
	if (character >= '0' && character <= '9')
		return character - '0' + 52;
	if (character == '+')
		return 62;
	return character == '/' ? 63 : -1;
}

static size_t padding_of(const char *text, size_t length)
{
	if (length == 0 || text[length - 1] != '=')
		return 0;
	return text[length - 2] == '=' ? 2 : 1;
}

bool base64_decode(const char *text, size_t length, uint8_t *buffer, size_t *ret_size)
{
	size_t used = 0;

	if (length % 4 != 0)
		return false;
	size_t padding = padding_of(text, length);
	uint32_t group = 0;
	for (size_t i = 0; i < length - padding; i++) {
		int value = value_of(text[i]);
		if (value < 0)
			return false;
		group = group << 6 | (uint32_t)value;
		if (i % 4 != 3)
			continue;
		buffer[used++] = (uint8_t)(group >> 16);
		buffer[used++] = (uint8_t)(group >> 8);
		buffer[used++] = (uint8_t)group;
		group = 0;
	}
	/* Bits that belong to no byte are zero, so that there is one text for the bytes. */
	if (padding == 1) {
		if (group & 3)
			return false;
		buffer[used++] = (uint8_t)(group >> 10);
		buffer[used++] = (uint8_t)(group >> 2);
	} else if (padding == 2) {
		if (group & 15)
			return false;
		buffer[used++] = (uint8_t)(group >> 4);
	}
	*ret_size = used;
	return true;
}
