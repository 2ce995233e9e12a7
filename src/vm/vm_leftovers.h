#pragma once
/* What commands that were killed left in the directory of a VM. */

#include "base/compiler.h"
#include "vm/vm_directory.h"

struct error;

/*
 * Takes the home's lock. Removes what was begun and not completed, or was set aside: nothing else, and it is no use of
 * the VM. 0, or negative errno with a sentence: -EBUSY when somebody uses the VM, -ESRCH when it is no longer that of
 * its name.
 */
int vm_leftovers_remove(const struct vm_home *home, const struct vm_directory *directory,
			struct error *err) MUST_USE;
