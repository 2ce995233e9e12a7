#pragma once
/*
 * Public ssh keys in a text as ssh-keygen and authorized_keys have it: one a line, `TYPE BASE64 COMMENT`
 * (RFC 4253 6.6 says what the base64 is of). Options before the type are not taken.
 */

#include <stddef.h>

#include "base/compiler.h"
#include "base/text.h"

struct error;

#define SSH_KEY_LINE_MOST 8192 /* bytes; RSA with 16384 bits takes 2800 */

/* The type, what is behind it, and a comment that can be printed. False with a sentence. */
bool ssh_key_check(struct text_view line, struct error *err) MUST_USE;

/*
 * Calls take() for each key, in order; it returns 0 or what ends this. Blank lines, and those that
 * begin with "#", are none. -EINVAL with a sentence: a line that is none, a private key, not one key.
 */
int ssh_keys_parse(const char *text, size_t size,
		   int (*take)(void *context, struct text_view key, struct error *err),
		   void *context, struct error *err) MUST_USE;
