#include "registry/registry_owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"

#define OWNER_NAME_SIZE 32

static void owner_name(int64_t owner, char name[OWNER_NAME_SIZE])
{
	(void)snprintf(name, OWNER_NAME_SIZE, "owner-%016" PRIx64 ".lock", (uint64_t)owner);
}

/* The inverse of owner_name(); false for any other file. */
static bool owner_parse(const char *name, int64_t *ret_owner)
{
	static const char prefix[] = "owner-";
	char again[OWNER_NAME_SIZE];

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return false;
	/* Whatever strtoull() lets pass beside sixteen digits does not survive the comparison. */
	unsigned long long number = strtoull(name + sizeof(prefix) - 1, NULL, 16);

	if (number == 0 || number > INT64_MAX)
		return false;
	owner_name((int64_t)number, again);
	*ret_owner = (int64_t)number;
	return strcmp(name, again) == 0;
}

static int make_parents(char *path)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		int result = mkdir(path, 0700) < 0 ? -errno : 0;

		/* Others than EEXIST, such as EROFS, may hide a directory that is there. */
		if (result < 0 && result != -EEXIST && access(path, X_OK) < 0)
			return result;
		*at = '/';
	}
	return 0;
}

/* Makes it, and copies the path without slashes at its end (one would make the kernel follow a
 * symbolic link despite O_NOFOLLOW). */
static int make(const char *path, char ret_name[PATH_MAX], struct error *err)
{
	size_t length = strlen(path);

	if (length == 0 || length >= PATH_MAX) {
		error_set(err, "directory \"%s\": %s", path,
			  length ? "the path is too long" : "the path is empty");
		return length ? -ENAMETOOLONG : -EINVAL;
	}
	while (length > 1 && path[length - 1] == '/')
		length--;
	memcpy(ret_name, path, length);
	ret_name[length] = '\0';
	int result = make_parents(ret_name);

	if (result == 0 && mkdir(ret_name, 0700) < 0 && errno != EEXIST)
		result = -errno;
	if (result < 0)
		error_set(err, "cannot make directory %s: %s", path, strerror(-result));
	return result;
}

static int resolve(const char *name, char **ret_path, struct error *err)
{
	char *resolved = realpath(name, NULL);

	if (!resolved) {
		int result = -errno;

		error_set(err, "directory %s: %s", name, strerror(-result));
		return result;
	}
	*ret_path = resolved;
	return 0;
}

int registry_directory_make(const char *path, char **ret_path, struct error *err)
{
	char name[PATH_MAX];
	int result = make(path, name, err);

	return result < 0 ? result : resolve(name, ret_path, err);
}

static int check_private(int directory_fd, const char *path, struct error *err)
{
	struct stat status;

	if (fstat(directory_fd, &status) < 0) {
		error_set(err, "directory %s: %s", path, strerror(errno));
		return -errno;
	}
	if (status.st_uid != geteuid()) {
		error_set(err, "directory %s belongs to another user (uid %u): it is not trusted",
			  path, status.st_uid);
		return -EPERM;
	}
	if (status.st_mode & 077) {
		error_set(err, "directory %s is open to other users (mode %04o instead of 0700)",
			  path, status.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

int registry_directory_open_private(const char *path, char **ret_path, int *ret_directory_fd,
				    struct error *err)
{
	char name[PATH_MAX];
	int result = make(path, name, err);

	if (result < 0)
		return result;
	int directory_fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (directory_fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
		error_set(err,
			  "%s is a symbolic link or a file, not a directory: it is not trusted",
			  path);
		return -EPERM;
	}
	if (directory_fd < 0) {
		result = -errno;
		error_set(err, "directory %s: %s", path, strerror(-result));
		return result;
	}
	/* Once it is known to be ours, nobody else can put another one in its place, in /tmp either
	 * (the sticky bit): only then its path is good for SQLite. */
	result = check_private(directory_fd, path, err);
	if (result == 0)
		result = resolve(name, ret_path, err);
	if (result < 0) {
		(void)fd_close(directory_fd);
		return result;
	}
	(void)flock(directory_fd, LOCK_SH | LOCK_NB); /* a courtesy: fails only while one cleans */
	*ret_directory_fd = directory_fd;
	return 0;
}

int registry_owner_make(int directory_fd, int64_t *ret_owner, int *ret_lock_fd, struct error *err)
{
	int64_t owner = (int64_t)(random_u64(&random_system) >> 1) | 1;
	char name[OWNER_NAME_SIZE];

	owner_name(owner, name);
	/* Not to write to: it stays open as long as the network, also inside a sandbox, and a process that
	 * was taken over could fill the disk by it. */
	int lock_fd = openat(directory_fd, name, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (lock_fd < 0 || flock(lock_fd, LOCK_EX | LOCK_NB) < 0) {
		int result = -errno;

		error_set(err, "cannot make and lock %s in the runtime directory: %s", name,
			  strerror(-result));
		if (lock_fd >= 0)
			registry_owner_forget(directory_fd, owner);
		(void)fd_close(lock_fd);
		return result;
	}
	*ret_owner = owner;
	*ret_lock_fd = lock_fd;
	return 0;
}

bool registry_owner_is_live(int directory_fd, int64_t owner)
{
	char name[OWNER_NAME_SIZE];

	owner_name(owner, name);
	int lock_fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	/* Only a file that is not there proves that the owner is gone. */
	if (lock_fd < 0)
		return errno != ENOENT;
	bool is_live = flock(lock_fd, LOCK_SH | LOCK_NB) < 0;

	(void)fd_close(lock_fd);
	return is_live;
}

void registry_owner_forget(int directory_fd, int64_t owner)
{
	char name[OWNER_NAME_SIZE];

	owner_name(owner, name);
	(void)unlinkat(directory_fd, name, 0); /* what stays is found dead by the next sweep */
}

void registry_owner_sweep(int directory_fd, unsigned live_most, registry_owner_dead_fn *dead,
			  void *context)
{
	unsigned live = 0;
	/* A descriptor of its own: fdopendir() takes it over, and reading moves its position. */
	int list_fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);

	if (!list) {
		(void)fd_close(list_fd);
		return;
	}
	for (struct dirent *entry = readdir(list); entry && live < live_most;
	     entry = readdir(list)) {
		int64_t owner;

		if (!owner_parse(entry->d_name, &owner))
			continue;
		if (registry_owner_is_live(directory_fd, owner))
			live++;
		else
			dead(context, owner);
	}
	(void)closedir(list);
}
