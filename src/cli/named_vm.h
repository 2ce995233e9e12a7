#pragma once
/* The VM that a command line names: its NAME argument, and opening that VM or saying why not. */

#include <argp.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "vm/vm_directory.h"
#include "vm/vm_home.h"

/* For a parser. Ends the program with a usage error (64) where no VM can have that name. */
const char *named_vm_parse(struct argp_state *state, const char *argument);
/*
 * The rest of a parser whose command takes one NAME and no other argument: a second one, or none, is
 * a usage error. *name is NULL before. ARGP_ERR_UNKNOWN for any other key.
 */
error_t named_vm_parse_only(int key, const char *argument, struct argp_state *state,
			    const char **name);

/* COMMAND_OK, or a printed failure: missing_code where there is no such VM. */
int named_vm_open(const struct vm_home *home, const char *name, int missing_code,
		  struct vm_directory *ret_directory) MUST_USE;
/* Prints that it does not run. Returns the exit code. */
int named_vm_not_running(const struct vm_directory *directory) MUST_USE;

/*
 * For who makes the VM `name`, before the work, which may take long: 0; -EEXIST with a sentence when
 * there is such a VM and `force` does not say to replace it; -EBUSY with a sentence when it cannot be
 * replaced now. named_vm_publish() decides.
 */
int named_vm_check_new(const struct vm_home *home, const char *name, bool force,
		       struct error *err) MUST_USE;
/* vm_draft_publish(), or with `force` vm_draft_replace(). */
int named_vm_publish(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		     bool force, struct error *err) MUST_USE;

/* What a command does with its VM. Returns the exit code. */
typedef int named_vm_fn(const struct vm_home *home, const struct vm_directory *directory,
			const void *options);
/* Opens the home and the VM, acts, and closes both. Returns the exit code, as named_vm_open(). */
int named_vm_act(const char *name, int missing_code, named_vm_fn *act,
		 const void *options) MUST_USE;
