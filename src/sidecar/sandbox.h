#pragma once
/*
 * What the process that parses a guest's bytes gives up, once it has opened what it needs:
 *
 *     sandbox_fork()   the only thread: a child in a PID namespace of its own, that dies with its parent
 *     sandbox_enter()  the child, still one thread, everything open: it loses files, users and rights
 *     sandbox_lock()   all its threads: what is left of the system calls
 *
 * Namespaces and Landlock are used where the kernel lets us; what is missing is an error under `strict`, else a
 * sentence, to be said once. Everything else is needed. After a failure of sandbox_enter() or sandbox_lock() the
 * process is neither free nor confined, and is to end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/error.h"

/* nobody and nogroup: the kernel's own number for a user whom it cannot name. */
#define SANDBOX_NOBODY 65534

struct sandbox_kernel;

struct sandbox_options {
	bool strict;   /* a layer that is missing is an error */
	bool has_user; /* without: nobody and nogroup where we are root, else the calling user */
	uid_t user;
	gid_t group;
};

/* User, PID, mount, IPC and UTS namespaces, root, ids, Landlock. */
/* nobody and nogroup: the kernel's own number for a user whom it cannot name. */
#define SANDBOX_NOBODY	     65534
#define SANDBOX_MISSING_MOST 8

/* All zero before sandbox_fork(); tests may set the kernel. */
struct sandbox {
	const struct sandbox_kernel *kernel; /* NULL: the real one */
	struct sandbox_options options;
	int channel_fd; /* the child's; borrowed */
	bool tried_user_namespace;
	bool user_namespace; /* it is in one that we made */
	size_t missing_count;
	struct error missing[SANDBOX_MISSING_MOST];
};

/*
 * As fork(): the child's pid in the parent, 0 in the child, negative errno where there is no child. The channel is
 * a stream socket to the other one, for each its own end. The child is killed when its parent dies. An ordinary
 * user's parent is then in a user namespace, too, in which it is the same user.
 */
pid_t sandbox_fork(struct sandbox *sandbox, const struct sandbox_options *options,
		   int *ret_channel_fd, struct error *err) MUST_USE;

/* In the child, while it has one thread. The end of the channel that it was given has to be open. */
int sandbox_enter(struct sandbox *sandbox, struct error *err) MUST_USE;

/* In the child: for all its threads, of which some may run. Every kernel that we run on has it: no layer. */
int sandbox_lock(struct sandbox *sandbox, struct error *err) MUST_USE;

/* In the child, at last, all its layers; in the parent only what was missing for the fork. NULL behind the last. */
const char *sandbox_missing(const struct sandbox *sandbox, size_t index);
