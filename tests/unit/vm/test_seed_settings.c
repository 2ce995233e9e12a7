#include "vm/seed_settings.h"

#include "scratch.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/error.h"

#define KEY                                                                                        \
	"ssh-ed25519 "                                                                             \
	"AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define USER_DATA "#cloud-config\n# \xc3\xa4 \"q\" \\\r\n\tpackages: [curl]\n"

static void make(struct seed_settings *settings)
{
	assert_int_equal(seed_settings_set_hostname(settings, "Box-1", NULL), 0);
	assert_int_equal(seed_settings_set_user_data(settings, USER_DATA, strlen(USER_DATA), NULL),
			 0);
	assert_int_equal(seed_settings_add_keys(settings, KEY " a\n" KEY " b\n" KEY " a\n",
						3 * strlen(KEY) + 9, NULL),
			 0);
}

static void test_kept(void **state)
{
	const struct scratch *scratch = *state;
	struct seed_settings settings = { 0 };
	struct seed_settings found;
	struct error err = { .text = "" };
	char first[64];

	assert_int_equal(seed_settings_load(scratch->fd, &found, &err), -ENOENT);
	assert_string_equal(err.text, "");
	assert_int_equal(seed_settings_renew(scratch->fd, &err), 0);
	assert_int_equal(faccessat(scratch->fd, SEED_FILE_NAME, F_OK, 0), -1);
	make(&settings);
	assert_int_equal(seed_settings_save(scratch->fd, &settings, &err), 0);
	assert_int_equal(seed_settings_load(scratch->fd, &found, &err), 0);
	assert_string_equal(found.hostname, "Box-1");
	assert_string_equal(found.user_data, USER_DATA);
	assert_int_equal(found.key_count, 2);
	assert_string_equal(found.keys[0], KEY " a");
	assert_string_equal(found.keys[1], KEY " b");
	assert_int_equal(strlen(found.instance_id), 36);
	assert_string_equal(found.instance_id, settings.instance_id);
	snprintf(first, sizeof(first), "%s", found.instance_id);
	/* Saved again it is the same instance; a clone's is another, and nothing else changes. */
	assert_int_equal(seed_settings_save(scratch->fd, &found, &err), 0);
	seed_settings_done(&found);
	assert_int_equal(seed_settings_load(scratch->fd, &found, &err), 0);
	assert_string_equal(found.instance_id, first);
	seed_settings_done(&found);
	assert_int_equal(seed_settings_renew(scratch->fd, &err), 0);
	assert_int_equal(seed_settings_load(scratch->fd, &found, &err), 0);
	assert_string_not_equal(found.instance_id, first);
	assert_string_equal(found.user_data, USER_DATA);
	assert_int_equal(found.key_count, 2);
	seed_settings_done(&found);
	seed_settings_done(&settings);
}

static void test_changed(void **state)
{
	struct seed_settings settings = { 0 };
	struct seed_settings given = { 0 };
	struct seed_settings hostname = { 0 };

	(void)state;
	make(&settings);
	settings.instance_id = strdup("iid-1");
	assert_int_equal(seed_settings_add_keys(&given, KEY " c\n", strlen(KEY) + 3, NULL), 0);
	seed_settings_change(&settings, &given);
	assert_int_equal(given.key_count, 0);
	assert_int_equal(settings.key_count, 1);
	assert_int_equal(settings.keys_size, strlen(KEY) + 2);
	assert_string_equal(settings.keys[0], KEY " c");
	assert_string_equal(settings.hostname, "Box-1");
	assert_string_equal(settings.user_data, USER_DATA);
	assert_null(settings.instance_id);
	assert_int_equal(seed_settings_set_hostname(&hostname, "other", NULL), 0);
	seed_settings_change(&settings, &hostname);
	assert_string_equal(settings.hostname, "other");
	assert_int_equal(settings.key_count, 1);
	seed_settings_done(&settings);
}

static void test_only_a_hostname(void **state)
{
	const struct scratch *scratch = *state;
	struct seed_settings settings = { 0 };
	struct seed_settings found;

	assert_int_equal(seed_settings_set_hostname(&settings, "7", NULL), 0);
	assert_int_equal(seed_settings_save(scratch->fd, &settings, NULL), 0);
	assert_int_equal(seed_settings_load(scratch->fd, &found, NULL), 0);
	assert_string_equal(found.hostname, "7");
	assert_null(found.user_data);
	assert_int_equal(found.key_count, 0);
	seed_settings_done(&found);
	seed_settings_done(&settings);
}

static void test_hostnames(void **state)
{
	static const char *const bad[] = {
		"",
		"-a",
		"a-",
		"a b",
		"a.b",
		"a_b",
		"\xc3\xa4",
		"a\n",
		"0123456789012345678901234567890123456789012345678901234567890123",
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_false(seed_hostname_check(bad[i], &err));
	assert_true(seed_hostname_check("a", &err));
	assert_true(seed_hostname_check(bad[ARRAY_COUNT(bad) - 1] + 1, &err));
	assert_false(seed_hostname_check("a b", &err));
	assert_string_equal(err.text, "invalid host name \"a b\": expected letters, digits and "
				      "hyphens, at most 63, no hyphen at either end");
}

struct bad_user_data {
	const char *text;
	size_t size;
	const char *sentence;
};

#define UNKNOWN                                                                                    \
	"cloud-init would not know what it is: the first line should be \"#cloud-config\" (or "    \
	"\"#!...\", or the head of a MIME message)"

static const struct bad_user_data bad_user_data[] = {
	{ "", 0, "it is empty" },
	{ "#\0", 2, "it is no text in UTF-8 (and need not be packed)" },
	{ "\x1f\x8b\x08", 3, "it is no text in UTF-8 (and need not be packed)" },
	{ "#\xe4", 2, "it is no text in UTF-8 (and need not be packed)" },
	{ "users: []", 9, UNKNOWN },
	{ "\xef\xbb\xbf#cloud-config", 16, UNKNOWN }, /* a byte order mark */
	{ "\n#cloud-config", 14, UNKNOWN },
	{ "#", SEED_USER_DATA_MOST + 1, "it has more than 524288 bytes" },
};

static void test_user_data(void **state)
{
	static const char *const good[] = { "#!/bin/sh\n", "## template: jinja\n",
					    "MIME-Version: 1.0\n", "content-type: text/plain\n" };
	struct seed_settings settings = { 0 };
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad_user_data); i++) {
		const struct bad_user_data *bad = &bad_user_data[i];

		assert_int_equal(seed_settings_set_user_data(&settings, bad->text, bad->size, &err),
				 -EINVAL);
		assert_string_equal(err.text, bad->sentence);
		assert_null(settings.user_data);
	}
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		assert_int_equal(
			seed_settings_set_user_data(&settings, good[i], strlen(good[i]), &err), 0);
	assert_string_equal(settings.user_data, good[3]);
	seed_settings_done(&settings);
}

static void test_too_many_keys(void **state)
{
	struct seed_settings settings = { 0 };
	struct error err = { .text = "" };
	char line[200];

	(void)state;
	for (unsigned i = 0; i < SEED_KEYS_MOST; i++) {
		snprintf(line, sizeof(line), KEY " %u\n", i);
		assert_int_equal(seed_settings_add_keys(&settings, line, strlen(line), &err), 0);
	}
	assert_int_equal(seed_settings_add_keys(&settings, line, strlen(line), &err),
			 0); /* known */
	assert_int_equal(seed_settings_add_keys(&settings, KEY "\n", strlen(KEY) + 1, &err),
			 -EINVAL);
	assert_string_equal(err.text, "more than 64 keys, or 131072 bytes of them, are not kept");
	seed_settings_done(&settings);
}

struct damaged {
	const char *text;
	const char *sentence;
};

#define EXPECTED "expected version 1, instanceId, hostname, userData and the list sshKeys, no more"
#define SEED(id, hostname, data, keys)                                                             \
	"{\"version\":1,\"instanceId\":" id ",\"hostname\":" hostname ",\"userData\":" data        \
	",\"sshKeys\":" keys "}"

static const struct damaged damaged[] = {
	{ "", "line 1: '[' or '{' expected near end of file" },
	{ "[]", "not a JSON object" },
	{ "{}", EXPECTED },
	{ "{\"version\":2,\"instanceId\":\"a\",\"hostname\":null,\"userData\":null,\"sshKeys\":[]}",
	  EXPECTED },
	{ "{\"version\":1,\"instanceId\":\"a\",\"hostname\":null,\"userData\":null,\"sshKeys\":[],"
	  "\"more\":1}",
	  EXPECTED },
	{ SEED("\"a\"", "null", "null", "{}"), EXPECTED },
	{ SEED("null", "null", "null", "[]"),
	  "\"instanceId\" should have 1 to 64 letters, digits and hyphens" },
	{ SEED("\"a b\"", "null", "null", "[]"),
	  "\"instanceId\" should have 1 to 64 letters, digits and hyphens" },
	{ SEED("7", "null", "null", "[]"),
	  "\"instanceId\" should be a text without zero bytes, or null" },
	{ SEED("\"a\"", "false", "null", "[]"),
	  "\"hostname\" should be a text without zero bytes, or null" },
	{ SEED("\"a\"", "\"-\"", "null", "[]"),
	  "invalid host name \"-\": expected letters, digits and hyphens, at most 63, no hyphen at "
	  "either end" },
	{ SEED("\"a\"", "null", "\"\"", "[]"), "\"userData\": it is empty" },
	{ SEED("\"a\"", "null", "null", "[7]"), "\"sshKeys\" should be a list of texts" },
	{ SEED("\"a\"", "null", "null", "[\"ssh-rsa A\"]"),
	  "ssh key 1: the ssh-rsa key is damaged or cut short" },
};

static void test_damaged(void **state)
{
	const struct scratch *scratch = *state;
	struct seed_settings found;
	struct error err;

	for (size_t i = 0; i < ARRAY_COUNT(damaged); i++) {
		assert_int_equal(
			seed_settings_parse(damaged[i].text, strlen(damaged[i].text), &found, &err),
			-EINVAL);
		assert_string_equal(err.text, damaged[i].sentence);
	}
	scratch_write(scratch->fd, SEED_FILE_NAME, "{}");
	assert_int_equal(seed_settings_load(scratch->fd, &found, &err), -EINVAL);
	assert_string_equal(err.text, "seed.json: " EXPECTED);
	assert_int_equal(seed_settings_renew(scratch->fd, &err), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept),
		cmocka_unit_test(test_changed),
		TEST(test_only_a_hostname),
		cmocka_unit_test(test_hostnames),
		cmocka_unit_test(test_user_data),
		cmocka_unit_test(test_too_many_keys),
		TEST(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
