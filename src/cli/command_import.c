#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/held_signals.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/memory_limit.h"
#include "cli/named_vm.h"
#include "cli/progress.h"
#include "vm/mac_owner.h"
#include "vm/seed_settings.h"
#include "vm/vm_config.h"
#include "vm/vm_import.h"

#define ROOM_KEPT (UINT64_C(64) << 20) /* bytes that are left to others on the file system */

/* For libarchive, to which a small archive may tell of many holes. This is enough for ten million. */
#define MEMORY_MORE (UINT64_C(512) << 20)

struct import_options {
	const char *path;
	const char *name;
	bool force;
};

enum {
	KEY_FORCE = 256,
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct import_options *options = state->input;

	switch (key) {
	case KEY_FORCE:
		options->force = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->path)
			return named_vm_parse_only(key, argument, state, &options->name);
		if (!argument[0])
			argp_error(state, "PATH is empty");
		options->path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->path)
			argp_error(state, "the archive's PATH and the VM's NAME are missing");
		return named_vm_parse_only(key, argument, state, &options->name);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int open_archive(const char *path, struct error *err)
{
	struct stat status = {};
	/* O_NONBLOCK: a pipe must not hang us. */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;

	if (r == 0 && S_ISREG(status.st_mode))
		return fd_take(&fd);
	error_set(err, "cannot read %s: %s", path, r < 0 ? strerror(-r) : "it is no regular file");
	return r < 0 ? r : -EINVAL;
}

/* Under the home's lock. Two VMs with one MAC address could not run at once; and a second one of the archive is
 * another machine to cloud-init, too. */
static int settle_identity(const struct vm_home *home, const struct vm_draft *draft,
			   const char *name, struct vm_config *config, struct error *err)
{
	char owner[VM_NAME_MOST + 1];

	int r = mac_owner_find(home, &config->mac, name, owner, err);
	if (r < 0 || !owner[0])
		return r;
	config->mac = vm_config_random_mac();
	fprintf(stderr, "VM \"%s\" has the archive's MAC address: \"%s\" gets a new one\n", owner,
		name);
	return seed_settings_renew(draft->fd, err);
}

static int publish(const struct vm_home *home, const struct vm_draft *draft,
		   const struct import_options *options, struct vm_config *config,
		   struct error *err)
{
	/* All but the small config.json, so that it does not take long under the lock. */
	int r = files_sync(draft->fd);
	if (r < 0) {
		error_set(err, "cannot write to the home directory: %s", strerror(-r));
		return r;
	}
	r = vm_home_lock(home, err);
	if (r < 0)
		return r;
	r = settle_identity(home, draft, options->name, config, err);
	if (r == 0)
		r = vm_config_save(draft->fd, config, err);
	/* It takes the same lock, which we have, and gives it back. */
	if (r == 0)
		r = named_vm_publish(home, draft, options->name, options->force, err);
	vm_home_unlock(home);
	return r;
}

static uint64_t measure_room(int directory_fd)
{
	struct statvfs room;

	if (fstatvfs(directory_fd, &room) < 0)
		return 0;
	uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
	return free_bytes > ROOM_KEPT ? free_bytes - ROOM_KEPT : 0;
}

static int unpack(const struct vm_home *home, const struct vm_draft *draft, int archive_fd,
		  const struct import_options *options, struct error *err)
{
	struct progress progress;
	struct vm_config config;

	progress_init(&progress, "importing");
	int r = vm_import(archive_fd, draft->fd, measure_room(draft->fd), &progress.files, &config,
			  err);
	progress_done(&progress);
	if (r < 0) {
		error_prefix(err, "%s", options->path);
		return r;
	}
	r = publish(home, draft, options, &config, err);
	vm_config_done(&config);
	return r;
}

static int import_vm(const struct vm_home *home, const struct import_options *options,
		     struct error *err)
{
	struct held_signals held;
	struct vm_draft draft;

	autoclose int archive_fd = open_archive(options->path, err);
	int r = archive_fd < 0 ? archive_fd
			       : named_vm_check_new(home, options->name, options->force, err);
	if (r < 0)
		return r;
	memory_limit_set(MEMORY_MORE);
	held_signals_begin(&held);
	r = vm_draft_begin(home, &draft, err);
	if (r == 0) {
		r = unpack(home, &draft, archive_fd, options, err);
		vm_draft_end(home, &draft);
	}
	held_signals_end(&held);
	return r;
}

/* It may quote the archive. */
static int fail(int status, const struct error *err)
{
	char shown[sizeof(err->text)];

	fprintf(stderr, "%s\n", printable(err->text, shown, sizeof(shown)));
	return status == -EBUSY ? COMMAND_VM_STATE : COMMAND_FAILED;
}

int command_import(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .name = "force",
		  .key = KEY_FORCE,
		  .doc = "replace the VM NAME where there is one" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "PATH NAME",
		.doc = "Makes the VM NAME of an archive that tartlet export wrote.\v"
		       "Examples:\n"
		       "  tartlet import debian.tvm debian\n"
		       "  tartlet import /srv/images/debian-12.tvm ci-1 --force",
	};
	struct import_options options = { 0 };
	struct vm_home home;
	struct error err;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	int code = command_open_home(&home);
	if (code != COMMAND_OK)
		return code;
	int r = import_vm(&home, &options, &err);
	if (r < 0)
		code = fail(r, &err);
	vm_home_close(&home);
	return code;
}
