#include "vm/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define COPY_CHUNK ((size_t)1 << 20)
#define TREE_DEPTH 32 /* ours are two deep; a loop of mounts must not use up the stack */

int files_read(int directory_fd, const char *name, size_t most, char **ret_data, size_t *ret_size)
{
	autoclose int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	struct stat status;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	if (status.st_size < 0 || (uint64_t)status.st_size > most)
		return -EFBIG;

	size_t room = (size_t)status.st_size;
	autofree char *data = malloc(room + 1);
	if (!data)
		return -ENOMEM;
	size_t used = 0;
	while (used < room) {
		ssize_t n = read(fd, data + used, room - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	data[used] = 0;
	*ret_size = used;
	*ret_data = data;
	data = NULL;
	return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

int files_write_atomic(int directory_fd, const char *name, const char *data, size_t size)
{
	char temporary[300];
	int length = snprintf(temporary, sizeof(temporary), ".%s.%ld.new", name, (long)getpid());
	if (length < 0 || (size_t)length >= sizeof(temporary))
		return -ENAMETOOLONG;

	autoclose int fd = openat(directory_fd, temporary,
				  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, data, size);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(directory_fd, temporary, directory_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(directory_fd, temporary, 0); /* the first error is the one to tell */
		return r;
	}
	/* The rename itself; some file systems cannot sync a directory. */
	if (fsync(directory_fd) < 0 && errno != EINVAL && errno != EROFS && errno != EBADF)
		return -errno;
	return 0;
}

/* Copies [start, end) by the kernel, or by hand where it cannot between these file systems. */
static int copy_range(int from_fd, int to_fd, off_t start, off_t end, char *buffer)
{
	bool by_kernel = true;

	while (start < end) {
		size_t chunk =
			(size_t)(end - start) < COPY_CHUNK ? (size_t)(end - start) : COPY_CHUNK;
		off_t from = start;
		off_t to = start;
		ssize_t n = -1;
		if (by_kernel) {
			n = copy_file_range(from_fd, &from, to_fd, &to, chunk, 0);
			by_kernel = n > 0;
		}
		if (!by_kernel) {
			n = pread(from_fd, buffer, chunk, start);
			if (n > 0)
				n = pwrite(to_fd, buffer, (size_t)n, start);
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* the source became shorter while it was copied */
		start += n;
	}
	return 0;
}

int files_copy(int from_fd, int to_fd)
{
	struct stat status;
	if (fstat(from_fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	if (ioctl(to_fd, FICLONE, from_fd) == 0)
		return 0;
	if (ftruncate(to_fd, status.st_size) < 0)
		return -errno;
	autofree char *buffer = malloc(COPY_CHUNK);
	if (!buffer)
		return -ENOMEM;

	off_t at = 0;
	while (at < status.st_size) {
		off_t start = lseek(from_fd, at, SEEK_DATA);
		if (start < 0 && errno == ENXIO)
			return 0; /* a hole up to the end */
		if (start < 0)
			return -errno;
		off_t end = lseek(from_fd, start, SEEK_HOLE);
		if (end < 0)
			return -errno;
		if (end > status.st_size)
			end = status.st_size;
		int r = copy_range(from_fd, to_fd, start, end, buffer);
		if (r < 0)
			return r;
		at = end;
	}
	return 0;
}

/* NOLINTBEGIN(misc-no-recursion): a tree, no deeper than TREE_DEPTH. */
static int remove_at(int directory_fd, const char *name, unsigned depth);

static int remove_content(int fd, unsigned depth)
{
	DIR *stream = fdopendir(fd);
	if (!stream) {
		int r = -errno;
		fd_close(fd);
		return r;
	}
	int result = 0;
	struct dirent *entry;
	while ((entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int r = remove_at(dirfd(stream), entry->d_name, depth + 1);
		if (r < 0 && result == 0)
			result = r;
	}
	closedir(stream);
	return result;
}

static int remove_at(int directory_fd, const char *name, unsigned depth)
{
	if (unlinkat(directory_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth > TREE_DEPTH)
		return -ELOOP;
	int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = remove_content(fd, depth);
	if (r < 0)
		return r;
	return unlinkat(directory_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
/* NOLINTEND(misc-no-recursion) */

int files_remove_tree(int directory_fd, const char *name)
{
	return remove_at(directory_fd, name, 0);
}
