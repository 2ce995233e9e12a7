#include "vm/vm_home.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/draft_name.h"
#include "vm/files.h"

#define SETTINGS_MOST ((size_t)64 * 1024)

/* The path as the user meant it, not yet absolute; the caller frees. */
static int wanted_path(char **ret_path, struct error *err)
{
	const char *from_environment = getenv("TARTLET_HOME");
	if (from_environment && from_environment[0]) {
		*ret_path = strdup(from_environment);
		return *ret_path ? 0 : -ENOMEM;
	}
	const char *home = getenv("HOME");
	if (!home || !home[0]) {
		/* cppcheck-suppress getpwuidCalled ; a program asks before it has threads */
		const struct passwd *user = getpwuid(getuid());
		home = user ? user->pw_dir : NULL;
	}
	if (!home || !home[0]) {
		error_set(err, "no home directory: set TARTLET_HOME");
		return -ENOENT;
	}
	char *path;
	if (asprintf(&path, "%s/.tartlet", home) < 0)
		return -ENOMEM;
	*ret_path = path;
	return 0;
}

/* Makes the components one by one; the last one is the user's alone. */
static int make_path(const char *path, struct error *err)
{
	autofree char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	size_t length = strlen(copy);
	while (length > 1 && copy[length - 1] == '/')
		copy[--length] = 0;
	for (size_t i = 1; i <= length; i++) {
		if (copy[i] != '/' && copy[i] != 0)
			continue;
		copy[i] = 0;
		mode_t mode = i == length ? 0700 : 0777;
		struct stat status;
		if (stat(copy, &status) < 0 && mkdir(copy, mode) < 0 && errno != EEXIST) {
			int r = -errno;
			error_set(err,
				  "TARTLET_HOME is invalid: %s does not exist, yet we can't create "
				  "it: %s",
				  copy, strerror(-r));
			return r;
		}
		if (i < length)
			copy[i] = '/';
	}
	return 0;
}

static bool is_link(int directory_fd, const char *name)
{
	struct stat status;

	return fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISLNK(status.st_mode);
}

static int open_part(const struct vm_home *home, const char *name, int *ret_fd, struct error *err)
{
	if (mkdirat(home->fd, name, 0700) < 0 && errno != EEXIST) {
		int r = -errno;
		error_set(err, "cannot make %s/%s: %s", home->path, name, strerror(-r));
		return vm_home_explain_write(home, r, err);
	}
	int fd = openat(home->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		int r = -errno;
		if (is_link(home->fd, name))
			error_set(err,
				  "%s/%s is a symbolic link, which is not followed: the whole "
				  "home may be one, or set TARTLET_HOME",
				  home->path, name);
		else
			error_set(err, "cannot open %s/%s: %s", home->path, name, strerror(-r));
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int vm_home_open(struct vm_home *home, struct error *err)
{
	autofree char *wanted = NULL;
	*home = (struct vm_home){ .fd = -1, .vms_fd = -1, .tmp_fd = -1 };

	error_set(err, "out of memory");
	int r = wanted_path(&wanted, err);
	if (r == 0)
		r = make_path(wanted, err);
	if (r < 0)
		return r;
	home->path = realpath(wanted, NULL);
	if (!home->path) {
		r = -errno;
		error_set(err, "TARTLET_HOME is invalid: %s: %s", wanted, strerror(-r));
		return r;
	}
	home->fd = open(home->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home->fd < 0) {
		r = -errno;
		error_set(err, "cannot open the home directory %s: %s", home->path, strerror(-r));
		goto fail;
	}
	r = open_part(home, "vms", &home->vms_fd, err);
	if (r == 0)
		r = open_part(home, "tmp", &home->tmp_fd, err);
	if (r < 0)
		goto fail;
	error_set(err, "%s", "");
	return 0;
fail:
	vm_home_close(home);
	return r;
}

void vm_home_close(struct vm_home *home)
{
	home->tmp_fd = fd_close(home->tmp_fd);
	home->vms_fd = fd_close(home->vms_fd);
	home->fd = fd_close(home->fd);
	free(home->path);
	home->path = NULL;
}

int vm_home_state_directory(const struct vm_home *home, char **ret_path, struct error *err)
{
	autoclose int fd = -1;
	int r = open_part(home, "networks", &fd, err);
	if (r < 0)
		return r;
	char *path;
	if (asprintf(&path, "%s/networks", home->path) < 0) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	*ret_path = path;
	return 0;
}

static bool is_expose_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];

	return strcmp(text, "*") == 0 || strcmp(text, "localhost") == 0 ||
	       inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

int vm_home_parse_settings(const char *text, size_t size, struct vm_home_settings *settings,
			   struct error *err)
{
	json_error_t json_error;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &json_error);
	if (!root) {
		error_set(err, "line %d: %s", json_error.line, json_error.text);
		return -EINVAL;
	}
	int r = json_is_object(root) ? 0 : -EINVAL;
	if (r < 0)
		error_set(err, "not a JSON object");
	const char *key;
	json_t *value;
	json_object_foreach(root, key, value)
	{
		const char *address = json_string_value(value);
		if (strcmp(key, "expose_address") != 0) {
			error_set(err, "unknown setting \"%s\"", key);
			r = -EINVAL;
		} else if (!address || !is_expose_address(address)) {
			error_set(err, "expose_address should be an IP address, \"*\" or "
				       "\"localhost\"");
			r = -EINVAL;
		} else {
			snprintf(settings->expose_address, sizeof(settings->expose_address), "%s",
				 address);
		}
	}
	json_decref(root);
	return r;
}

int vm_home_load_settings(const struct vm_home *home, struct vm_home_settings *ret_settings,
			  struct error *err)
{
	struct vm_home_settings settings = { .expose_address = "*" };
	autofree char *text = NULL;
	size_t size;

	int r = files_read(home->fd, "config.json", SETTINGS_MOST, &text, &size);
	if (r == -ENOENT) {
		*ret_settings = settings;
		return 0;
	}
	if (r < 0)
		error_set(err, "%s", strerror(-r));
	else
		r = vm_home_parse_settings(text, size, &settings, err);
	if (r < 0) {
		error_prefix(err, "%s/config.json", home->path);
		return r;
	}
	*ret_settings = settings;
	return 0;
}

int vm_home_explain_write(const struct vm_home *home, int status, struct error *err)
{
	if (status == -EROFS || status == -EACCES || status == -EPERM)
		error_prefix(err, "home directory %s is not writable", home->path);
	return status;
}

int vm_home_lock(const struct vm_home *home, struct error *err)
{
	while (flock(home->fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		int r = -errno;
		error_set(err, "cannot lock the home directory %s: %s", home->path, strerror(-r));
		return r;
	}
	return 0;
}

void vm_home_unlock(const struct vm_home *home)
{
	(void)flock(home->fd, LOCK_UN); /* cannot fail for an open fd */
}

/* True when it is a draft and no process works on it any more; its maker holds a flock on it. The link to
 * a VM that was removed is one, too: of that, the link is all that goes. */
static bool is_abandoned(int tmp_fd, const char *name)
{
	if (!draft_name_is(name))
		return false;
	autoclose int fd = openat(tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? flock(fd, LOCK_EX | LOCK_NB) == 0 : is_link(tmp_fd, name);
}

static void sweep_drafts(int tmp_fd)
{
	int fd = openat(tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

	if (!stream)
		fd_close(fd);
	struct dirent *entry;
	while (stream && (entry = readdir(stream))) {
		if (is_abandoned(tmp_fd, entry->d_name))
			files_remove_tree(tmp_fd, entry->d_name); /* or next time */
	}
	if (stream)
		closedir(stream);
}

void vm_home_sweep(const struct vm_home *home)
{
	/* An entry is made and locked under the home's lock: without that lock a new one could be
	 * swept between the two steps. */
	if (flock(home->fd, LOCK_EX | LOCK_NB) < 0)
		return;
	/* What the journal names here is still needed. It is written under the same lock. */
	if (faccessat(home->tmp_fd, VM_HOME_JOURNAL, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		files_remove_temporaries(home->tmp_fd, VM_HOME_JOURNAL);
		sweep_drafts(home->tmp_fd);
	}
	vm_home_unlock(home);
}
