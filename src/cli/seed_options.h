#pragma once
/* The options that say what a guest is told at its first boot: those of every command that makes or
 * changes a VM. */

#include <argp.h>
#include <stdbool.h>

#include "base/compiler.h"

struct error;
struct seed_settings;

#define SEED_OPTIONS_KEY_FILES 32

struct seed_options {
	const char *user_data_path; /* NULL = not given, as the next */
	const char *hostname;
	const char *key_paths[SEED_OPTIONS_KEY_FILES];
	size_t key_path_count;
};

/* A child of a command's parser; its input is a struct seed_options, all zero. Ends the program with
 * 64 on a usage error. */
extern const struct argp seed_options_argp;

/* Is there any of them? */
bool seed_options_given(const struct seed_options *options);

/* Reads the files into *settings, over what it has. 0 or negative errno with a sentence; *settings is
 * to be done with in any case. */
int seed_options_read(const struct seed_options *options, struct seed_settings *settings,
		      struct error *err) MUST_USE;
