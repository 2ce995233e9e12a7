#pragma once
/*
 * virtiofsd, which serves one directory to one guest: which one there is, how it is called, and how it is
 * confined. It runs with the caller's rights and no more: root's confines itself, an ordinary user's is
 * root in a user namespace that has the caller alone in it. What is to be read only is a read-only mount of
 * its own, so that no bug of the daemon can write there.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"

struct error;
struct qemu_query_wait;

struct share_daemon {
	char path[256];
	bool of_qemu; /* the one that came with QEMU until 7.2; else the newer one, in Rust */
};

/* From what `virtiofsd --version` prints. The newer one says "virtiofsd 1.10.0"; QEMU's says nothing at all to a
 * caller who has groups that it cannot give up. */
bool share_daemon_version_is_of_qemu(const char *text);
/* Looks in PATH and where distributions put it. 0; -ENOENT with a sentence; -ECANCELED as qemu_query(). */
int share_daemon_find(const struct qemu_query_wait *wait, struct share_daemon *ret_daemon,
		      struct error *err) MUST_USE;

#define SHARE_DAEMON_ARGS 8
struct share_daemon_args {
	char *argv[SHARE_DAEMON_ARGS + 1]; /* ends with NULL */
};
/* listen_fd: a listening socket that the daemon inherits. 0 or -ENOMEM. One share_daemon_args_done(). */
int share_daemon_args_build(const struct share_daemon *daemon, const char *directory, int listen_fd,
			    struct share_daemon_args *ret_args) MUST_USE;
void share_daemon_args_done(struct share_daemon_args *args);

/* What the child needs to confine itself; made before the fork. */
struct share_confinement {
	const char *directory;
	bool read_only;
	bool is_root;
	char uid_map[32];
	char gid_map[32];
};
void share_confinement_init(struct share_confinement *confinement, const char *directory,
			    bool read_only);
/* In the child, before exec; async-signal-safe. context: a struct share_confinement. 0 or negative errno. */
int share_confinement_enter(const void *context) MUST_USE;
/* Would it work? Tried in a child. 0 or negative errno. */
int share_confinement_try(const struct share_confinement *confinement) MUST_USE;
