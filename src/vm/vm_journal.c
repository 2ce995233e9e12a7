/*
 * Theory of Operation
 *
 * The journal is one file, for one change at a time under the home's lock; who sees it without holding
 * that lock may see one under way. Writing it is the point of no return: recovery goes forward, never
 * back, by the very steps that the change itself takes. Each step can be repeated: it looks at what
 * there is first. A step that fails while its process lives is taken back, and the journal with it.
 *
 *     rename     the directory, then the assignment
 *     withdraw   the directory into tmp/, then the assignment goes. Killed before the first, the VM stays:
 *                nobody has seen it go
 *     change     config.json, then the disk
 *
 * The sweep of tmp/ leaves the journal, and what it names there: recovery comes first.
 */
#include "vm/vm_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/disk_image.h"
#include "vm/disk_make.h"
#include "vm/files.h"
#include "vm/vm_home.h"
#include "vmnet/vmnet.h"

#define JOURNAL_MOST ((size_t)256 * 1024)
#define PATH_SIZE    512

/* Takes the reference over. */
static int begin(const struct vm_home *home, json_t *entry, struct error *err)
{
	autofree char *text = entry ? json_dumps(entry, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
	json_decref(entry);
	int r = text ? files_write_atomic(home->tmp_fd, VM_HOME_JOURNAL, text, strlen(text))
		     : -ENOMEM;

	if (r < 0)
		error_set(err, "cannot write %s/tmp/%s: %s", home->path, VM_HOME_JOURNAL,
			  strerror(-r));
	return vm_home_explain_write(home, r, err);
}

/* On the disk, too: an old journal that came back would undo what was done since. */
static void end(const struct vm_home *home)
{
	if (unlinkat(home->tmp_fd, VM_HOME_JOURNAL, 0) < 0 || fsync(home->tmp_fd) < 0)
		return; /* it stays, and is completed again, which changes nothing */
}

static bool is_there(const struct vm_home *home, const char *name)
{
	return faccessat(home->vms_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int explain_assignment(const char *name, vmnet_return_t status,
			      const struct vmnet_error *reason, struct error *err)
{
	error_set(err, "cannot change the network assignment of VM \"%s\": %s", name,
		  reason->text[0] ? reason->text : vmnet_return_name(status));
	return status == VMNET_BUFFER_EXHAUSTED ? -ENOSPC : -EIO;
}

/* --- rename ------------------------------------------------------------------------------- */

static int rename_directory(const struct vm_home *home, const char *from, const char *to,
			    struct error *err)
{
	if (renameat2(home->vms_fd, from, home->vms_fd, to, RENAME_NOREPLACE) == 0) {
		(void)fsync(home->vms_fd); /* not every file system can */
		return 0;
	}
	int r = -errno;
	if (r == -EEXIST)
		error_set(err, "VM \"%s\" already exists: choose another name, or delete it", to);
	else
		error_set(err, "cannot rename the VM \"%s\" to \"%s\": %s", from, to, strerror(-r));
	return vm_home_explain_write(home, r, err);
}

/* A VM that never ran has none. */
static int rename_assignment(const struct vm_home *home, const char *from, const char *to,
			     struct error *err)
{
	autofree char *state_directory = NULL;
	struct vmnet_error reason = { .text = "" };

	int r = vm_home_state_directory(home, &state_directory, err);
	if (r < 0)
		return r;
	vmnet_return_t status = vmnet_assignment_rename(state_directory, from, to, &reason);
	if (status == VMNET_SUCCESS || status == VMNET_INVALID_ARGUMENT)
		return 0;
	return explain_assignment(from, status, &reason, err);
}

static int recover_rename(const struct vm_home *home, json_t *entry, struct error *err)
{
	const char *from;
	const char *to;
	int r;

	if (json_unpack(entry, "{ss ss ss !}", "do", &from, "from", &from, "to", &to) < 0)
		return -EINVAL;
	r = vm_name_check(from, err);
	if (r == 0)
		r = vm_name_check(to, err);
	if (r < 0)
		return r;
	if (is_there(home, from) && is_there(home, to))
		return 0; /* a process without this version's care was there */
	if (is_there(home, from))
		r = rename_directory(home, from, to, err);
	return r < 0 ? r : rename_assignment(home, from, to, err);
}

int vm_journal_rename(const struct vm_home *home, const struct vm_directory *directory,
		      const char *to, struct error *err)
{
	const char *from = directory->name;

	if (is_there(home, to)) {
		error_set(err, "VM \"%s\" already exists: choose another name, or delete it", to);
		return -EEXIST;
	}
	int r = begin(home, json_pack("{ss ss ss}", "do", "rename", "from", from, "to", to), err);
	if (r < 0)
		return r;
	r = rename_directory(home, from, to, err);
	if (r == 0) {
		r = rename_assignment(home, from, to, err);
		if (r < 0 && rename_directory(home, to, from, NULL) < 0)
			error_prefix(err, "VM \"%s\" is now called \"%s\", but", from, to);
	}
	end(home);
	return r;
}

/* --- withdraw ----------------------------------------------------------------------------- */

static int remove_assignment(const struct vm_home *home, const char *name, struct error *err)
{
	autofree char *state_directory = NULL;
	struct vmnet_error reason = { .text = "" };

	int r = vm_home_state_directory(home, &state_directory, err);
	if (r < 0)
		return r;
	vmnet_return_t status = vmnet_assignment_remove(state_directory, name, &reason);
	return status == VMNET_SUCCESS ? 0 : explain_assignment(name, status, &reason, err);
}

static int recover_withdraw(const struct vm_home *home, json_t *entry, struct error *err)
{
	const char *name;

	if (json_unpack(entry, "{ss ss !}", "do", &name, "name", &name) < 0)
		return -EINVAL;
	int r = vm_name_check(name, err);
	return r < 0 || is_there(home, name) ? r : remove_assignment(home, name, err);
}

int vm_journal_withdraw(const struct vm_home *home, const struct vm_directory *directory,
			struct vm_draft *ret_draft, struct error *err)
{
	struct vm_draft draft = { .fd = -1 };

	int r = begin(home, json_pack("{ss ss}", "do", "withdraw", "name", directory->name), err);
	if (r < 0)
		return r;
	r = vm_home_explain_write(home, vm_directory_withdraw(home, directory, &draft, err), err);
	if (r == 0) {
		r = remove_assignment(home, directory->name, err);
		if (r < 0 && vm_directory_restore(home, directory, &draft, NULL) < 0)
			error_prefix(err, "VM \"%s\" is removed, but", directory->name);
		if (r < 0)
			vm_draft_end(home, &draft);
	}
	end(home);
	if (r == 0)
		*ret_draft = draft;
	return r;
}

/* --- change ------------------------------------------------------------------------------- */

/* What stands in the journal; borrowed from it. */
struct plan {
	const char *name;
	const char *config;
	const char *disk; /* below tmp/; "" = none */
	json_int_t disk_size;
};

static int save_config(const struct vm_directory *directory, const char *text,
		       struct vm_config *ret_config, struct error *err)
{
	int r = vm_config_parse(text, strlen(text), ret_config, err);

	if (r < 0)
		return r;
	/* What a killed process left of an earlier try. */
	files_remove_temporaries(directory->fd, "config.json");
	r = vm_config_save(directory->fd, ret_config, err);
	if (r < 0)
		vm_config_done(ret_config);
	return r;
}

static int put_disk(const struct vm_home *home, const struct vm_directory *directory,
		    const char *disk, const char *file, struct error *err)
{
	if (renameat(home->tmp_fd, disk, directory->fd, file) < 0 && errno != ENOENT) {
		int r = -errno;
		error_set(err, "cannot replace %s of VM \"%s\": %s", file, directory->name,
			  strerror(-r));
		return r;
	}
	(void)fsync(directory->fd); /* not every file system can */
	return 0;
}

static int grow_disk(const struct vm_directory *directory, const struct vm_config_disk *disk,
		     uint64_t size, struct error *err)
{
	struct disk_image image;

	if (disk_image_look(directory->fd, disk->file, &image) == 0 && image.size >= size)
		return 0;
	return disk_grow(directory->fd, disk->file, disk->format, size, err);
}

static int apply(const struct vm_home *home, const struct vm_directory *directory,
		 const struct plan *plan, struct error *err)
{
	struct vm_config config;

	int r = save_config(directory, plan->config, &config, err);
	if (r < 0)
		return r;
	if (plan->disk[0] && config.disk_count > 0)
		r = put_disk(home, directory, plan->disk, config.disks[0].file, err);
	if (r == 0 && plan->disk_size > 0 && config.disk_count > 0)
		r = grow_disk(directory, &config.disks[0], (uint64_t)plan->disk_size, err);
	vm_config_done(&config);
	return r;
}

/* A file right in a draft, as vm_journal_change() writes it. */
static bool is_in_draft(const char *path)
{
	char draft[DRAFT_NAME_SIZE];
	const char *slash = strchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : sizeof(draft);

	if (length >= sizeof(draft))
		return false;
	memcpy(draft, path, length);
	draft[length] = 0;
	return draft_name_is(draft) && slash[1] && !strchr(slash + 1, '/') &&
	       strcmp(slash + 1, ".") != 0 && strcmp(slash + 1, "..") != 0;
}

static int recover_change(const struct vm_home *home, json_t *entry, struct error *err)
{
	struct vm_directory directory;
	struct plan plan;

	if (json_unpack(entry, "{ss ss ss ss sI !}", "do", &plan.name, "name", &plan.name, "config",
			&plan.config, "disk", &plan.disk, "diskSize", &plan.disk_size) < 0 ||
	    (plan.disk[0] && !is_in_draft(plan.disk)))
		return -EINVAL;
	int r = vm_directory_open(home, plan.name, &directory, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0) {
		r = apply(home, &directory, &plan, err);
		vm_directory_close(&directory);
	}
	return r;
}

int vm_journal_change(const struct vm_home *home, const struct vm_directory *directory,
		      const struct vm_change *change, struct error *err)
{
	autofree char *after = vm_config_format(change->after);
	char disk[PATH_SIZE] = "";

	if (!after) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	if (change->disk_draft)
		snprintf(disk, sizeof(disk), "%s/%s", change->disk_draft->temporary,
			 change->disk_file);
	const struct plan plan = {
		.name = directory->name,
		.config = after,
		.disk = disk,
		.disk_size = (json_int_t)change->disk_size,
	};
	int r = change->disk_draft ? files_sync(change->disk_draft->fd) : 0;
	if (r < 0) {
		error_set(err, "cannot write the new disk: %s", strerror(-r));
		return r;
	}
	r = begin(home,
		  json_pack("{ss ss ss ss sI}", "do", "change", "name", plan.name, "config",
			    plan.config, "disk", plan.disk, "diskSize", plan.disk_size),
		  err);
	if (r < 0)
		return r;
	r = vm_home_explain_write(home, apply(home, directory, &plan, err), err);
	if (r < 0 && vm_config_save(directory->fd, change->before, NULL) < 0)
		error_prefix(err, "config.json of VM \"%s\" is changed, but", directory->name);
	end(home);
	return r;
}

/* --- recovery ----------------------------------------------------------------------------- */

typedef int recover_fn(const struct vm_home *home, json_t *entry, struct error *err);

static int recover_entry(const struct vm_home *home, json_t *entry, struct error *err)
{
	static const struct {
		const char *what;
		recover_fn *recover;
	} kinds[] = {
		{ "rename", recover_rename },
		{ "withdraw", recover_withdraw },
		{ "change", recover_change },
	};
	const char *what = json_string_value(json_object_get(entry, "do"));

	for (size_t i = 0; what && i < ARRAY_COUNT(kinds); i++) {
		if (strcmp(what, kinds[i].what) == 0)
			return kinds[i].recover(home, entry, err);
	}
	return -EINVAL;
}

static int recover(const struct vm_home *home, struct error *err)
{
	autofree char *text = NULL;
	size_t size;

	int r = files_read(home->tmp_fd, VM_HOME_JOURNAL, JOURNAL_MOST, &text, &size);
	if (r == -ENOENT)
		return 0;
	struct error reason = { .text = "" };
	if (r == 0) {
		json_t *entry = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
		r = entry ? recover_entry(home, entry, &reason) : -EINVAL;
		json_decref(entry);
	}
	if (r == 0) {
		end(home);
		return 0;
	}
	error_set(
		err,
		"cannot complete what an earlier command began: %s. To give it up, remove %s/tmp/%s",
		reason.text[0] ? reason.text : strerror(-r), home->path, VM_HOME_JOURNAL);
	return r;
}

int vm_journal_lock(const struct vm_home *home, struct error *err)
{
	int r = vm_home_lock(home, err);

	if (r < 0)
		return r;
	r = recover(home, err);
	if (r < 0)
		vm_home_unlock(home);
	return r;
}

int vm_journal_recover(const struct vm_home *home, struct error *err)
{
	if (faccessat(home->tmp_fd, VM_HOME_JOURNAL, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	int r = vm_journal_lock(home, err);
	if (r == 0)
		vm_home_unlock(home);
	return r;
}
