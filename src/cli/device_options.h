#pragma once
/* The options of `tartlet run` that say which devices the machine has beside disks and network. */

#include <argp.h>
#include <stdbool.h>

#include "cli/dir_spec.h"
#include "vm/display.h"
#include "vm/share.h"

struct device_options {
	struct display display;
	bool nested;
	struct dir_spec dirs[SHARE_MOST];
	size_t dir_count;
	enum share_transport dir_transport;
};

/* A child of a command's parser; its input is a struct device_options, all zero. Ends the program with 64
 * on a usage error. */
extern const struct argp device_options_argp;

void device_options_done(struct device_options *options);
