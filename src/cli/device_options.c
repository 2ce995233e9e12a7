#include "cli/device_options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"

/* Away from those of the command and of its network. */
enum {
	KEY_GRAPHICS = 768,
	KEY_NO_GRAPHICS,
	KEY_VNC,
	KEY_CAPTURE_KEYS,
	KEY_NO_POINTER,
	KEY_NO_KEYBOARD,
	KEY_NESTED,
	KEY_DIR,
	KEY_DIR_TRANSPORT,
	KEY_IS_SO,
	KEY_RECOVERY,
	KEY_ROSETTA,
	KEY_PROVISIONING,
};

static const struct argp_option options_table[] = {
	{ .name = "graphics",
	  .key = KEY_GRAPHICS,
	  .doc = "a window (the default where DISPLAY or WAYLAND_DISPLAY is set)" },
	{ .name = "no-graphics", .key = KEY_NO_GRAPHICS, .doc = "no window" },
	{ .name = "vnc",
	  .key = KEY_VNC,
	  .doc = "a VNC server on 127.0.0.1 with a random password, instead of a window" },
	{ .name = "vnc-experimental", .key = KEY_VNC, .flags = OPTION_ALIAS },
	{ .name = "capture-system-keys",
	  .key = KEY_CAPTURE_KEYS,
	  .doc = "key combinations of the desktop go to the VM while the pointer is in its window" },
	{ .name = "no-pointer", .key = KEY_NO_POINTER, .doc = "the VM has no pointing device" },
	{ .name = "no-keyboard", .key = KEY_NO_KEYBOARD, .doc = "the VM has no keyboard" },
	{ .name = "nested",
	  .key = KEY_NESTED,
	  .doc = "the VM can run VMs itself, by KVM; not with --accel tcg" },
	{ .name = "dir",
	  .key = KEY_DIR,
	  .arg = "[NAME:]PATH[:OPTIONS]",
	  .doc = "a directory that the VM can mount, by the tag that its line tells; OPTIONS, separated "
		 "by commas: ro, tag=TAG" },
	{ .name = "dir-transport",
	  .key = KEY_DIR_TRANSPORT,
	  .arg = "auto|virtiofs|9p",
	  .doc = "how directories get to the VM: auto (default) takes virtiofs where it can run" },
	{ .name = "suspendable",
	  .key = KEY_IS_SO,
	  .doc = "for scripts that were written for Tart, as are the next three: it is so" },
	{ .name = "no-audio", .key = KEY_IS_SO, .doc = "there is none" },
	{ .name = "no-clipboard", .key = KEY_IS_SO, .doc = "it is not shared" },
	{ .name = "no-trackpad", .key = KEY_IS_SO, .doc = "there is none" },
	{ .name = "recovery", .key = KEY_RECOVERY, .flags = OPTION_HIDDEN },
	{ .name = "rosetta", .key = KEY_ROSETTA, .arg = "TAG", .flags = OPTION_HIDDEN },
	{ .name = "provisioning-opts",
	  .key = KEY_PROVISIONING,
	  .arg = "OPTIONS",
	  .flags = OPTION_HIDDEN },
	{ 0 },
};

static void set_window(struct argp_state *state, struct display *display,
		       enum display_window window)
{
	if (display->window != DISPLAY_WINDOW_AUTO && display->window != window)
		argp_error(state, "--graphics and --no-graphics are mutually exclusive");
	display->window = window;
}

static void parse_dir(struct argp_state *state, const char *argument,
		      struct device_options *options)
{
	struct dir_spec *spec = &options->dirs[options->dir_count];
	struct error err;

	if (options->dir_count == SHARE_MOST) {
		argp_error(state, "--dir: at most %d directories can be shared", SHARE_MOST);
		return;
	}
	if (!dir_spec_parse(argument, getenv("HOME"), spec, &err)) {
		argp_error(state, "%s", err.text);
		return;
	}
	options->dir_count++;
	for (size_t i = 0; i + 1 < options->dir_count; i++) {
		if (strcmp(options->dirs[i].tag, spec->tag) == 0)
			argp_error(state,
				   "two directories have the tag \"%s\": give one of them another "
				   "name, as in --dir NAME:PATH, or tag=TAG",
				   spec->tag);
	}
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct device_options *options = state->input;

	switch (key) {
	case KEY_GRAPHICS:
		set_window(state, &options->display, DISPLAY_WINDOW_ON);
		return 0;
	case KEY_NO_GRAPHICS:
		set_window(state, &options->display, DISPLAY_WINDOW_OFF);
		return 0;
	case KEY_VNC:
		options->display.vnc = true;
		return 0;
	case KEY_CAPTURE_KEYS:
		options->display.capture_system_keys = true;
		return 0;
	case KEY_NO_POINTER:
		options->display.no_pointer = true;
		return 0;
	case KEY_NO_KEYBOARD:
		options->display.no_keyboard = true;
		return 0;
	case KEY_NESTED:
		options->nested = true;
		return 0;
	case KEY_DIR:
		parse_dir(state, argument, options);
		return 0;
	case KEY_DIR_TRANSPORT:
		if (!share_transport_parse(argument, &options->dir_transport))
			argp_error(
				state,
				"invalid value \"%s\" for --dir-transport: expected auto, virtiofs "
				"or 9p",
				argument);
		return 0;
	case KEY_IS_SO:
		return 0;
	case KEY_RECOVERY:
		argp_error(state, "--recovery is for macOS guests, which do not run here");
		return 0;
	case KEY_ROSETTA:
		argp_error(state, "--rosetta is for Apple processors: there is no Rosetta here");
		return 0;
	case KEY_PROVISIONING:
		argp_error(state, "--provisioning-opts is for macOS guests, which do not run here");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp device_options_argp = { .options = options_table, .parser = parse };

void device_options_done(struct device_options *options)
{
	for (size_t i = 0; i < options->dir_count; i++)
		dir_spec_done(&options->dirs[i]);
	options->dir_count = 0;
}
