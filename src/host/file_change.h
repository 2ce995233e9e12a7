#pragma once
/*
 * A small file of the system, read again when it changes. Asked often, it looks at most once in
 * FILE_CHANGE_CHECK_NS.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/text.h"
#include "host/file_source.h"

#define FILE_CHANGE_CHECK_NS UINT64_C(100000000)

struct file_change {
	struct file_source *source;
	struct file_source_path own; /* unless there is another one */
	uint64_t checked_ns;
	bool checked;
	bool known;   /* the identity is that of what was read */
	bool settled; /* read once more after it was seen to change */
	struct file_identity identity;
};

/* 0 or -ENOMEM. It must not be moved in memory afterwards. */
int file_change_init(struct file_change *file, const char *path) MUST_USE;
/* From elsewhere than the path. Before the first look; the source is borrowed and outlives it. */
void file_change_set_source(struct file_change *file, struct file_source *source);
void file_change_done(struct file_change *file);
/* True when the file must be read (also the first time). */
bool file_change_check(struct file_change *file, uint64_t now_ns);

/* The content as file_source.h has it. After -EAGAIN what was read before stays good, and the next
 * look says that the file must be read. */
int file_change_read(struct file_change *file, size_t most, char **ret_text,
		     size_t *ret_size) MUST_USE;

/* Cuts the next line off *rest, without what follows the first '#'. False when none is left. */
bool file_change_next_line(struct text_view *rest, struct text_view *ret_line);
/* Cuts the next word (separated by blanks or tabs) off *rest. False when none is left. */
bool file_change_next_word(struct text_view *rest, struct text_view *ret_word);
