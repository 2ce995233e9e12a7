#include "host/file_change.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

int file_change_init(struct file_change *file, const char *path)
{
	*file = (struct file_change){ .path = strdup(path) };
	return file->path ? 0 : -ENOMEM;
}

void file_change_done(struct file_change *file)
{
	free(file->path);
	file->path = NULL;
}

static bool file_change_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool file_change_is_same(const struct file_change *file, bool exists,
				const struct stat *status)
{
	if (file->exists != exists)
		return false;
	return !exists || (file->device == status->st_dev && file->inode == status->st_ino &&
			   file->size == status->st_size &&
			   file_change_same_time(file->modified, status->st_mtim) &&
			   file_change_same_time(file->changed, status->st_ctim));
}

bool file_change_check(struct file_change *file, uint64_t now_ns)
{
	if (file->checked && now_ns - file->checked_ns < FILE_CHANGE_CHECK_NS)
		return false;
	struct stat status = { 0 };
	bool exists = stat(file->path, &status) == 0;
	bool first = !file->checked;
	file->checked = true;
	file->checked_ns = now_ns;
	if (!first && file_change_is_same(file, exists, &status)) {
		/* A writer within one tick of the file system's clock leaves the same time: after
		 * a change the file is read once more at the next look. */
		bool again = !file->settled;
		file->settled = true;
		return again;
	}
	file->settled = false;
	file->exists = exists;
	file->device = status.st_dev;
	file->inode = status.st_ino;
	file->size = status.st_size;
	file->modified = status.st_mtim;
	file->changed = status.st_ctim;
	return true;
}

/* Reads until the end or until the buffer is full. */
static int file_change_fill(int fd, char *buffer, size_t capacity, size_t *ret_size)
{
	size_t size = 0;
	while (size < capacity) {
		ssize_t got = read(fd, buffer + size, capacity - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	*ret_size = size;
	return 0;
}

int file_change_read(const char *path, size_t most, char **ret_text, size_t *ret_size)
{
	/* O_NONBLOCK: a FIFO in its place must not hold us. */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	struct stat status;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	/* One byte more than there is, to see whether it has grown since. */
	size_t capacity = most;
	if (status.st_size >= 0 && (uint64_t)status.st_size < most)
		capacity = (size_t)status.st_size + 1;
	char *text = malloc(capacity);
	if (!text)
		return -ENOMEM;
	size_t size = 0;
	int rc = file_change_fill(fd, text, capacity, &size);
	if (rc < 0) {
		free(text);
		return rc;
	}
	if (size == capacity) {
		while (size && text[size - 1] != '\n')
			size--;
	}
	*ret_text = text;
	*ret_size = size;
	return 0;
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
