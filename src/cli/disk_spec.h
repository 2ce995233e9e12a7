#pragma once
/* --disk PATH[:OPTIONS] of the command line. */

#include <stdbool.h>

#include "base/compiler.h"
#include "vm/disk_options.h"

struct error;

struct disk_spec {
	char *path;
	struct disk_options options;
};

/*
 * What follows the last colon is options, unless it has a slash: then the colon is the path's. So a path
 * with a colon in its last part is written with another colon at the end. False with a sentence. One
 * disk_spec_done().
 */
bool disk_spec_parse(const char *text, struct disk_spec *ret_spec, struct error *err) MUST_USE;
void disk_spec_done(struct disk_spec *spec);
