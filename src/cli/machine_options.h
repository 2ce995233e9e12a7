#pragma once
/* The options that say what the machine of a VM is, those that `create` and `set` share: their names, what they take,
 * and the disk that they ask for. What they do is said in each command's own words. */

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vm/disk_image.h"
#include "vm/vm_config.h"

struct error;

#define MACHINE_OPTIONS_GB UINT64_C(1000000000) /* as in Tart; whole sectors of 512 bytes */

/* Away from those of the commands and of seed_options.c. */
enum {
	MACHINE_KEY_CPU = 512,
	MACHINE_KEY_MEMORY,
	MACHINE_KEY_DISK,
	MACHINE_KEY_DISK_SIZE,
};

/* Entries of a command's table. */
#define MACHINE_OPTION_CPU(text)                                                                   \
	{                                                                                          \
		.name = "cpu", .key = MACHINE_KEY_CPU, .arg = "N", .doc = (text)                   \
	}
#define MACHINE_OPTION_MEMORY(text)                                                                \
	{                                                                                          \
		.name = "memory", .key = MACHINE_KEY_MEMORY, .arg = "MB", .doc = (text)            \
	}
#define MACHINE_OPTION_DISK(text)                                                                  \
	{                                                                                          \
		.name = "disk", .key = MACHINE_KEY_DISK, .arg = "IMAGE", .doc = (text)             \
	}
#define MACHINE_OPTION_DISK_SIZE(text)                                                             \
	{                                                                                          \
		.name = "disk-size", .key = MACHINE_KEY_DISK_SIZE, .arg = "GB", .doc = (text)      \
	}

/* All zero = nothing is given. */
struct machine_options {
	unsigned cpu_count;
	uint64_t memory_size; /* bytes, as the next */
	uint64_t disk_size;
	const char *disk; /* an image */
};

/* The rest of a parser. Ends the program with a usage error (64) where an argument is bad. ARGP_ERR_UNKNOWN for any other
 * key. */
error_t machine_options_parse(int key, const char *argument, struct argp_state *state,
			      struct machine_options *options);
/* Is there any of them? */
bool machine_options_given(const struct machine_options *options);

/* Makes the disk in a draft, and shows how far it is; `backing` and the rest as of disk_make(). */
int machine_options_make_disk(const struct machine_options *options, enum vm_boot boot,
			      bool backing, int directory_fd, const char *file,
			      enum disk_format *ret_format, struct error *err) MUST_USE;
