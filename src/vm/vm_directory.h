#pragma once
/*
 * The directory of one VM, vms/NAME:
 *
 *     config.json   the VM's settings (vm_config.h); its lock is the VM's lock (vm_lock.h)
 *     kernel initrd disk.img    copies, so that the VM does not depend on files elsewhere (but for a
 *                   disk.img that was made with --backing)
 *     seed.json     what cloud-init in the guest is told (seed_settings.h); not there: nothing
 *     nvram.bin     the firmware's variables (firmware.h), instead of kernel and initrd
 *     run.json control.sock qemu.log    of the run under way (run_state.h)
 *     agent.sock    of the run under way: whoever connects talks to the agent in the guest, one at a
 *                   time: agent.lock (agent_turn.h)
 *     suspend.state what the guest was when it was suspended; the next run goes on from there
 *                   (saved_state.h); suspend.state.new and .used: of one that is being saved or resumed
 *     suspend.refused    of the run under way: why it was not suspended
 *
 * A directory without a config.json is not a VM, and is not seen.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vm/draft_name.h"
#include "vm/vm_name.h"

struct error;
struct vm_config;
struct vm_home;

/* QEMU listens there. To connect, go by the directory's descriptor ("/proc/self/fd/N/agent.sock"): a home
 * of any depth fits into the 108 bytes of a unix address that way. */
#define VM_AGENT_SOCKET_NAME "agent.sock"

/* A guest's memory and devices as of its suspension. It goes with the MAC of that moment: another MAC, or
 * any other change to the machine, makes it useless. */
#define VM_DIRECTORY_SAVED_STATE "suspend.state"

struct vm_directory {
	char name[VM_NAME_MOST + 1];
	int fd;
};

/*
 * 0; -ENOENT with `the specified VM "NAME" does not exist`; or another negative errno with a
 * sentence. One vm_directory_close().
 */
int vm_directory_open(const struct vm_home *home, const char *name,
		      struct vm_directory *ret_directory, struct error *err) MUST_USE;
void vm_directory_close(struct vm_directory *directory);
/* vm_config_load(), whose sentence names the VM where config.json is at fault, which a person may have written. */
int vm_directory_config(const struct vm_directory *directory, struct vm_config *ret_config,
			struct error *err) MUST_USE;
/* Marks it as used now (`list` shows that). */
void vm_directory_touch(const struct vm_directory *directory);

/* There is a saved state. That of a VM which runs is not asked for. */
bool vm_directory_is_suspended(const struct vm_directory *directory);

/*
 * All of these under the home's lock, which keeps it so. -EBUSY with a sentence when the VM runs, -ESRCH
 * with one when the directory is no longer that of the VM of its name. Nobody asks who holds the VM's
 * lock.
 *
 * Who reads a VM's files for long, to copy them, takes a share of its directory, which is held by its
 * descriptor and until that is closed. Who starts, changes or removes the VM asks whether it is free:
 * -EBUSY also when somebody has a share.
 */
int vm_directory_share(const struct vm_home *home, const struct vm_directory *directory,
		       struct error *err) MUST_USE;
int vm_directory_check_free(const struct vm_home *home, const struct vm_directory *directory,
			    struct error *err) MUST_USE;

/* The names of all VMs, sorted; the caller frees with vm_directory_free_names(). */
int vm_directory_names(const struct vm_home *home, char ***ret_names, size_t *ret_count,
		       struct error *err) MUST_USE;
void vm_directory_free_names(char **names, size_t count);

/* A VM being made, in tmp/ until it is published whole. */
struct vm_draft {
	char temporary[DRAFT_NAME_SIZE]; /* its name in tmp/ */
	int fd;				 /* holds the flock that keeps the sweep away */
};
int vm_draft_begin(const struct vm_home *home, struct vm_draft *ret_draft,
		   struct error *err) MUST_USE;
/*
 * Makes the draft the VM `name`, once all of it is on the disk. Takes the home's lock and gives it up,
 * also where the caller had it: this is the last that is done under it. -EEXIST with a
 * sentence when there is such a VM: it stays as it is. On success and failure the draft is still to be
 * ended.
 */
int vm_draft_publish(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		     struct error *err) MUST_USE;
/* The same, but takes the place of such a VM at one stroke, or says -EBUSY as
 * vm_directory_check_free(). The old VM is removed with the draft, or by the next sweep. */
int vm_draft_replace(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		     struct error *err) MUST_USE;
/* Removes what was not published, or was replaced. */
void vm_draft_end(const struct vm_home *home, struct vm_draft *draft);

/*
 * Takes the VM out of vms/ into tmp/ at one stroke. The caller holds the home's lock and the VM's.
 * `draft` then holds it: vm_directory_restore() brings it back, vm_draft_end() removes it for good.
 */
int vm_directory_withdraw(const struct vm_home *home, const struct vm_directory *directory,
			  struct vm_draft *ret_draft, struct error *err) MUST_USE;
/* Still under that lock; the draft is still to be ended. */
int vm_directory_restore(const struct vm_home *home, const struct vm_directory *directory,
			 const struct vm_draft *draft, struct error *err) MUST_USE;

/* Removes all that the VM has but its config.json: it is still there, locked, and can be deleted, but
 * not run any more. Nothing where vms/NAME is a link: vm_draft_end() removes no more than that, either.
 * 0 or negative errno. */
int vm_directory_empty(const struct vm_home *home, const struct vm_directory *directory,
		       struct error *err) MUST_USE;

/* What the disks could grow to, and what the directory takes on the host, in bytes. */
struct vm_directory_usage {
	uint64_t disk_size;
	uint64_t allocated_size;
	int64_t accessed_s; /* Unix time */
};
struct vm_directory_usage vm_directory_usage(const struct vm_directory *directory);
