#pragma once
/* --dir [NAME:]PATH[:OPTIONS] of the command line. */

#include <stdbool.h>

#include "base/compiler.h"
#include "vm/share.h"

struct error;

/* Of a directory without a name, as in Tart: what mounts it there does so here. */
#define DIR_SPEC_TAG "com.apple.virtio-fs.automount"

struct dir_spec {
	char *path;
	char tag[SHARE_TAG_SIZE]; /* tag=, else the name, else DIR_SPEC_TAG */
	bool read_only;
};

/*
 * OPTIONS: ro, tag=TAG. A name has no slash, and what follows the last colon is options unless it has one;
 * where both would fit, as in "a:b", it is options only if it reads as such. A path that ends in a part with a
 * colon is written with another colon at the end. "~" or "~/" at the start of the path is `home`. False with
 * a sentence. One dir_spec_done().
 */
bool dir_spec_parse(const char *text, const char *home, struct dir_spec *ret_spec,
		    struct error *err) MUST_USE;
void dir_spec_done(struct dir_spec *spec);
