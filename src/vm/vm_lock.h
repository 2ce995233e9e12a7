#pragma once
/*
 * A VM's lock: a POSIX record lock on its config.json, so that everybody can read the pid of who
 * runs it.
 *
 * WARNING, POSIX semantics (fcntl(2)): ANY other open and close of config.json by the process that
 * holds the lock, in any thread, by any library, also only to read it, drops the lock without a word.
 * So the holder must not call vm_config_load() or vm_lock_holder() for its own VM while it runs, nor
 * replace the file: config.json is read and saved before the lock is taken.
 */

#include <sys/types.h>

#include "base/compiler.h"

struct error;

/* Takes the lock without waiting. Returns the fd that keeps it until it is closed; -EBUSY when
 * another process has it; other negative errno. err is set except for -EBUSY. */
int vm_lock_take(int directory_fd, struct error *err) MUST_USE;

/* Somebody runs the VM, and we cannot see who: a process of another pid namespace. */
#define VM_LOCK_HOLDER_UNKNOWN (-1)

/*
 * The process that runs the VM, or VM_LOCK_HOLDER_UNKNOWN (never a number for kill()); 0 when none
 * does, also when the lock is the caller's own, which it would lose by asking.
 */
pid_t vm_lock_holder(int directory_fd);
