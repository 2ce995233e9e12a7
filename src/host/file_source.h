#pragma once
/*
 * Where a small file of the system comes from: from its path, as everywhere, or, in a process that may open
 * nothing any more, from another one that is asked (network/informant_client.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/compiler.h"

/* What changes when the file is written or another one takes its place. All 0 when there is none. */
struct file_identity {
	bool exists;
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	struct timespec modified;
	struct timespec changed;
};

/* Both operations: 0 or negative errno; -EAGAIN: it cannot be told now, what was known stays. */
struct file_source {
	/* That there is no file is an answer. */
	int (*look)(struct file_source *source, struct file_identity *ret_identity);
	/*
	 * The content of a regular file, at most `most` bytes of it (a longer one is cut behind its last
	 * whole line); *ret_text is to be freed. -EINVAL: not a regular file.
	 */
	int (*read)(struct file_source *source, size_t most, char **ret_text, size_t *ret_size);
};

/* The file at a path; symbolic links are followed, since resolv.conf usually is one. */
struct file_source_path {
	struct file_source source;
	char *path;
};

/* 0 or -ENOMEM. The path is copied. */
int file_source_path_init(struct file_source_path *file, const char *path) MUST_USE;
void file_source_path_done(struct file_source_path *file);
