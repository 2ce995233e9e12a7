#include "host/file_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static struct file_source_path *file_source_path_of(struct file_source *source)
{
	return container_of(source, struct file_source_path, source);
}

static int file_source_look(struct file_source *source, struct file_identity *ret_identity)
{
	struct stat status;

	*ret_identity = (struct file_identity){ 0 };
	if (stat(file_source_path_of(source)->path, &status) < 0)
		return 0;
	*ret_identity = (struct file_identity){
		.exists = true,
		.device = status.st_dev,
		.inode = status.st_ino,
		.size = (uint64_t)status.st_size,
		.modified = status.st_mtim,
		.changed = status.st_ctim,
	};
	return 0;
}

/* Reads until the end or until the buffer is full. */
static int file_source_fill(int fd, char *buffer, size_t capacity, size_t *ret_size)
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

static int file_source_read_open(int fd, size_t most, char **ret_text, size_t *ret_size)
{
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
	int rc = file_source_fill(fd, text, capacity, &size);
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

static int file_source_read(struct file_source *source, size_t most, char **ret_text,
			    size_t *ret_size)
{
	const char *path = file_source_path_of(source)->path;
	/* O_NONBLOCK: a FIFO in its place must not hold us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	int rc = file_source_read_open(fd, most, ret_text, ret_size);
	(void)fd_close(fd);
	return rc;
}

int file_source_path_init(struct file_source_path *file, const char *path)
{
	*file = (struct file_source_path){
		.source = { .look = file_source_look, .read = file_source_read },
		.path = strdup(path),
	};
	return file->path ? 0 : -ENOMEM;
}

void file_source_path_done(struct file_source_path *file)
{
	free(file->path);
	file->path = NULL;
}
