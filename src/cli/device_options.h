#pragma once
/* The options of `tartlet run` that say which devices the machine has beside disks and network. */

#include <argp.h>
#include <stdbool.h>

#include "vm/display.h"

struct device_options {
	struct display display;
	bool nested;
};

/* A child of a command's parser; its input is a struct device_options, all zero. Ends the program with 64
 * on a usage error. */
extern const struct argp device_options_argp;
