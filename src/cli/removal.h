#pragma once
/* How a command removes a VM: what is said where it stays, and the exit code. */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vm/vm_directory.h"
#include "vm/vm_home.h"

/* The VM that a person named: where it stays, or another was faster, the command has failed. */
int removal_of_named(const struct vm_home *home, const struct vm_directory *directory) MUST_USE;

/*
 * One of many, which was chosen because it was used last at accessed_s. Who uses it now, or has used it since, has it:
 * then it stays, and is no failure; nor is one that another removed meanwhile. *ret_removed is written on COMMAND_OK alone.
 */
int removal_of_chosen(const struct vm_home *home, const struct vm_directory *directory,
		      int64_t accessed_s, bool *ret_removed) MUST_USE;
