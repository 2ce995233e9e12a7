#include "vm/ssh_key.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/utf8.h"
#include "wire/reader.h"

/* What sshd takes as a person's key. */
static const char *const types[] = {
	"ssh-ed25519",
	"ssh-rsa",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com",
	"sk-ecdsa-sha2-nistp256@openssh.com",
};

static bool is_type(struct text_view text)
{
	for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
		if (text_view_equal(text, types[i]))
			return true;
	}
	return false;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '/')
		return c == '+' ? 62 : 63;
	return -1;
}

/* RFC 4648 4, whole groups of four. Returns the bytes, 0 when it is none or longer than `capacity`. */
static size_t decode_base64(struct text_view text, uint8_t *ret_bytes, size_t capacity)
{
	size_t padding = 0;
	uint32_t bits = 0;
	size_t size = 0;

	if (text.length % 4 != 0 || text.length / 4 * 3 > capacity)
		return 0;
	while (padding < 2 && padding < text.length && text.start[text.length - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text.length; i++) {
		int value = i < text.length - padding ? base64_value(text.start[i]) : 0;

		if (value < 0)
			return 0;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 == 3) {
			ret_bytes[size++] = (uint8_t)(bits >> 16);
			ret_bytes[size++] = (uint8_t)(bits >> 8);
			ret_bytes[size++] = (uint8_t)bits;
		}
	}
	return size - padding;
}

/* Begins with its type again, and something is behind it that fills the rest. */
static bool is_blob(struct text_view base64, struct text_view type)
{
	uint8_t bytes[SSH_KEY_LINE_MOST];
	size_t size = decode_base64(base64, bytes, sizeof(bytes));
	struct reader reader = reader_of(bytes, size);
	uint32_t length = reader_u32(&reader);
	const uint8_t *name = reader_take(&reader, length);
	size_t parts = 0;

	if (!name || length != type.length || memcmp(name, type.start, length) != 0)
		return false;
	for (; reader_left(&reader) > 0; parts++) {
		length = reader_u32(&reader);
		if (!reader_take(&reader, length))
			return false;
	}
	/* A point, or exponent and modulus, or a curve, a point and an application. */
	return parts >= 1 && parts <= 3;
}

static bool is_printable(struct text_view text)
{
	char copy[SSH_KEY_LINE_MOST + 1];
	size_t size;
	uint32_t code;
	bool valid;

	if (!text_view_copy(text, copy, sizeof(copy)) || strlen(copy) != text.length)
		return false;
	for (size_t at = 0; (size = utf8_decode(copy + at, &code, &valid)); at += size) {
		if (!valid || utf8_is_control(code))
			return false;
	}
	return true;
}

bool ssh_key_check(struct text_view line, struct error *err)
{
	struct text_view type;
	struct text_view base64;
	struct text_view rest;

	if (line.length > SSH_KEY_LINE_MOST) {
		error_set(err, "longer than %d bytes", SSH_KEY_LINE_MOST);
		return false;
	}
	(void)text_view_cut(line, ' ', &type, &rest);
	(void)text_view_cut(rest, ' ', &base64, &rest);
	if (!is_type(type)) {
		error_set(err, "no public ssh key: it should begin with ssh-ed25519, ssh-rsa, "
			       "ecdsa-sha2-nistp256 or another type of key");
		return false;
	}
	if (!is_blob(base64, type)) {
		error_set(err, "the %.*s key is damaged or cut short", (int)type.length,
			  type.start);
		return false;
	}
	if (!is_printable(rest)) {
		error_set(err, "the comment of the %.*s key is no printable text", (int)type.length,
			  type.start);
		return false;
	}
	return true;
}

static bool begins_with(struct text_view text, const char *start)
{
	return text.length >= strlen(start) && memcmp(text.start, start, strlen(start)) == 0;
}

/* Before anything of it is shown or kept. */
static bool is_private(struct text_view text)
{
	static const char mark[] = "PRIVATE KEY-----";

	return begins_with(text, "PuTTY-User-Key-File-") ||
	       (text.length > 0 && memmem(text.start, text.length, mark, strlen(mark)));
}

/* What other programs have instead of a line. */
static bool is_foreign(struct text_view text)
{
	return begins_with(text, "---- BEGIN SSH2 PUBLIC KEY") || begins_with(text, "-----BEGIN ");
}

static struct text_view trim_end(struct text_view text)
{
	while (text.length > 0 && strchr(" \t\r", text.start[text.length - 1]))
		text.length--;
	return text;
}

int ssh_keys_parse(const char *text, size_t size,
		   int (*take)(void *context, struct text_view key, struct error *err),
		   void *context, struct error *err)
{
	struct text_view rest = { text, size };
	struct text_view line;
	size_t keys = 0;

	if (is_private(rest)) {
		error_set(err,
			  "it is a private key, which is for nobody but you: give the public one, "
			  "whose name ends in .pub");
		return -EINVAL;
	}
	if (is_foreign(rest)) {
		error_set(err, "it is no key as OpenSSH has it; ssh-keygen -i -f FILE makes one of "
			       "some others");
		return -EINVAL;
	}
	for (size_t number = 1; rest.length > 0; number++) {
		(void)text_view_cut(rest, '\n', &line, &rest);
		line = trim_end(line);
		if (line.length == 0 || line.start[0] == '#')
			continue;
		if (!ssh_key_check(line, err)) {
			error_prefix(err, "line %zu", number);
			return -EINVAL;
		}
		int r = take(context, line, err);
		if (r < 0)
			return r;
		keys++;
	}
	if (keys == 0) {
		error_set(err, "there is no key in it");
		return -EINVAL;
	}
	return 0;
}
