#pragma once
/* The command line of ssh that reaches a VM by `tartlet nc`: a pure function. */

#include <stddef.h>

#include "base/compiler.h"

struct error;

struct ssh_wish {
	const char *program;   /* path of tartlet */
	const char *name;      /* the VM's */
	const char *directory; /* the VM's, a path: its known_hosts is there */
	const char *user;      /* NULL = ssh's own choice */
	const char *const
		*options; /* as they are passed on, before ours: the first word of ssh counts */
	size_t option_count;
	const char *const *command; /* words; ends with NULL */
};

struct ssh_args {
	char **argv; /* owned, each and all; ends with NULL */
	size_t count;
};

/*
 * 0; -EINVAL with a sentence where the directory's path cannot be told to ssh; -ENOMEM. One
 * ssh_args_done().
 */
int ssh_args_build(const struct ssh_wish *wish, struct ssh_args *ret_args,
		   struct error *err) MUST_USE;
void ssh_args_done(struct ssh_args *args);
