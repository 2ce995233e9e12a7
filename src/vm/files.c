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
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/held_signals.h"

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

/* Some file systems cannot. */
static int sync_directory(int fd)
{
	return fsync(fd) < 0 && errno != EINVAL && errno != EROFS && errno != EBADF ? -errno : 0;
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
	return sync_directory(directory_fd); /* the rename itself */
}

static int sync_entry(int directory_fd, const char *name)
{
	struct stat status;

	if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return 0;
	autoclose int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int files_sync(int directory_fd)
{
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	int r = stream ? 0 : -errno;

	if (!stream) {
		fd_close(fd);
		return r;
	}
	struct dirent *entry;
	while (r == 0 && (entry = readdir(stream)))
		r = sync_entry(directory_fd, entry->d_name);
	closedir(stream);
	return r < 0 ? r : sync_directory(directory_fd);
}

/* ".NAME.PID.new" */
static bool is_temporary(const char *entry, const char *name)
{
	size_t length = strlen(name);

	if (entry[0] != '.' || strncmp(entry + 1, name, length) != 0 || entry[1 + length] != '.')
		return false;
	const char *pid = entry + 1 + length + 1;
	size_t digits = strspn(pid, "0123456789");
	return digits > 0 && strcmp(pid + digits, ".new") == 0;
}

static bool is_regular(int directory_fd, const char *name)
{
	struct stat status;

	return fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(status.st_mode);
}

/* Whoever looks for what is left there does not use the VM, whose time prune goes by. */
static int open_unmarked(int directory_fd)
{
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);

	return fd < 0 && errno == EPERM
		       ? openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
		       : fd;
}

void files_remove_temporaries(int directory_fd, const char *name)
{
	int fd = open_unmarked(directory_fd);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

	if (!stream)
		fd_close(fd);
	struct dirent *entry;
	while (stream && (entry = readdir(stream))) {
		if (is_temporary(entry->d_name, name) && is_regular(directory_fd, entry->d_name))
			(void)unlinkat(directory_fd, entry->d_name, 0); /* or next time */
	}
	if (stream)
		closedir(stream);
}

struct copy {
	int from_fd;
	int to_fd;
	off_t size;
	char *buffer;
	bool by_kernel; /* until it could not, between these file systems */
	struct files_progress *progress;
};

static void tell(const struct copy *copy, off_t done)
{
	if (copy->progress)
		copy->progress->advance(copy->progress, (uint64_t)done, (uint64_t)copy->size);
}

/* The bytes that were copied, 0 at the end of the source. */
static ssize_t copy_chunk(struct copy *copy, off_t start, size_t size)
{
	off_t from = start;
	off_t to = start;

	if (copy->by_kernel) {
		ssize_t n = copy_file_range(copy->from_fd, &from, copy->to_fd, &to, size, 0);
		if (n > 0)
			return n;
		copy->by_kernel = false;
	}
	ssize_t n = pread(copy->from_fd, copy->buffer, size, start);
	return n > 0 ? pwrite(copy->to_fd, copy->buffer, (size_t)n, start) : n;
}

static int copy_range(struct copy *copy, off_t start, off_t end)
{
	while (start < end) {
		size_t size =
			(size_t)(end - start) < COPY_CHUNK ? (size_t)(end - start) : COPY_CHUNK;
		ssize_t n = copy_chunk(copy, start, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* the source became shorter while it was copied */
		start += n;
		tell(copy, start);
		if (held_signals_waiting())
			return -EINTR;
	}
	return 0;
}

static int copy_data(struct copy *copy)
{
	off_t at = 0;

	while (at < copy->size) {
		off_t start = lseek(copy->from_fd, at, SEEK_DATA);
		if (start < 0 && errno == ENXIO)
			return 0; /* a hole up to the end */
		if (start < 0)
			return -errno;
		off_t end = lseek(copy->from_fd, start, SEEK_HOLE);
		if (end < 0)
			return -errno;
		if (end > copy->size)
			end = copy->size;
		int r = copy_range(copy, start, end);
		if (r < 0)
			return r;
		at = end;
	}
	return 0;
}

/* -ENOSPC where there is too little room for sure; what others write meanwhile shows later. */
static int check_room(int to_fd, uint64_t needed)
{
	struct statvfs room;

	if (fstatvfs(to_fd, &room) < 0)
		return -errno;
	return needed / room.f_frsize > room.f_bavail ? -ENOSPC : 0;
}

int files_copy(int from_fd, int to_fd, struct files_progress *progress)
{
	struct copy copy = { from_fd, to_fd, 0, NULL, true, progress };
	struct stat status;

	if (fstat(from_fd, &status) < 0)
		return -errno;
	bool is_device = S_ISBLK(status.st_mode);
	if (!S_ISREG(status.st_mode) && !is_device)
		return -EINVAL;
	copy.size = is_device ? lseek(from_fd, 0, SEEK_END) : status.st_size;
	if (copy.size < 0)
		return -errno;
	if (!is_device && ioctl(to_fd, FICLONE, from_fd) == 0) {
		tell(&copy, copy.size);
		return 0;
	}
	int r = check_room(to_fd,
			   is_device ? (uint64_t)copy.size : (uint64_t)status.st_blocks * 512);
	if (r < 0)
		return r;
	if (ftruncate(to_fd, copy.size) < 0)
		return -errno;
	autofree char *buffer = malloc(COPY_CHUNK);
	if (!buffer)
		return -ENOMEM;
	copy.buffer = buffer;
	/* A block device does not tell of holes. */
	r = is_device ? copy_range(&copy, 0, copy.size) : copy_data(&copy);
	if (r == 0)
		tell(&copy, copy.size);
	return r;
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
