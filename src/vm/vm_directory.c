#include "vm/vm_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/disk_image.h"
#include "vm/files.h"
#include "vm/vm_config.h"
#include "vm/vm_home.h"
#include "vm/vm_lock.h"

static bool has_file(int fd, const char *name)
{
	struct stat status;

	return fstatat(fd, name, &status, 0) == 0 && S_ISREG(status.st_mode);
}

static bool has_config(int fd)
{
	return has_file(fd, "config.json");
}

int vm_directory_open(const struct vm_home *home, const char *name,
		      struct vm_directory *ret_directory, struct error *err)
{
	int r = vm_name_check(name, err);
	if (r < 0)
		return r;
	int fd = openat(home->vms_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT && errno != ENOTDIR) {
		r = -errno;
		error_set(err, "cannot open the VM \"%s\": %s", name, strerror(-r));
		return r;
	}
	if (fd < 0 || !has_config(fd)) {
		fd_close(fd);
		error_set(err, "the specified VM \"%s\" does not exist", name);
		return -ENOENT;
	}
	ret_directory->fd = fd;
	snprintf(ret_directory->name, sizeof(ret_directory->name), "%s", name);
	return 0;
}

void vm_directory_close(struct vm_directory *directory)
{
	directory->fd = fd_close(directory->fd);
}

int vm_directory_config(const struct vm_directory *directory, struct vm_config *ret_config,
			struct error *err)
{
	int r = vm_config_load(directory->fd, ret_config, err);

	if (r == -EINVAL)
		error_prefix(err, "VM \"%s\"", directory->name);
	return r;
}

void vm_directory_touch(const struct vm_directory *directory)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };

	(void)futimens(directory->fd, times); /* only for show */
}

bool vm_directory_is_suspended(const struct vm_directory *directory)
{
	return has_file(directory->fd, VM_DIRECTORY_SAVED_STATE);
}

static bool is_current(const struct vm_home *home, const struct vm_directory *directory)
{
	struct stat here;
	struct stat there;

	return fstat(directory->fd, &here) == 0 &&
	       fstatat(home->vms_fd, directory->name, &there, 0) == 0 &&
	       here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

/* Asked by a descriptor of its own, whose lock is nobody's share. */
static bool is_shared(const struct vm_directory *directory)
{
	autoclose int fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int check_at_rest(const struct vm_home *home, const struct vm_directory *directory,
			 struct error *err)
{
	if (!is_current(home, directory)) {
		error_set(err, "the specified VM \"%s\" does not exist", directory->name);
		return -ESRCH;
	}
	if (vm_lock_holder(directory->fd) != 0) {
		error_set(err, "VM \"%s\" is running", directory->name);
		return -EBUSY;
	}
	return 0;
}

int vm_directory_share(const struct vm_home *home, const struct vm_directory *directory,
		       struct error *err)
{
	int r = check_at_rest(home, directory, err);

	if (r == 0 && flock(directory->fd, LOCK_SH | LOCK_NB) < 0) {
		r = -errno;
		error_set(err, "cannot lock the directory of VM \"%s\": %s", directory->name,
			  strerror(-r));
	}
	return r;
}

int vm_directory_check_free(const struct vm_home *home, const struct vm_directory *directory,
			    struct error *err)
{
	int r = check_at_rest(home, directory, err);

	if (r == 0 && is_shared(directory)) {
		error_set(err, "VM \"%s\" is being copied: try again when that is done",
			  directory->name);
		r = -EBUSY;
	}
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_vm(int vms_fd, const char *name)
{
	if (vm_name_check(name, NULL) < 0)
		return false;
	autoclose int fd = openat(vms_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && has_config(fd);
}

static int append_name(char ***names, size_t *count, const char *name)
{
	char **more = realloc(*names, (*count + 1) * sizeof(**names));
	if (!more)
		return -ENOMEM;
	*names = more;
	more[*count] = strdup(name);
	if (!more[*count])
		return -ENOMEM;
	(*count)++;
	return 0;
}

int vm_directory_names(const struct vm_home *home, char ***ret_names, size_t *ret_count,
		       struct error *err)
{
	char **names = NULL;
	size_t count = 0;
	int r = 0;

	int fd = openat(home->vms_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	if (!stream) {
		r = -errno;
		fd_close(fd);
		error_set(err, "cannot read %s/vms: %s", home->path, strerror(-r));
		return r;
	}
	struct dirent *entry;
	while (r == 0 && (entry = readdir(stream))) {
		if (is_vm(home->vms_fd, entry->d_name))
			r = append_name(&names, &count, entry->d_name);
	}
	closedir(stream);
	if (r < 0) {
		vm_directory_free_names(names, count);
		error_set(err, "out of memory");
		return r;
	}
	if (count > 0)
		qsort(names, count, sizeof(*names), compare_names);
	*ret_names = names;
	*ret_count = count;
	return 0;
}

void vm_directory_free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

int vm_draft_begin(const struct vm_home *home, struct vm_draft *ret_draft, struct error *err)
{
	struct vm_draft draft = { .fd = -1 };

	draft_name_make(draft.temporary);
	int r = vm_home_lock(home, err);
	if (r < 0)
		return r;
	if (mkdirat(home->tmp_fd, draft.temporary, 0700) < 0)
		r = -errno;
	if (r == 0) {
		draft.fd = openat(home->tmp_fd, draft.temporary,
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (draft.fd < 0 || flock(draft.fd, LOCK_EX | LOCK_NB) < 0)
			r = -errno;
	}
	vm_home_unlock(home);
	if (r < 0) {
		error_set(err, "cannot make %s/tmp/%s: %s", home->path, draft.temporary,
			  strerror(-r));
		fd_close(draft.fd);
		return vm_home_explain_write(home, r, err);
	}
	*ret_draft = draft;
	return 0;
}

static int cannot_make(const struct vm_home *home, const char *name, int r, struct error *err)
{
	error_set(err, "cannot make %s/vms/%s: %s", home->path, name, strerror(-r));
	return r;
}

/* Under the home's lock, without which the sweep does nothing: the draft's own is given up, for in
 * vms/ it would look like a share. */
static int put(const struct vm_home *home, const struct vm_draft *draft, const char *name,
	       unsigned flags, struct error *err)
{
	(void)flock(draft->fd, LOCK_UN);
	if (renameat2(home->tmp_fd, draft->temporary, home->vms_fd, name, flags) == 0) {
		(void)fsync(home->vms_fd); /* not every file system can */
		return 0;
	}
	int r = -errno;
	if (r != -EEXIST)
		return cannot_make(home, name, r, err);
	error_set(err, "VM \"%s\" already exists", name);
	return r;
}

static int replace(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		   struct error *err)
{
	struct vm_directory old = { .fd = -1 };
	int r = vm_directory_open(home, name, &old, err);

	if (r == -ENOENT)
		return put(home, draft, name, RENAME_NOREPLACE, err);
	if (r < 0)
		return r;
	r = vm_directory_check_free(home, &old, err);
	if (r == 0)
		r = put(home, draft, name, RENAME_EXCHANGE, err);
	vm_directory_close(&old);
	return r;
}

typedef int publish_fn(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		       struct error *err);

static int publish_whole(const struct vm_home *home, const struct vm_draft *draft, const char *name,
			 publish_fn *publish, struct error *err)
{
	int r = files_sync(draft->fd);

	if (r < 0)
		return cannot_make(home, name, r, err);
	r = vm_home_lock(home, err);
	if (r < 0)
		return r;
	r = publish(home, draft, name, err);
	vm_home_unlock(home);
	return r;
}

static int publish_new(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		       struct error *err)
{
	return put(home, draft, name, RENAME_NOREPLACE, err);
}

int vm_draft_publish(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		     struct error *err)
{
	return publish_whole(home, draft, name, publish_new, err);
}

int vm_draft_replace(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		     struct error *err)
{
	return publish_whole(home, draft, name, replace, err);
}

void vm_draft_end(const struct vm_home *home, struct vm_draft *draft)
{
	files_remove_tree(home->tmp_fd, draft->temporary); /* the sweep tries again */
	draft->fd = fd_close(draft->fd);
}

int vm_directory_withdraw(const struct vm_home *home, const struct vm_directory *directory,
			  struct vm_draft *ret_draft, struct error *err)
{
	struct vm_draft draft = { .fd = openat(directory->fd, ".",
					       O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	int r = 0;

	draft_name_make(draft.temporary);
	/* Locked before it is seen in tmp/, so that no sweep of another process comes between. */
	if (draft.fd < 0 || flock(draft.fd, LOCK_EX | LOCK_NB) < 0)
		r = -errno;
	if (r == 0 && renameat2(home->vms_fd, directory->name, home->tmp_fd, draft.temporary,
				RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r < 0) {
		fd_close(draft.fd);
		error_set(err, "cannot remove the VM \"%s\": %s", directory->name, strerror(-r));
		return r;
	}
	*ret_draft = draft;
	return 0;
}

int vm_directory_restore(const struct vm_home *home, const struct vm_directory *directory,
			 const struct vm_draft *draft, struct error *err)
{
	return put(home, draft, directory->name, RENAME_NOREPLACE, err);
}

int vm_directory_empty(const struct vm_home *home, const struct vm_directory *directory,
		       struct error *err)
{
	int fd = openat(home->vms_fd, directory->name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	int r = stream ? 0 : -errno;

	if (r == -ENOTDIR || r == -ELOOP) {
		error_set(err,
			  "vms/%s is a symbolic link: what it leads to is not removed to make room",
			  directory->name);
		return r;
	}
	if (!stream)
		fd_close(fd);
	struct dirent *entry;
	while (stream && r == 0 && (entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, "config.json") != 0)
			r = files_remove_tree(dirfd(stream), entry->d_name);
	}
	if (stream)
		closedir(stream);
	if (r < 0)
		error_set(err, "cannot remove the files of VM \"%s\": %s", directory->name,
			  strerror(-r));
	return r;
}

/* A qcow2 file is smaller than the disk in it. */
static uint64_t disk_size(int directory_fd, const char *name, const struct stat *status)
{
	struct disk_image image;

	return disk_image_look(directory_fd, name, &image) == 0 ? image.size
								: (uint64_t)status->st_size;
}

/* To read it is no use of the VM, whose time prune goes by; only the owner's reading can be left unmarked. */
static int open_unmarked(int directory_fd)
{
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);

	return fd < 0 && errno == EPERM
		       ? openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
		       : fd;
}

struct vm_directory_usage vm_directory_usage(const struct vm_directory *directory)
{
	struct vm_directory_usage usage = { 0 };
	struct stat status;

	if (fstat(directory->fd, &status) == 0)
		usage.accessed_s = status.st_atim.tv_sec;
	int fd = open_unmarked(directory->fd);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	if (!stream) {
		fd_close(fd);
		return usage;
	}
	struct dirent *entry;
	while ((entry = readdir(stream))) {
		if (fstatat(directory->fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(status.st_mode))
			continue;
		usage.allocated_size += (uint64_t)status.st_blocks * 512;
		if (strncmp(entry->d_name, "disk", 4) == 0)
			usage.disk_size += disk_size(directory->fd, entry->d_name, &status);
	}
	closedir(stream);
	return usage;
}
