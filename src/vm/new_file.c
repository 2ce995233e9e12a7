#include "vm/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/random.h"

static int open_directory(const char *path, const char *name, struct error *err)
{
	char directory[PATH_MAX] = ".";
	size_t length = (size_t)(name - path);

	if (length >= sizeof(directory)) {
		error_set(err, "cannot make %s: %s", path, strerror(ENAMETOOLONG));
		return -ENAMETOOLONG;
	}
	if (length > 0) {
		memcpy(directory, path, length);
		directory[length] = 0;
	}
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		int r = -errno;
		error_set(err, "cannot make %s: %s: %s", path, directory, strerror(-r));
		return r;
	}
	return fd;
}

static int check_place(int directory_fd, const char *path, const char *name, bool replace,
		       struct error *err)
{
	struct stat status;

	if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		int r = -errno;
		if (r == -ENOENT)
			return 0;
		error_set(err, "cannot make %s: %s", path, strerror(-r));
		return r;
	}
	if (S_ISREG(status.st_mode) && replace)
		return 0;
	if (S_ISREG(status.st_mode))
		error_set(err, "%s exists: --force replaces it", path);
	else
		error_set(err, "%s is there, and is no regular file", path);
	return -EEXIST;
}

/* Hidden, and of no name that is in use. Names may be as long as the file system takes them: that of the
 * file is not part of it. */
static void make_temporary(struct new_file *file)
{
	snprintf(file->temporary, sizeof(file->temporary), ".tartlet-%016" PRIx64 ".part",
		 random_u64(&random_system));
}

int new_file_begin(struct new_file *file, const char *path, bool replace, struct error *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (!name[0]) {
		error_set(err, "%s is a directory: the name of a file is needed",
			  path[0] ? path : "\"\"");
		return -EISDIR;
	}
	autoclose int directory_fd = open_directory(path, name, err);
	if (directory_fd < 0)
		return directory_fd;
	int r = check_place(directory_fd, path, name, replace, err);
	if (r < 0)
		return r;
	*file = (struct new_file){ .fd = -1, .directory_fd = -1, .name = name };
	make_temporary(file);
	file->fd = openat(directory_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	/* open(2): what a file system without O_TMPFILE says, and what a kernel without it. */
	if (file->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
		file->fd = openat(directory_fd, file->temporary,
				  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		file->hidden = file->fd >= 0;
	}
	if (file->fd < 0) {
		r = -errno;
		error_set(err, "cannot make %s: %s", path, strerror(-r));
		return r;
	}
	file->directory_fd = fd_take(&directory_fd);
	return 0;
}

static int give_first_name(const struct new_file *file, const char *name)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	return linkat(AT_FDCWD, self, file->directory_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* A name that is taken can only be given to a file that has one. */
static int give_name(struct new_file *file, bool replace)
{
	if (!file->hidden && !replace)
		return give_first_name(file, file->name);
	if (!file->hidden) {
		int r = give_first_name(file, file->temporary);
		if (r < 0)
			return r;
		file->hidden = true;
	}
	if (renameat2(file->directory_fd, file->temporary, file->directory_fd, file->name,
		      replace ? 0 : RENAME_NOREPLACE) < 0)
		return -errno;
	file->hidden = false;
	return 0;
}

int new_file_publish(struct new_file *file, bool replace, struct error *err)
{
	int r = fsync(file->fd) < 0 ? -errno : give_name(file, replace);

	if (r == -EEXIST)
		error_set(err, "%s exists since: --force replaces it", file->name);
	else if (r < 0)
		error_set(err, "cannot make %s: %s", file->name, strerror(-r));
	if (r < 0)
		return r;
	(void)fsync(file->directory_fd); /* not every file system can */
	return 0;
}

void new_file_end(struct new_file *file)
{
	if (file->hidden)
		(void)unlinkat(file->directory_fd, file->temporary, 0);
	file->hidden = false;
	file->fd = fd_close(file->fd);
	file->directory_fd = fd_close(file->directory_fd);
}
