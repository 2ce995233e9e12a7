#include "vm/vm_clone.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/archive_members.h"
#include "vm/seed_settings.h"
#include "vm/vm_config.h"
#include "vm/vm_directory.h"

/* Of one that is begun, or set aside (saved_state.h). */
#define SAVED_STATE_PARTS VM_DIRECTORY_SAVED_STATE "."

/* Several files as one long copy. */
struct whole {
	struct files_progress files; /* for the copy of one */
	struct files_progress *watcher;
	uint64_t done; /* by those before */
	uint64_t total;
};

struct clone {
	const struct vm_directory *source;
	int directory_fd;
	bool suspended;
	struct whole whole;
	struct error *err;
};

static void advance(struct files_progress *files, uint64_t done, uint64_t total)
{
	struct whole *whole = container_of(files, struct whole, files);

	(void)total;
	if (whole->watcher)
		whole->watcher->advance(whole->watcher, whole->done + done, whole->total);
}

/* Not copied, or not as it is. */
static bool is_left_out(const struct clone *clone, const char *name)
{
	static const char *const names[] = {
		"config.json", /* written anew */
		"run.json",    "qemu.log", "agent.lock",
		"known_hosts", /* a copy that finds itself on a new machine makes keys of its own */
	};

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	/* No file of ours begins with a dot, but those that were to replace another. */
	return name[0] == '.' || strncmp(name, SAVED_STATE_PARTS, strlen(SAVED_STATE_PARTS)) == 0 ||
	       (strcmp(name, VM_DIRECTORY_SAVED_STATE) == 0 && !clone->suspended);
}

/* A disk may be a link to a file or a block device elsewhere. Sockets are of a run. */
static bool is_content(const struct stat *status)
{
	return S_ISREG(status->st_mode) || S_ISBLK(status->st_mode);
}

static void explain(const struct clone *clone, const char *name, int status)
{
	struct statvfs room;

	if (status == -ENOSPC && fstatvfs(clone->directory_fd, &room) == 0)
		error_set(clone->err,
			  "cannot copy %s of VM \"%s\": it does not fit into the %" PRIu64
			  " bytes that are free in the home directory",
			  name, clone->source->name, (uint64_t)room.f_bavail * room.f_frsize);
	else
		error_set(clone->err, "cannot copy %s of VM \"%s\": %s", name, clone->source->name,
			  strerror(-status));
}

static int copy_open(struct clone *clone, const char *name)
{
	autoclose int from_fd = openat(clone->source->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (from_fd < 0)
		return -errno;
	autoclose int to_fd =
		openat(clone->directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return to_fd < 0 ? -errno : files_copy(from_fd, to_fd, &clone->whole.files);
}

typedef int file_fn(struct clone *clone, const char *name, const struct stat *status);

static int measure(struct clone *clone, const char *name, const struct stat *status)
{
	(void)name;
	clone->whole.total += (uint64_t)status->st_size;
	return 0;
}

static int copy(struct clone *clone, const char *name, const struct stat *status)
{
	int r = copy_open(clone, name);

	if (r < 0)
		explain(clone, name, r);
	clone->whole.done += (uint64_t)status->st_size;
	return r;
}

static int for_each(struct clone *clone, DIR *stream, file_fn *act)
{
	struct dirent *entry;
	struct stat status;
	int r = 0;

	rewinddir(stream);
	while (r == 0 && (entry = readdir(stream))) {
		if (is_left_out(clone, entry->d_name))
			continue;
		if (fstatat(clone->source->fd, entry->d_name, &status, 0) < 0) {
			r = -errno;
			explain(clone, entry->d_name, r);
		} else if (is_content(&status)) {
			r = act(clone, entry->d_name, &status);
		}
	}
	return r;
}

static int copy_files(struct clone *clone)
{
	int fd = openat(clone->source->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	if (!stream) {
		int r = -errno;
		fd_close(fd);
		error_set(clone->err, "cannot read the files of VM \"%s\": %s", clone->source->name,
			  strerror(-r));
		return r;
	}
	int r = for_each(clone, stream, measure);
	if (r == 0)
		r = for_each(clone, stream, copy);
	closedir(stream);
	return r;
}

/* What the config names is copied, or the copy would be a VM without it. */
static int check_files(const struct clone *clone, const struct vm_config *config)
{
	struct archive_member members[ARCHIVE_MEMBERS_MOST];
	size_t count = archive_members_of(config, members);

	for (size_t i = 0; i < count; i++) {
		const char *name = members[i].file;
		struct stat status;
		if (fstatat(clone->source->fd, name, &status, 0) < 0) {
			if (errno == ENOENT && members[i].optional)
				continue;
			int r = -errno;
			explain(clone, name, r);
			return r;
		}
		if (is_content(&status) && !is_left_out(clone, name))
			continue;
		error_set(clone->err, "cannot copy %s of VM \"%s\": %s", name, clone->source->name,
			  is_content(&status) ? "a file of a VM should not be called so"
					      : "it is neither a regular file nor a block device");
		return -EINVAL;
	}
	return 0;
}

int vm_clone_fill(const struct vm_directory *source, int directory_fd,
		  struct files_progress *progress, struct error *err)
{
	struct clone clone = {
		.source = source,
		.directory_fd = directory_fd,
		.suspended = vm_directory_is_suspended(source),
		.whole = { .files.advance = advance, .watcher = progress },
		.err = err,
	};
	struct vm_config config;

	int r = vm_directory_config(source, &config, err);
	if (r < 0)
		return r;
	if (!clone.suspended)
		config.mac = vm_config_random_mac();
	r = check_files(&clone, &config);
	if (r == 0)
		r = copy_files(&clone);
	if (r == 0)
		r = seed_settings_renew(directory_fd, err);
	if (r == 0)
		r = vm_config_save(directory_fd, &config, err);
	vm_config_done(&config);
	return r;
}
