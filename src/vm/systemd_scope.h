#pragma once
/*
 * Where the user has a systemd manager, QEMU gets a scope named after the VM, so that systemctl and
 * systemd-cgtop show it. Asked for by busctl: no D-Bus library for one call.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"

#define SYSTEMD_SCOPE_ARGS 32

struct systemd_scope_call {
	char *argv[SYSTEMD_SCOPE_ARGS]; /* ends with NULL; points into the fields below */
	char unit[96];
	char pid[16];
	char description[300];
};

/* Is there a user manager? runtime_directory: $XDG_RUNTIME_DIR, NULL = none. */
bool systemd_scope_available(const char *runtime_directory);

/* Is this process `pid` the main process of a unit? Then QEMU stays in that, whose limits are the person's
 * for this VM. exec_pid: $SYSTEMD_EXEC_PID, which what such a process starts inherits; NULL = none. */
bool systemd_scope_is_own_unit(const char *exec_pid, pid_t pid);

/* The call that moves process `pid` into tartlet-LABEL-PID.scope (VMs of two homes may have the same
 * label); label NULL: tartlet-PID.scope. */
void systemd_scope_build(const char *label, pid_t pid, struct systemd_scope_call *call);

/* Makes the call and waits for it (at most some seconds). 0 or negative errno; a failure hinders
 * nothing. */
int systemd_scope_make(struct systemd_scope_call *call) MUST_USE;
