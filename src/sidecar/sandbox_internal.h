#pragma once
/* The layers of a sandbox, one file each; sandbox.c puts them in order. */

#include <stdbool.h>

#include "sidecar/sandbox.h"
#include "sidecar/sandbox_kernel.h"

/*
 * A layer that the kernel refused for `reason` (negative errno): noted, and 0; under strict the reason again, and the
 * sentence in err. hint: more of the reason, or "".
 */
int sandbox_miss(struct sandbox *sandbox, const char *layer, int reason, const char *hint,
		 struct error *err) MUST_USE;

/* --- sandbox_namespaces.c --------------------------------------------------------------- */

/*
 * A user namespace that has nobody but who we are, with namespaces of other kinds that belong to it (`flags`). proc_fd
 * is /proc: its path may have gone. Nothing has changed where it fails. Negative errno.
 */
int sandbox_make_user_namespace(struct sandbox *sandbox, int flags, int proc_fd) MUST_USE;
/* Mount, IPC and UTS, and then an empty root. Misses what the kernel refuses. */
int sandbox_make_namespaces(struct sandbox *sandbox, struct error *err) MUST_USE;

/* --- sandbox_ids.c ---------------------------------------------------------------------- */

/* User and group, without other groups. The saved user stays what it was: sandbox_ids_finish(). */
int sandbox_ids_change(struct sandbox *sandbox, struct error *err) MUST_USE;
int sandbox_ids_finish(struct sandbox *sandbox, struct error *err) MUST_USE;

/* --- sandbox_capabilities.c ------------------------------------------------------------- */

bool sandbox_has_capability(const struct sandbox *sandbox, unsigned capability);
bool sandbox_has_capabilities(const struct sandbox *sandbox);
/* That of what may be had later, as far as we may. */
int sandbox_empty_bounding_set(struct sandbox *sandbox, struct error *err) MUST_USE;
int sandbox_drop_capabilities(struct sandbox *sandbox, struct error *err) MUST_USE;

/* --- sandbox_landlock.c ----------------------------------------------------------------- */

/* No file may be opened, whatever it is. Misses what the kernel does not know. */
int sandbox_restrict_files(struct sandbox *sandbox, struct error *err) MUST_USE;
