/* `tartlet set`: everything is checked, and a new disk copied, before the change is made at one stroke. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/held_signals.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/machine_options.h"
#include "cli/named_vm.h"
#include "cli/seed_options.h"
#include "vm/seed_settings.h"
#include "vm/vm_config.h"
#include "vm/vm_journal.h"

#define DISK_FILE "disk.img"

struct set_options {
	const char *name;
	const char *not_available;	/* an option that means nothing here; NULL = none */
	struct machine_options machine; /* what is 0 stays as it is, like all of these */
	struct vm_display display;
	bool random_mac;
	struct seed_options seed;
};

enum {
	KEY_DISPLAY = 256,
	KEY_DISPLAY_REFIT,
	KEY_NO_DISPLAY_REFIT,
	KEY_RANDOM_MAC,
	KEY_RANDOM_SERIAL,
};

static const struct argp_option options_table[] = {
	MACHINE_OPTION_CPU("virtual CPUs"),
	MACHINE_OPTION_MEMORY("memory in MiB"),
	{ .name = "display",
	  .key = KEY_DISPLAY,
	  .arg = "WIDTHxHEIGHT",
	  .doc = "size of the screen in pixels; px or pt behind it are taken" },
	{ .name = "random-mac", .key = KEY_RANDOM_MAC, .doc = "a new MAC address" },
	MACHINE_OPTION_DISK("replace the first disk by a copy of this image, raw or qcow2"),
	MACHINE_OPTION_DISK_SIZE("make the first disk larger, in units of 10^9 bytes"),
	{ .name = "display-refit", .key = KEY_DISPLAY_REFIT, .doc = "not available" },
	{ .name = "no-display-refit", .key = KEY_NO_DISPLAY_REFIT, .doc = "not available" },
	{ .name = "random-serial", .key = KEY_RANDOM_SERIAL, .doc = "not available" },
	{ 0 },
};

static void parse_display(struct argp_state *state, const char *argument,
			  struct vm_display *ret_display)
{
	if (!vm_display_parse(argument, ret_display))
		argp_error(
			state,
			"invalid value \"%s\" for --display: expected WIDTHxHEIGHT in pixels, each "
			"from %d to %d, such as 1024x768",
			argument, VM_DISPLAY_LEAST, VM_DISPLAY_MOST);
}

/* Each is made at one stroke, but not both at the same. */
static void check_complete(struct argp_state *state, const struct set_options *options)
{
	bool changes_machine = machine_options_given(&options->machine) ||
			       options->display.width > 0 || options->random_mac;

	if (changes_machine && seed_options_given(&options->seed))
		argp_error(state,
			   "--ssh-key, --cloud-init-user-data and --hostname are a change of "
			   "their own: set the rest before or after");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct set_options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->seed;
		return 0;
	case KEY_DISPLAY:
		parse_display(state, argument, &options->display);
		return 0;
	case KEY_RANDOM_MAC:
		options->random_mac = true;
		return 0;
	case KEY_DISPLAY_REFIT:
		options->not_available = "--display-refit";
		return 0;
	case KEY_NO_DISPLAY_REFIT:
		options->not_available = "--no-display-refit";
		return 0;
	case KEY_RANDOM_SERIAL:
		options->not_available = "--random-serial";
		return 0;
	case ARGP_KEY_END:
		(void)named_vm_parse_only(key, argument, state, &options->name);
		check_complete(state, options);
		return 0;
	default:
		if (machine_options_parse(key, argument, state, &options->machine) == 0)
			return 0;
		return named_vm_parse_only(key, argument, state, &options->name);
	}
}

/* A guest that goes on in another machine than it was suspended in would not know it. */
static int check_state(const struct vm_home *home, const struct vm_directory *directory,
		       struct error *err)
{
	int r = vm_directory_check_free(home, directory, err);

	if (r < 0 || !vm_directory_is_suspended(directory))
		return r;
	error_set(
		err,
		"VM \"%s\" is suspended: run it and shut it down, or give up its saved state with "
		"tartlet stop",
		directory->name);
	return -EBUSY;
}

static int check_disk_size(const struct vm_directory *directory, const struct vm_config *config,
			   uint64_t size, struct error *err)
{
	struct disk_image image;

	if (config->disk_count == 0) {
		error_set(err, "VM \"%s\" has no disk: --disk IMAGE gives it one", directory->name);
		return -EINVAL;
	}
	int r = disk_image_look(directory->fd, config->disks[0].file, &image);
	if (r < 0) {
		error_set(err, "cannot read %s of VM \"%s\": %s", config->disks[0].file,
			  directory->name, strerror(-r));
		return r;
	}
	if (size < image.size) {
		error_set(err,
			  "new disk size of %" PRIu64
			  " bytes should be larger than the current disk size of %" PRIu64 " bytes",
			  size, image.size);
		return -EINVAL;
	}
	return 0;
}

/* A VM of a kernel alone has no disk yet. */
static int put_disk(struct vm_config *config, enum disk_format format)
{
	if (config->disk_count == 0) {
		config->disks[0].file = strdup(DISK_FILE);
		if (!config->disks[0].file)
			return -ENOMEM;
		config->disk_count = 1;
	}
	config->disks[0].format = format;
	return 0;
}

static void put_values(struct vm_config *config, const struct set_options *options)
{
	if (options->machine.cpu_count > 0)
		config->cpu_count = options->machine.cpu_count;
	if (options->machine.memory_size > 0)
		config->memory_size = options->machine.memory_size;
	if (options->display.width > 0)
		config->display = options->display;
	if (options->random_mac)
		config->mac = vm_config_random_mac();
}

/* A new disk that was made for this. */
struct new_disk {
	struct vm_draft draft;
	enum disk_format format;
};

/* Under the home's lock. */
static int change(const struct vm_home *home, const struct vm_directory *directory,
		  const struct set_options *options, const struct new_disk *disk,
		  struct vm_config *before, struct vm_config *after, struct error *err)
{
	int r = vm_directory_config(directory, before, err);
	if (r == 0)
		r = vm_directory_config(directory, after, err);
	if (r < 0)
		return r;
	put_values(after, options);
	struct vm_change change = { .before = before, .after = after };
	if (disk) {
		r = put_disk(after, disk->format);
		change.disk_draft = &disk->draft;
		change.disk_file = DISK_FILE;
	} else if (options->machine.disk_size > 0) {
		change.disk_size = options->machine.disk_size;
		r = check_disk_size(directory, before, change.disk_size, err);
	}
	return r < 0 ? r : vm_journal_change(home, directory, &change, err);
}

static int change_locked(const struct vm_home *home, const struct vm_directory *directory,
			 const struct set_options *options, const struct new_disk *disk,
			 struct error *err)
{
	struct vm_config before = { 0 };
	struct vm_config after = { 0 };

	int r = vm_journal_lock(home, err);
	if (r < 0)
		return r;
	r = check_state(home, directory, err);
	if (r == 0)
		r = change(home, directory, options, disk, &before, &after, err);
	vm_home_unlock(home);
	vm_config_done(&before);
	vm_config_done(&after);
	return r;
}

static int make_disk(const struct vm_directory *directory, const struct set_options *options,
		     struct new_disk *disk, struct error *err)
{
	struct vm_config config;

	int r = vm_directory_config(directory, &config, err);
	if (r < 0)
		return r;
	r = machine_options_make_disk(&options->machine, config.boot, false, disk->draft.fd,
				      DISK_FILE, &disk->format, err);
	vm_config_done(&config);
	return r;
}

static int make_and_put_disk(const struct vm_home *home, const struct vm_directory *directory,
			     const struct set_options *options, struct error *err)
{
	struct new_disk disk = { .draft.fd = -1 };

	int r = vm_draft_begin(home, &disk.draft, err);
	if (r < 0)
		return r;
	r = make_disk(directory, options, &disk, err);
	if (r == 0)
		r = change_locked(home, directory, options, &disk, err);
	vm_draft_end(home, &disk.draft);
	return r;
}

/* The copy may take long: whether it is worth while is asked before. */
static int set_with_disk(const struct vm_home *home, const struct vm_directory *directory,
			 const struct set_options *options, struct error *err)
{
	struct held_signals held;

	int r = vm_journal_lock(home, err);
	if (r < 0)
		return r;
	r = check_state(home, directory, err);
	vm_home_unlock(home);
	if (r < 0)
		return r;
	held_signals_begin(&held);
	r = make_and_put_disk(home, directory, options, err);
	held_signals_end(&held);
	return r;
}

/* One file, so one stroke. */
static int change_seed(const struct vm_directory *directory, struct seed_settings *given,
		       struct error *err)
{
	struct seed_settings settings = { 0 };

	int r = seed_settings_load(directory->fd, &settings, err);
	if (r == -ENOENT)
		r = 0;
	if (r == 0) {
		seed_settings_change(&settings, given);
		r = seed_settings_save(directory->fd, &settings, err);
	}
	seed_settings_done(&settings);
	return r;
}

static int change_seed_locked(const struct vm_home *home, const struct vm_directory *directory,
			      struct seed_settings *given, struct error *err)
{
	int r = vm_journal_lock(home, err);
	if (r < 0)
		return r;
	r = check_state(home, directory, err);
	if (r == 0)
		r = vm_home_explain_write(home, change_seed(directory, given, err), err);
	vm_home_unlock(home);
	return r;
}

static int set_seed(const struct vm_home *home, const struct vm_directory *directory,
		    const struct set_options *options, struct error *err)
{
	struct seed_settings given = { 0 };

	int r = seed_options_read(&options->seed, &given, err);
	if (r == 0)
		r = change_seed_locked(home, directory, &given, err);
	seed_settings_done(&given);
	return r;
}

static int change_any(const struct vm_home *home, const struct vm_directory *directory,
		      const struct set_options *options, struct error *err)
{
	if (seed_options_given(&options->seed))
		return set_seed(home, directory, options, err);
	return options->machine.disk ? set_with_disk(home, directory, options, err)
				     : change_locked(home, directory, options, NULL, err);
}

static int set(const struct vm_home *home, const struct vm_directory *directory,
	       const void *context)
{
	const struct set_options *options = context;
	struct error err = { .text = "out of memory" };

	int r = change_any(home, directory, options, &err);
	if (r == 0)
		return COMMAND_OK;
	return command_fail(r == -EBUSY || r == -ESRCH ? COMMAND_VM_STATE : COMMAND_FAILED, &err);
}

int command_set(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &seed_options_argp },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.children = children,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Changes a VM that does not run. What is not given stays as it is.\v"
		       "Examples:\n"
		       "  tartlet set debian --cpu 4 --memory 4096\n"
		       "  tartlet set debian --disk-size 40\n"
		       "  tartlet set debian --disk debian-13-generic-amd64.qcow2\n"
		       "  tartlet set debian --ssh-key ~/.ssh/id_ed25519.pub",
	};
	struct set_options options = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	if (options.not_available) {
		fprintf(stderr,
			"%s is not available: a screen follows its window as the guest likes, and "
			"there is no serial number to change\n",
			options.not_available);
		return COMMAND_FAILED;
	}
	return named_vm_act(options.name, COMMAND_VM_STATE, set, &options);
}
