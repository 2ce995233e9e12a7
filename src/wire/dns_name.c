#include "wire/dns_name.h"

#include <assert.h>

#include "wire/writer.h"

#define LABEL_MAX     63
#define LABEL_KIND    0xc0
#define LABEL_POINTER 0xc0

bool dns_name_read(struct reader *message, uint8_t ret_name[DNS_NAME_MAX], uint8_t *ret_size)
{
	uint8_t name[DNS_NAME_MAX];
	struct writer writer = writer_of(name, sizeof(name));
	struct reader reader = *message;
	size_t part_start = reader.position;
	bool jumped = false;

	for (;;) {
		uint8_t size = reader_u8(&reader);

		if ((size & LABEL_KIND) == LABEL_POINTER) {
			size_t target = (size_t)(size & ~LABEL_KIND) << 8 | reader_u8(&reader);

			if (!jumped)
				*message = reader;
			jumped = true;
			/* Strictly towards the start, so this ends. */
			if (!reader_ok(&reader) || target >= part_start)
				return false;
			reader.position = target;
			part_start = target;
			continue;
		}
		if (size > LABEL_MAX)
			return false;
		writer_u8(&writer, size);
		const uint8_t *label = reader_take(&reader, size);
		if (!label)
			return false;
		writer_bytes(&writer, label, size);
		if (!reader_ok(&reader) || !writer_ok(&writer))
			return false;
		if (size == 0)
			break;
	}
	if (!jumped)
		*message = reader;
	memcpy(ret_name, name, writer.position);
	*ret_size = (uint8_t)writer.position;
	return true;
}

bool dns_name_skip(struct reader *message)
{
	for (;;) {
		uint8_t size = reader_u8(message);

		if ((size & LABEL_KIND) == LABEL_POINTER) {
			reader_skip(message, 1);
			return reader_ok(message);
		}
		if (size > LABEL_MAX)
			return false;
		reader_skip(message, size);
		if (!reader_ok(message))
			return false;
		if (size == 0)
			return true;
	}
}

static bool is_plain(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
	       byte == '_';
}

static uint8_t to_lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

static void write_byte_as_text(struct writer *writer, uint8_t byte)
{
	byte = to_lower(byte);
	if (is_plain(byte)) {
		writer_u8(writer, byte);
		return;
	}
	writer_u8(writer, '\\');
	writer_u8(writer, (uint8_t)('0' + byte / 100));
	writer_u8(writer, (uint8_t)('0' + byte / 10 % 10));
	writer_u8(writer, (uint8_t)('0' + byte % 10));
}

void dns_name_to_text(const uint8_t *name, uint8_t size, char ret_text[DNS_NAME_TEXT_SIZE])
{
	struct reader reader = reader_of(name, size);
	struct writer writer = writer_of(ret_text, DNS_NAME_TEXT_SIZE);

	for (uint8_t left = reader_u8(&reader); left > 0; left = reader_u8(&reader)) {
		if (writer.position > 0)
			writer_u8(&writer, '.');
		for (; left > 0; left--)
			write_byte_as_text(&writer, reader_u8(&reader));
	}
	writer_u8(&writer, '\0');
	assert(reader_ok(&reader) && writer_ok(&writer));
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One byte of a label; *text moves behind it. */
static bool read_text_byte(const char **text, uint8_t *ret_byte)
{
	const char *c = *text;

	if (*c != '\\') {
		*ret_byte = (uint8_t)*c;
		*text = c + 1;
		return true;
	}
	if (!is_digit(c[1]) || !is_digit(c[2]) || !is_digit(c[3]))
		return false;
	int value = (c[1] - '0') * 100 + (c[2] - '0') * 10 + (c[3] - '0');
	if (value > UINT8_MAX)
		return false;
	*ret_byte = (uint8_t)value;
	*text = c + 4;
	return true;
}

bool dns_name_from_text(const char *text, uint8_t ret_name[DNS_NAME_MAX], uint8_t *ret_size)
{
	uint8_t name[DNS_NAME_MAX];
	struct writer writer = writer_of(name, sizeof(name));

	if (text[0] == '.' && text[1] == '\0')
		text++;
	while (*text != '\0') {
		size_t size_position = writer.position;
		uint8_t size = 0;

		writer_u8(&writer, 0);
		for (; *text != '\0' && *text != '.'; size++) {
			uint8_t byte;

			if (size == LABEL_MAX || !read_text_byte(&text, &byte))
				return false;
			writer_u8(&writer, byte);
		}
		if (size == 0 || !writer_ok(&writer))
			return false;
		name[size_position] = size;
		if (*text == '.')
			text++;
	}
	writer_u8(&writer, 0);
	if (!writer_ok(&writer))
		return false;
	memcpy(ret_name, name, writer.position);
	*ret_size = (uint8_t)writer.position;
	return true;
}
