#pragma once
/*
 * A file of the user's, anywhere, that appears whole or not at all. Where the file system can, it has no
 * name until then, so that not even SIGKILL leaves a part of it; in the instant in which it replaces another,
 * SIGKILL may leave the whole of it under a hidden name.
 */

#include <limits.h>
#include <stdbool.h>

#include "base/compiler.h"

struct error;

struct new_file {
	int fd; /* to write to; no one else may read it */
	int directory_fd;
	const char *name; /* in the directory; part of the path */
	bool hidden;	  /* it has a name already: .temporary */
	char temporary[NAME_MAX + 1];
};

/*
 * The path stays the caller's, and is needed until new_file_end(). 0, or negative errno with a sentence:
 * -EEXIST where there is such a file and `replace` does not allow for it, and always where there is
 * anything else than a regular file.
 */
int new_file_begin(struct new_file *file, const char *path, bool replace,
		   struct error *err) MUST_USE;
/* Gives it its name, once it is on the disk. 0 or negative errno with a sentence. */
int new_file_publish(struct new_file *file, bool replace, struct error *err) MUST_USE;
/* Removes what was not published. */
void new_file_end(struct new_file *file);
