#include "cli/run_suspend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "cli/run_disks.h"
#include "cli/run_guest.h"
#include "cli/run_shares.h"
#include "vm/files.h"
#include "vm/saved_state.h"
#include "vm/vm_directory.h"

void run_suspend_init(struct run_suspend *suspend)
{
	*suspend = (struct run_suspend){ .fd = -1 };
}

static int directory_of(const struct run_suspend *suspend)
{
	return suspend->launch->directory->fd;
}

void run_suspend_done(struct run_suspend *suspend)
{
	suspend->fd = fd_close(suspend->fd);
	saved_machine_done(&suspend->machine);
	if (!suspend->launch)
		return;
	saved_state_sweep(directory_of(suspend));
	(void)unlinkat(directory_of(suspend), RUN_SUSPEND_REFUSAL_NAME,
		       0); /* mostly there is none */
	suspend->launch = NULL;
}

/* In the order in which the guest has them. */
static int look_at_disks(struct run_suspend *suspend, struct error *err)
{
	const struct run_guest_launch *launch = suspend->launch;
	const struct vm_config *config = launch->config;
	int r = 0;

	saved_machine_drop_disks(&suspend->machine);
	for (size_t i = 0; r == 0 && i < config->disk_count; i++) {
		struct qemu_disk disk = { .path = config->disks[i].file,
					  .format = config->disks[i].format };
		if (i == 0)
			disk.options = launch->root_disk;
		r = saved_machine_add_disk(&suspend->machine, directory_of(suspend), &disk, true,
					   err);
	}
	for (size_t i = 0; r == 0 && i < launch->disks->count; i++)
		r = saved_machine_add_disk(&suspend->machine, directory_of(suspend),
					   &launch->disks->disks[i], false, err);
	return r;
}

int run_suspend_prepare(struct run_suspend *suspend, const struct run_guest_launch *launch,
			char *const *argv, struct error *err)
{
	struct saved_machine *machine = &suspend->machine;

	suspend->launch = launch;
	machine->qemu = launch->qemu;
	machine->accel = launch->accel;
	machine->attach = launch->net.attach;
	machine->cpu_count = launch->config->cpu_count;
	machine->memory_size = launch->config->memory_size;
	machine->mac = launch->config->mac;
	machine->subnet = launch->subnet;
	machine->address = launch->address;
	machine->arguments = saved_machine_arguments(argv);
	if (!machine->arguments) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	int r = look_at_disks(suspend, err);
	if (r < 0 || !launch->saved || saved_machine_fits(launch->saved, machine, err))
		return r;
	return -EINVAL;
}

/* For people, and for the command that asked. */
static void tell_refusal(const struct run_suspend *suspend, const char *reason)
{
	const char *name = suspend->launch->directory->name;
	struct error sentence;

	error_set(&sentence, "VM \"%s\" was not suspended and goes on: %s", name, reason);
	fprintf(stderr, "%s\n", sentence.text);
	int r = files_write_atomic(directory_of(suspend), RUN_SUSPEND_REFUSAL_NAME, sentence.text,
				   strlen(sentence.text));
	if (r < 0)
		fprintf(stderr, "cannot write %s: %s\n", RUN_SUSPEND_REFUSAL_NAME, strerror(-r));
}

enum run_suspend_event run_suspend_save(struct run_suspend *suspend, struct qmp *qmp)
{
	struct error err;

	if (suspend->phase != RUN_SUSPEND_IDLE)
		return RUN_SUSPEND_NOTHING; /* asked twice */
	const struct run_shares *shares = suspend->launch->shares;
	if (share_forbids_saving(shares->shares, shares->count)) {
		tell_refusal(suspend, "it has directories of the host (--dir)");
		return RUN_SUSPEND_NOT_SAVED;
	}
	suspend->fd = saved_state_begin(directory_of(suspend), &err);
	if (suspend->fd < 0) {
		suspend->fd = -1;
		tell_refusal(suspend, err.text);
		return RUN_SUSPEND_NOT_SAVED;
	}
	puts("creating a snapshot...");
	suspend->phase = RUN_SUSPEND_SAVING;
	migration_save(&suspend->migration, qmp, suspend->fd);
	return run_suspend_advance(suspend, qmp);
}

void run_suspend_abandon(struct run_suspend *suspend)
{
	if (suspend->phase == RUN_SUSPEND_SAVING)
		suspend->phase = RUN_SUSPEND_IDLE; /* its file is removed at the end */
}

void run_suspend_resume(struct run_suspend *suspend, struct qmp *qmp)
{
	puts("restoring VM state from a snapshot...");
	suspend->phase = RUN_SUSPEND_LOADING;
	migration_load(&suspend->migration, qmp, suspend->launch->saved_fd);
}

/* The room of what was not saved is given back first: QEMU, which may still hold the file, and the word
 * on the refusal may need it. */
static enum run_suspend_event give_up(struct run_suspend *suspend, struct qmp *qmp,
				      const char *reason)
{
	(void)!ftruncate(suspend->fd, 0);
	suspend->fd = fd_close(suspend->fd);
	saved_state_sweep(directory_of(suspend));
	tell_refusal(suspend, reason);
	suspend->phase = RUN_SUSPEND_GIVING_UP;
	migration_go_on(&suspend->migration, qmp);
	return RUN_SUSPEND_NOTHING;
}

/* QEMU has written all, and writes to no disk any more. */
static enum run_suspend_event keep(struct run_suspend *suspend, struct qmp *qmp)
{
	struct error err;

	int r = look_at_disks(suspend, &err);
	if (r == 0)
		r = saved_state_commit(directory_of(suspend), suspend->fd, &suspend->machine, &err);
	if (r < 0)
		return give_up(suspend, qmp, err.text);
	suspend->fd = fd_close(suspend->fd);
	suspend->phase = RUN_SUSPEND_IDLE;
	return RUN_SUSPEND_SAVED;
}

static enum run_suspend_event cannot_go_on(struct run_suspend *suspend, const char *reason)
{
	suspend->phase = RUN_SUSPEND_IDLE;
	fprintf(stderr, "VM \"%s\" cannot go on: %s\n", suspend->launch->directory->name, reason);
	return RUN_SUSPEND_BROKEN;
}

/*
 * From the moment in which the guest goes on its disks are ahead of the saved state, which must not be
 * loaded again, whoever is killed and when: so it is set aside before.
 */
static enum run_suspend_event go_on(struct run_suspend *suspend, struct qmp *qmp)
{
	int r = saved_state_set_aside(directory_of(suspend));
	if (r < 0)
		return cannot_go_on(suspend, strerror(-r));
	puts("resuming VM...");
	suspend->phase = RUN_SUSPEND_RESUMING;
	migration_go_on(&suspend->migration, qmp);
	return RUN_SUSPEND_NOTHING;
}

static enum run_suspend_event succeed(struct run_suspend *suspend, struct qmp *qmp)
{
	switch (suspend->phase) {
	case RUN_SUSPEND_IDLE:
		break;
	case RUN_SUSPEND_SAVING:
		return keep(suspend, qmp);
	case RUN_SUSPEND_GIVING_UP:
		suspend->phase = RUN_SUSPEND_IDLE;
		return RUN_SUSPEND_NOT_SAVED;
	case RUN_SUSPEND_LOADING:
		return go_on(suspend, qmp);
	case RUN_SUSPEND_RESUMING:
		suspend->phase = RUN_SUSPEND_IDLE;
		saved_state_sweep(directory_of(suspend));
		return RUN_SUSPEND_RESUMED;
	}
	return RUN_SUSPEND_NOTHING;
}

/* QEMU does not always say that this was it. */
static bool is_full(int fd)
{
	struct statvfs room;

	return fstatvfs(fd, &room) == 0 && (uint64_t)room.f_bavail * room.f_frsize < UINT64_C(64)
											     << 10;
}

static enum run_suspend_event fail(struct run_suspend *suspend, struct qmp *qmp)
{
	/* begin() of the next one empties the migration's. */
	char reason[MIGRATION_REASON_SIZE];

	snprintf(reason, sizeof(reason), "%s", suspend->migration.reason);
	/* How it ended is told by who waits for it. */
	if (qmp->state == QMP_CLOSED) {
		suspend->phase = RUN_SUSPEND_IDLE;
		return RUN_SUSPEND_NOTHING;
	}
	if (suspend->phase == RUN_SUSPEND_SAVING)
		return give_up(suspend, qmp, is_full(suspend->fd) ? strerror(ENOSPC) : reason);
	if (suspend->phase == RUN_SUSPEND_RESUMING) {
		int r = saved_state_put_back(directory_of(suspend));
		if (r < 0)
			fprintf(stderr, "its saved state is lost: %s\n", strerror(-r));
	}
	return cannot_go_on(suspend, reason);
}

bool run_suspend_answered(struct run_suspend *suspend, const char *id, const json_t *result,
			  const char *error)
{
	return migration_answered(&suspend->migration, id, result, error);
}

enum run_suspend_event run_suspend_advance(struct run_suspend *suspend, struct qmp *qmp)
{
	enum run_suspend_event event = RUN_SUSPEND_NOTHING;

	/* One end may be the begin of something else, which may fail at once. */
	while (event == RUN_SUSPEND_NOTHING && suspend->phase != RUN_SUSPEND_IDLE) {
		migration_advance(&suspend->migration);
		if (suspend->migration.state == MIGRATION_DONE)
			event = succeed(suspend, qmp);
		else if (suspend->migration.state == MIGRATION_FAILED)
			event = fail(suspend, qmp);
		else
			break;
	}
	return event;
}
