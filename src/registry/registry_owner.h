#pragma once
/*
 * Directories of the registry, and the proof that an owner of holdings lives: a flock on a file of
 * its own in the runtime directory, which the kernel ends with the last descriptor of it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"

/* Makes the directory and missing parents (mode 0700) and resolves the path; the caller frees it. */
int registry_directory_make(const char *path, char **ret_path, struct error *err) MUST_USE;
/* As above, then opens it, provided that it is ours alone. A lock shared by all users of the
 * directory stays on the descriptor: it tells systemd-tmpfiles not to clean files in it by age. */
int registry_directory_open_private(const char *path, char **ret_path, int *ret_directory_fd,
				    struct error *err) MUST_USE;

/*
 * The four below are called while the caller has the write lock of the holdings file: nobody judges
 * or cleans owners while one is being made. Only whoever has read the owner from a committed row may
 * ask without it whether that one lives: its lock was taken before the row.
 */

/* A new owner, with a random id above 0. The lock lives as long as the descriptor. */
int registry_owner_make(int directory_fd, int64_t *ret_owner, int *ret_lock_fd,
			struct error *err) MUST_USE;
bool registry_owner_is_live(int directory_fd, int64_t owner);
/* Removes the file; fine when there is none. */
void registry_owner_forget(int directory_fd, int64_t owner);

typedef void registry_owner_dead_fn(void *context, int64_t owner);
/* Looks at the files of owners, in no order, and reports the dead. Stops after so many live ones. */
void registry_owner_sweep(int directory_fd, unsigned live_most, registry_owner_dead_fn *dead,
			  void *context);
