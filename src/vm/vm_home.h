#pragma once
/*
 * The home of all VMs: $TARTLET_HOME, by default ~/.tartlet.
 *
 *     vms/NAME/       one VM each (vm_directory.h)
 *     tmp/            VMs being made or removed (draft_name.h); what no process holds is swept. And the
 *                     journal
 *     networks/       assignments of subnets and addresses (libvmnet's)
 *     config.json     the user's settings, optional
 *
 * The home may be a link, but not what is in it: what is removed in there is not to be elsewhere. Any of it
 * may have been there before, with files of somebody's own: they stay.
 */

#include <netinet/in.h>
#include <stdbool.h>

#include "base/compiler.h"

struct error;

/* In tmp/, and not swept: vm_journal.h. */
#define VM_HOME_JOURNAL "journal"

struct vm_home {
	char *path; /* absolute */
	int fd;
	int vms_fd;
	int tmp_fd;
};

/* Settings of the home; a missing file means the defaults. */
struct vm_home_settings {
	/* Where forwards without an address listen: an address, "*" (all addresses, the default)
	 * or "localhost" (both loopback addresses). */
	char expose_address[INET6_ADDRSTRLEN];
};

/*
 * Opens the home and makes what is missing of it. 0, or negative errno with a sentence that names
 * the path. On success the caller owns it: one vm_home_close().
 */
int vm_home_open(struct vm_home *home, struct error *err) MUST_USE;
void vm_home_close(struct vm_home *home);

/* The path of networks/, made if missing. 0 or negative errno with a sentence; the caller frees. */
int vm_home_state_directory(const struct vm_home *home, char **ret_path,
			    struct error *err) MUST_USE;

/* Puts what a text of JSON says in place of what is there. 0 or negative errno with a sentence: then
 * *settings may have been changed. */
int vm_home_parse_settings(const char *text, size_t size, struct vm_home_settings *settings,
			   struct error *err) MUST_USE;
int vm_home_load_settings(const struct vm_home *home, struct vm_home_settings *ret_settings,
			  struct error *err) MUST_USE;

/* For what was written in the home: puts before the sentence of a failure that the home is not
 * writable, where that is why. Returns the status. */
int vm_home_explain_write(const struct vm_home *home, int status, struct error *err);

/*
 * The lock that all tartlet processes of this home share: held from the check for MAC collisions
 * until the VM's own lock is held. Waits. 0 or negative errno with a sentence.
 */
int vm_home_lock(const struct vm_home *home, struct error *err) MUST_USE;
void vm_home_unlock(const struct vm_home *home);

/* Sweeps tmp/: what this program made there and whose maker is gone; nothing of another name. Does nothing
 * when another process holds the lock. */
void vm_home_sweep(const struct vm_home *home);
