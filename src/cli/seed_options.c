#include "cli/seed_options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "cli/command.h"
#include "vm/files.h"
#include "vm/seed_settings.h"

/* Away from those of the commands and of network_options.c. */
enum {
	KEY_USER_DATA = 768,
	KEY_SSH_KEY,
	KEY_HOSTNAME,
};

static const struct argp_option options_table[] = {
	{ .name = "ssh-key",
	  .key = KEY_SSH_KEY,
	  .arg = "FILE",
	  .doc = "public key (id_ed25519.pub) that may log in; can be given more than once; needs "
		 "cloud-init in the guest, as the next" },
	{ .name = "cloud-init-user-data",
	  .key = KEY_USER_DATA,
	  .arg = "FILE",
	  .doc = "user data for cloud-init, such as a #cloud-config" },
	{ .name = "hostname",
	  .key = KEY_HOSTNAME,
	  .arg = "HOSTNAME",
	  .doc = "host name of the guest (default: made of the VM's name)" },
	{ 0 },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct seed_options *options = state->input;
	struct error err;

	switch (key) {
	case KEY_USER_DATA:
		options->user_data_path =
			command_parse_file(state, "--cloud-init-user-data", argument);
		return 0;
	case KEY_SSH_KEY:
		(void)command_parse_file(state, "--ssh-key", argument);
		if (options->key_path_count == SEED_OPTIONS_KEY_FILES)
			argp_error(state,
				   "--ssh-key is given more than %d times: a file may have many "
				   "keys",
				   SEED_OPTIONS_KEY_FILES);
		options->key_paths[options->key_path_count++] = argument;
		return 0;
	case KEY_HOSTNAME:
		if (!seed_hostname_check(argument, &err))
			argp_error(state, "%s", err.text);
		options->hostname = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp seed_options_argp = { .options = options_table, .parser = parse };

bool seed_options_given(const struct seed_options *options)
{
	return options->user_data_path || options->hostname || options->key_path_count > 0;
}

/* Reads a file and hands it to `use`, whose sentence gets the file's name. */
static int read_into(struct seed_settings *settings, const char *path, size_t most,
		     int (*use)(struct seed_settings *settings, const char *text, size_t size,
				struct error *err),
		     struct error *err)
{
	autofree char *text = NULL;
	size_t size = 0;
	int r = files_read(AT_FDCWD, path, most, &text, &size);

	if (r == -EFBIG)
		error_set(err, "%s is larger than %zu bytes", path, most);
	else if (r == -EINVAL)
		error_set(err, "%s is not a regular file", path);
	else if (r < 0)
		error_set(err, "cannot read %s: %s", path, strerror(-r));
	if (r < 0)
		return r;
	r = use(settings, text, size, err);
	if (r < 0)
		error_prefix(err, "%s", path);
	return r;
}

int seed_options_read(const struct seed_options *options, struct seed_settings *settings,
		      struct error *err)
{
	int r = 0;

	if (options->hostname)
		r = seed_settings_set_hostname(settings, options->hostname, err);
	if (r == 0 && options->user_data_path)
		r = read_into(settings, options->user_data_path, SEED_USER_DATA_MOST,
			      seed_settings_set_user_data, err);
	for (size_t i = 0; r == 0 && i < options->key_path_count; i++)
		r = read_into(settings, options->key_paths[i], SEED_KEYS_SIZE_MOST,
			      seed_settings_add_keys, err);
	return r;
}
