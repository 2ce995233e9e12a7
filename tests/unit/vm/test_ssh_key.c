#include "vm/ssh_key.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/error.h"

#define ED25519                                                                                    \
	"ssh-ed25519 "                                                                             \
	"AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define ECDSA                                                                                      \
	"ecdsa-sha2-nistp256 "                                                                     \
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define RSA                                                                                        \
	"ssh-rsa "                                                                                 \
	"AAAAB3NzaC1yc2EAAAADAQABAAAAQQD/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SK_ED25519                                                                                 \
	"sk-ssh-ed25519@openssh.com "                                                              \
	"AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f" \
	"AAAABHNzaDo="

struct taken {
	size_t count;
	char keys[8][1000];
};

static int take(void *context, struct text_view key, struct error *err)
{
	struct taken *taken = context;

	(void)err;
	assert_true(taken->count < ARRAY_COUNT(taken->keys));
	assert_true(text_view_copy(key, taken->keys[taken->count++], sizeof(taken->keys[0])));
	return 0;
}

static void test_keys(void **state)
{
	static const char text[] = "# mine\n" ED25519 " me@box\r\n\n" ECDSA "\n  \t\n" RSA
				   " \xc3\xa4 \"quoted\"\n" SK_ED25519;
	struct taken taken = { 0 };
	struct error err = { .text = "" };

	(void)state;
	assert_int_equal(ssh_keys_parse(text, strlen(text), take, &taken, &err), 0);
	assert_int_equal(taken.count, 4);
	assert_string_equal(taken.keys[0], ED25519 " me@box");
	assert_string_equal(taken.keys[1], ECDSA);
	assert_string_equal(taken.keys[2], RSA " \xc3\xa4 \"quoted\"");
	assert_string_equal(taken.keys[3], SK_ED25519);
}

struct refused {
	const char *text;
	const char *sentence;
};

#define NO_KEY                                                                                     \
	"no public ssh key: it should begin with ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 or "    \
	"another type of key"
#define PRIVATE                                                                                    \
	"it is a private key, which is for nobody but you: give the public one, whose name ends "  \
	"in .pub"
#define FOREIGN "it is no key as OpenSSH has it; ssh-keygen -i -f FILE makes one of some others"

static const struct refused table[] = {
	{ "", "there is no key in it" },
	{ "\n# none\n", "there is no key in it" },
	{ "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n", PRIVATE },
	{ "# note\n-----BEGIN RSA PRIVATE KEY-----\n", PRIVATE },
	{ "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", PRIVATE },
	{ "PuTTY-User-Key-File-3: ssh-ed25519\n", PRIVATE },
	{ "---- BEGIN SSH2 PUBLIC KEY ----\n", FOREIGN },
	{ "-----BEGIN CERTIFICATE-----\n", FOREIGN },
	{ "hello world\n", "line 1: " NO_KEY },
	{ "ssh-dss AAAAB3NzaC1kc3M=\n", "line 1: " NO_KEY },
	{ ED25519 "\nno-pty " ED25519 "\n", "line 2: " NO_KEY },
	{ "ssh-ed25519\n", "line 1: the ssh-ed25519 key is damaged or cut short" },
	{ "ssh-ed25519  AAAA\n", "line 1: the ssh-ed25519 key is damaged or cut short" },
	{ "ssh-ed25519 ====\n", "line 1: the ssh-ed25519 key is damaged or cut short" },
	{ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n",
	  "line 1: the ssh-ed25519 key is damaged or cut short" },
	{ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4\n",
	  "line 1: the ssh-ed25519 key is damaged or cut short" },
	{ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUW!xgZGhscHR4f\n",
	  "line 1: the ssh-ed25519 key is damaged or cut short" },
	{ "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n",
	  "line 1: the ssh-rsa key is damaged or cut short" },
	{ ED25519 " a\x01z\n", "line 1: the comment of the ssh-ed25519 key is no printable text" },
	{ ED25519 " \xff\n", "line 1: the comment of the ssh-ed25519 key is no printable text" },
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		struct taken taken = { 0 };
		struct error err = { .text = "" };

		assert_int_equal(
			ssh_keys_parse(table[i].text, strlen(table[i].text), take, &taken, &err),
			-EINVAL);
		assert_string_equal(err.text, table[i].sentence);
	}
}

static void test_zero_byte_and_length(void **state)
{
	static const char zero[] = ED25519 " a\0b\n";
	static char longest[SSH_KEY_LINE_MOST + 3];
	struct taken taken = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(ssh_keys_parse(zero, sizeof(zero) - 1, take, &taken, &err), -EINVAL);
	assert_string_equal(err.text,
			    "line 1: the comment of the ssh-ed25519 key is no printable text");
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, ED25519 " ", strlen(ED25519 " "));
	assert_true(ssh_key_check((struct text_view){ longest, SSH_KEY_LINE_MOST }, &err));
	assert_false(ssh_key_check((struct text_view){ longest, SSH_KEY_LINE_MOST + 1 }, &err));
	assert_string_equal(err.text, "longer than 8192 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_zero_byte_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
