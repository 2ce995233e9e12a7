#pragma once
/* Files of a VM's directory: whole, atomic, sparse. Names are relative to a directory's fd. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct error;

/*
 * The whole file, terminated by a zero byte that is not counted; -EFBIG when it is larger than
 * `most` bytes, -EINVAL when it is no regular file, or negative errno. The caller frees *ret_data.
 */
int files_read(int directory_fd, const char *name, size_t most, char **ret_data,
	       size_t *ret_size) MUST_USE;

/*
 * Replaces the file by way of a temporary one, fsync and rename, so that a reader or a crash sees
 * the old content or the new one. 0 or negative errno.
 */
int files_write_atomic(int directory_fd, const char *name, const char *data, size_t size) MUST_USE;

/* Removes what files_write_atomic() left of it where a process was killed meanwhile: files of that form of
 * name, and nothing else. Nobody may be writing it. */
void files_remove_temporaries(int directory_fd, const char *name);

/* Who wants to know how far a copy is, in bytes; called once a megabyte or less often. */
struct files_progress {
	void (*advance)(struct files_progress *progress, uint64_t done, uint64_t total);
};

/*
 * Copies all of a regular file or a block device into an empty file; holes stay holes, a file system
 * that can share blocks does. -ENOSPC before anything is written where it cannot fit. -EINTR when a signal came that is
 * held (base/held_signals.h). 0 or another negative errno. progress: NULL = nobody wants to know.
 */
int files_copy(int from_fd, int to_fd, struct files_progress *progress) MUST_USE;

/* Waits until the directory and the regular files right in it are on the disk. 0 or negative errno. */
int files_sync(int directory_fd) MUST_USE;

/* Removes a file, or a directory and what is in it; links are not followed. 0 (also when there is
 * none) or negative errno. */
int files_remove_tree(int directory_fd, const char *name);
