#pragma once
/*
 * A VM's lock: a POSIX record lock on its config.json, so that everybody can read the pid of who
 * runs it. POSIX semantics: the process that holds it must not open and close that file again (the
 * close would drop the lock), nor replace the file: config.json is read and saved before.
 */

#include <sys/types.h>

#include "base/compiler.h"

struct error;

/* Takes the lock without waiting. Returns the fd that keeps it until it is closed; -EBUSY when
 * another process has it; other negative errno. err is set except for -EBUSY. */
int vm_lock_take(int directory_fd, struct error *err) MUST_USE;

/* The process that runs the VM; 0 when none does (also when the lock is the caller's own). */
pid_t vm_lock_holder(int directory_fd);
