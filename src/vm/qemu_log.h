#pragma once
/*
 * qemu.log in the VM's directory: what QEMU writes to its standard error. The fd carries a flock
 * that QEMU inherits, so the next run can wait until the QEMU of a killed run is really gone.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct error;

/*
 * Opens the log; waits while a QEMU of an earlier run still has it (it was killed: that is moments).
 * What that run left stays: a run that is refused before it starts QEMU has nothing to say there.
 * The fd, or negative errno with a sentence.
 */
int qemu_log_open(int directory_fd, struct error *err) MUST_USE;

/* For a QEMU that is about to start. */
int qemu_log_empty(int log_fd, struct error *err) MUST_USE;

/* The last `most` lines, without the newline at the end; control characters become '?'. Returns
 * false when the log is empty. */
bool qemu_log_tail(int log_fd, unsigned most, char *buffer, size_t size);
