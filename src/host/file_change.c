#include "host/file_change.h"

#include <errno.h>

int file_change_init(struct file_change *file, const char *path)
{
	*file = (struct file_change){ .source = &file->own.source };
	return file_source_path_init(&file->own, path);
}

void file_change_set_source(struct file_change *file, struct file_source *source)
{
	file->source = source;
}

void file_change_done(struct file_change *file)
{
	file_source_path_done(&file->own);
}

static bool file_change_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool file_change_is_same(const struct file_identity *a, const struct file_identity *b)
{
	return a->exists == b->exists && a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && file_change_same_time(a->modified, b->modified) &&
	       file_change_same_time(a->changed, b->changed);
}

bool file_change_check(struct file_change *file, uint64_t now_ns)
{
	struct file_identity identity;

	if (file->checked && now_ns - file->checked_ns < FILE_CHANGE_CHECK_NS)
		return false;
	file->checked = true;
	file->checked_ns = now_ns;
	if (file->source->look(file->source, &identity) < 0)
		return false;
	if (file->known && file_change_is_same(&file->identity, &identity)) {
		/* A writer within one tick of the file system's clock leaves the same time: after
		 * a change the file is read once more at the next look. */
		bool again = !file->settled;
		file->settled = true;
		return again;
	}
	file->known = true;
	file->settled = false;
	file->identity = identity;
	return true;
}

int file_change_read(struct file_change *file, size_t most, char **ret_text, size_t *ret_size)
{
	int rc = file->source->read(file->source, most, ret_text, ret_size);

	if (rc == -EAGAIN)
		file->known = false; /* the next look finds it new */
	return rc;
}

bool file_change_next_line(struct text_view *rest, struct text_view *ret_line)
{
	if (rest->length == 0)
		return false;
	struct text_view line;
	struct text_view after;
	(void)text_view_cut(*rest, '\n', &line, rest);
	(void)text_view_cut(line, '#', ret_line, &after);
	return true;
}

static bool file_change_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

bool file_change_next_word(struct text_view *rest, struct text_view *ret_word)
{
	while (rest->length && file_change_is_blank(*rest->start)) {
		rest->start++;
		rest->length--;
	}
	struct text_view word = { .start = rest->start };
	while (rest->length && !file_change_is_blank(*rest->start)) {
		rest->start++;
		rest->length--;
		word.length++;
	}
	*ret_word = word;
	return word.length > 0;
}
