#pragma once
/* A VM goes for good: its directory, and the subnet and address that were kept for it. */

#include "base/compiler.h"
#include "vm/vm_directory.h"

struct error;

/*
 * Takes the home's lock. 0, or negative errno with a sentence: -ESRCH when it is no longer the VM of that
 * name, -EBUSY when it runs or is being copied. After a failure the VM is still there, as a rule as it was:
 * the sentence says so where not.
 */
int vm_removal(const struct vm_home *home, const struct vm_directory *directory,
	       struct error *err) MUST_USE;
