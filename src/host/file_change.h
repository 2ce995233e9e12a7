#pragma once
/*
 * A small file of the system, read again when it changes. Asked often, it looks at most once in
 * FILE_CHANGE_CHECK_NS; symbolic links are followed, since resolv.conf usually is one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/compiler.h"
#include "base/text.h"

#define FILE_CHANGE_CHECK_NS UINT64_C(100000000)

struct file_change {
	char *path;
	uint64_t checked_ns;
	bool checked;
	bool settled; /* read once more after it was seen to change */
	bool exists;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
	struct timespec changed;
};

/* 0 or -ENOMEM. */
int file_change_init(struct file_change *file, const char *path) MUST_USE;
void file_change_done(struct file_change *file);
/* True when the file must be read (also the first time). */
bool file_change_check(struct file_change *file, uint64_t now_ns);

/*
 * The content of a regular file, at most `most` bytes of it (a longer one is cut behind its last
 * whole line); *ret_text is to be freed. 0 or negative errno (-EINVAL: not a regular file).
 */
int file_change_read(const char *path, size_t most, char **ret_text, size_t *ret_size) MUST_USE;

/* Cuts the next line off *rest, without what follows the first '#'. False when none is left. */
bool file_change_next_line(struct text_view *rest, struct text_view *ret_line);
/* Cuts the next word (separated by blanks or tabs) off *rest. False when none is left. */
bool file_change_next_word(struct text_view *rest, struct text_view *ret_word);
