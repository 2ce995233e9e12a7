#include "vm/seed_settings.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/random.h"
#include "base/utf8.h"
#include "vm/files.h"
#include "vm/ssh_key.h"

#define VERSION		 1
#define HOSTNAME_MOST	 63
#define INSTANCE_ID_MOST 64

void seed_settings_done(struct seed_settings *settings)
{
	free(settings->instance_id);
	free(settings->hostname);
	free(settings->user_data);
	for (size_t i = 0; i < settings->key_count; i++)
		free(settings->keys[i]);
	*settings = (struct seed_settings){ 0 };
}

static int replace(char **kept, const char *text, struct error *err)
{
	char *copy = strdup(text);

	if (!copy) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	free(*kept);
	*kept = copy;
	return 0;
}

bool seed_hostname_check(const char *hostname, struct error *err)
{
	size_t size = strnlen(hostname, HOSTNAME_MOST + 1);
	bool good = size > 0 && size <= HOSTNAME_MOST && hostname[0] != '-' &&
		    hostname[size - 1] != '-';

	for (size_t i = 0; good && i < size; i++)
		good = isalnum((unsigned char)hostname[i]) || hostname[i] == '-';
	if (!good)
		error_set(
			err,
			"invalid host name \"%.80s\": expected letters, digits and hyphens, at most "
			"%d, no hyphen at either end",
			hostname, HOSTNAME_MOST);
	return good;
}

int seed_settings_set_hostname(struct seed_settings *settings, const char *hostname,
			       struct error *err)
{
	if (!seed_hostname_check(hostname, err))
		return -EINVAL;
	return replace(&settings->hostname, hostname, err);
}

static bool is_utf8(const char *text)
{
	bool valid = true;
	uint32_t code;
	size_t size;

	for (size_t at = 0; valid && (size = utf8_decode(text + at, &code, &valid)); at += size)
		;
	return valid;
}

/* How cloud-init tells what it got: by the first line. What it does not know, it leaves without a word
 * that anybody would see. */
static bool has_known_start(const char *text)
{
	return text[0] == '#' || strncasecmp(text, "Content-Type:", 13) == 0 ||
	       strncasecmp(text, "MIME-Version:", 13) == 0;
}

static bool check_user_data(const char *text, size_t size, struct error *err)
{
	if (size > SEED_USER_DATA_MOST)
		error_set(err, "it has more than %zu bytes", SEED_USER_DATA_MOST);
	else if (size == 0)
		error_set(err, "it is empty");
	else if (strlen(text) != size || !is_utf8(text))
		error_set(err, "it is no text in UTF-8 (and need not be packed)");
	else if (!has_known_start(text))
		error_set(err, "cloud-init would not know what it is: the first line should be "
			       "\"#cloud-config\" (or \"#!...\", or the head of a MIME message)");
	else
		return true;
	return false;
}

int seed_settings_set_user_data(struct seed_settings *settings, const char *text, size_t size,
				struct error *err)
{
	if (!check_user_data(text, size, err))
		return -EINVAL;
	return replace(&settings->user_data, text, err);
}

static int add_key(void *context, struct text_view key, struct error *err)
{
	struct seed_settings *settings = context;

	for (size_t i = 0; i < settings->key_count; i++) {
		if (text_view_equal(key, settings->keys[i]))
			return 0;
	}
	if (settings->key_count == SEED_KEYS_MOST ||
	    key.length > SEED_KEYS_SIZE_MOST - settings->keys_size) {
		error_set(err, "more than %d keys, or %zu bytes of them, are not kept",
			  SEED_KEYS_MOST, SEED_KEYS_SIZE_MOST);
		return -EINVAL;
	}
	char *copy = strndup(key.start, key.length);
	if (!copy) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	settings->keys[settings->key_count++] = copy;
	settings->keys_size += key.length;
	return 0;
}

int seed_settings_add_keys(struct seed_settings *settings, const char *text, size_t size,
			   struct error *err)
{
	return ssh_keys_parse(text, size, add_key, settings, err);
}

static void take(char **kept, char **given)
{
	if (!*given)
		return;
	free(*kept);
	*kept = *given;
	*given = NULL;
}

void seed_settings_change(struct seed_settings *settings, struct seed_settings *given)
{
	take(&settings->hostname, &given->hostname);
	take(&settings->user_data, &given->user_data);
	if (given->key_count > 0) {
		for (size_t i = 0; i < settings->key_count; i++)
			free(settings->keys[i]);
		memcpy(settings->keys, given->keys, given->key_count * sizeof(given->keys[0]));
		settings->key_count = given->key_count;
		settings->keys_size = given->keys_size;
		given->key_count = 0;
	}
	free(settings->instance_id);
	settings->instance_id = NULL; /* saving makes one */
	seed_settings_done(given);
}

static int make_instance_id(struct seed_settings *settings, struct error *err)
{
	uint8_t bytes[16];
	char text[INSTANCE_ID_MOST + 1] = "iid-";

	random_system.fill(&random_system, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 4 + 2 * i, 3, "%02x", bytes[i]);
	return replace(&settings->instance_id, text, err);
}

/* --- the file ---------------------------------------------------------------------------- */

static bool check_instance_id(const char *text)
{
	size_t size = strnlen(text, INSTANCE_ID_MOST + 1);

	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	}
	return size > 0 && size <= INSTANCE_ID_MOST;
}

static int parse_keys(json_t *list, struct seed_settings *settings, struct error *err)
{
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
	{
		struct text_view key = { json_string_value(value), json_string_length(value) };

		if (!json_is_string(value)) {
			error_set(err, "\"sshKeys\" should be a list of texts");
			return -EINVAL;
		}
		if (!ssh_key_check(key, err)) {
			error_prefix(err, "ssh key %zu", i + 1);
			return -EINVAL;
		}
		int r = add_key(settings, key, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* NULL and true: it is null. */
static bool take_text(json_t *root, const char *key, const char **ret_text, struct error *err)
{
	json_t *value = json_object_get(root, key);

	*ret_text = json_string_value(value);
	if (json_is_null(value) ||
	    (json_is_string(value) && strlen(*ret_text) == json_string_length(value)))
		return true;
	error_set(err, "\"%s\" should be a text without zero bytes, or null", key);
	return false;
}

static int parse_object(json_t *root, struct seed_settings *settings, struct error *err)
{
	json_t *keys = json_object_get(root, "sshKeys");
	const char *instance_id;
	const char *hostname;
	const char *user_data;

	if (json_object_size(root) != 5 ||
	    json_integer_value(json_object_get(root, "version")) != VERSION ||
	    !json_is_array(keys)) {
		error_set(err,
			  "expected version %d, instanceId, hostname, userData and the list "
			  "sshKeys, no more",
			  VERSION);
		return -EINVAL;
	}
	if (!take_text(root, "instanceId", &instance_id, err) ||
	    !take_text(root, "hostname", &hostname, err) ||
	    !take_text(root, "userData", &user_data, err))
		return -EINVAL;
	if (!instance_id || !check_instance_id(instance_id)) {
		error_set(err, "\"instanceId\" should have 1 to %d letters, digits and hyphens",
			  INSTANCE_ID_MOST);
		return -EINVAL;
	}
	int r = replace(&settings->instance_id, instance_id, err);
	if (r == 0 && hostname)
		r = seed_settings_set_hostname(settings, hostname, err);
	if (r == 0 && user_data) {
		r = seed_settings_set_user_data(settings, user_data, strlen(user_data), err);
		if (r < 0)
			error_prefix(err, "\"userData\"");
	}
	return r == 0 ? parse_keys(keys, settings, err) : r;
}

int seed_settings_parse(const char *text, size_t size, struct seed_settings *ret_settings,
			struct error *err)
{
	struct seed_settings settings = { 0 };
	json_error_t json_error;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &json_error);
	int r = -EINVAL;

	if (!root)
		error_set(err, "line %d: %s", json_error.line, json_error.text);
	else if (!json_is_object(root))
		error_set(err, "not a JSON object");
	else
		r = parse_object(root, &settings, err);
	json_decref(root);
	if (r < 0) {
		seed_settings_done(&settings);
		return r;
	}
	*ret_settings = settings;
	return 0;
}

char *seed_settings_format(const struct seed_settings *settings)
{
	json_t *keys = json_array();
	char *text = NULL;

	for (size_t i = 0; i < settings->key_count; i++)
		json_array_append_new(keys, json_string(settings->keys[i]));
	json_t *root = json_pack("{si ss? ss? ss? sO}", "version", VERSION, "instanceId",
				 settings->instance_id, "hostname", settings->hostname, "userData",
				 settings->user_data, "sshKeys", keys);
	bool whole = root && json_array_size(keys) == settings->key_count;
	char *body = whole ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(keys);
	json_decref(root);
	if (body && asprintf(&text, "%s\n", body) < 0)
		text = NULL;
	free(body);
	return text;
}

int seed_settings_load(int directory_fd, struct seed_settings *ret_settings, struct error *err)
{
	autofree char *text = NULL;
	size_t size;
	int r = files_read(directory_fd, SEED_FILE_NAME, SEED_FILE_MOST, &text, &size);

	if (r == -ENOENT)
		return r;
	if (r < 0) {
		error_set(err, "cannot read " SEED_FILE_NAME ": %s", strerror(-r));
		return r;
	}
	r = seed_settings_parse(text, size, ret_settings, err);
	if (r < 0)
		error_prefix(err, SEED_FILE_NAME);
	return r;
}

int seed_settings_save(int directory_fd, struct seed_settings *settings, struct error *err)
{
	int r = settings->instance_id ? 0 : make_instance_id(settings, err);

	if (r < 0)
		return r;
	autofree char *text = seed_settings_format(settings);
	r = text ? files_write_atomic(directory_fd, SEED_FILE_NAME, text, strlen(text)) : -ENOMEM;
	if (r < 0)
		error_set(err, "cannot write " SEED_FILE_NAME ": %s", strerror(-r));
	return r;
}

int seed_settings_renew(int directory_fd, struct error *err)
{
	struct seed_settings settings;
	int r = seed_settings_load(directory_fd, &settings, err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = make_instance_id(&settings, err);
	if (r == 0)
		r = seed_settings_save(directory_fd, &settings, err);
	seed_settings_done(&settings);
	return r;
}
