#pragma once
/*
 * Changes that need more than one stroke, as the directory of a VM and its assignment of a subnet are
 * two records. Before the first stroke the change stands in the home's journal, tmp/journal, and after
 * the last it does not: whoever takes the home's lock with vm_journal_lock() completes what a killed
 * process has begun. So a VM is seen as it was or as it is to be.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vm/vm_config.h"
#include "vm/vm_directory.h"

struct error;
struct vm_home;

/* The home's lock, with nothing left to complete. 0 or negative errno with a sentence. One
 * vm_home_unlock(). */
int vm_journal_lock(const struct vm_home *home, struct error *err) MUST_USE;
/* For who only looks: completes what was left, if something was. 0 or negative errno with a sentence;
 * then it is still to be completed. */
int vm_journal_recover(const struct vm_home *home, struct error *err) MUST_USE;

/* All others under the lock. 0, or negative errno with a sentence, and all is as it was. */

/* Also the assignment, also while it runs. -EEXIST: there is a VM `to`. */
int vm_journal_rename(const struct vm_home *home, const struct vm_directory *directory,
		      const char *to, struct error *err) MUST_USE;

/* Into ret_draft, as vm_directory_withdraw(), and without its assignment. -ENOSPC: no room for the
 * records. */
int vm_journal_withdraw(const struct vm_home *home, const struct vm_directory *directory,
			struct vm_draft *ret_draft, struct error *err) MUST_USE;

struct vm_change {
	const struct vm_config *before;
	const struct vm_config *after;
	/* A file in a draft that takes the place of the first disk's; NULL = none. */
	const struct vm_draft *disk_draft;
	const char *disk_file;
	uint64_t disk_size; /* 0, or what the first disk grows to, in bytes */
};
int vm_journal_change(const struct vm_home *home, const struct vm_directory *directory,
		      const struct vm_change *change, struct error *err) MUST_USE;
