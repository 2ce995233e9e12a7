#pragma once
/* The disk of a VM that is being made: an empty one, a copy of an image, or a layer over an image. */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vm/disk_image.h"
#include "vm/files.h"

struct error;

struct disk_plan {
	const char *image; /* NULL = an empty raw disk */
	bool backing;	   /* the image stays where it is, under a qcow2 layer */
	bool must_boot;	   /* from the image, by firmware */
	uint64_t size;	   /* bytes, whole sectors; 0 = as the image */
	struct files_progress *progress;
};

/* Makes a disk of the directory larger. 0 or negative errno with a sentence. */
int disk_grow(int directory_fd, const char *name, enum disk_format format, uint64_t size,
	      struct error *err) MUST_USE;

/* Makes the file `name` in the directory. 0 or negative errno with a sentence; then a part of it may be
 * left, for the directory is a draft. */
int disk_make(int directory_fd, const char *name, const struct disk_plan *plan,
	      enum disk_format *ret_format, struct error *err) MUST_USE;
