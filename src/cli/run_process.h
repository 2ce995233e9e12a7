#pragma once
/* The process that runs a VM, as other commands see it: by a handle, so that a signal cannot hit
 * another process that got its pid. */

#include <stdbool.h>

#include "base/compiler.h"

struct error;
struct vm_directory;

/* The handle, a pidfd; -ESRCH without a sentence when the VM does not run; or another negative errno
 * with one. verb: what cannot be done to the VM then. */
int run_process_open(const struct vm_directory *directory, const char *verb,
		     struct error *err) MUST_USE;

/* 0 or negative errno; -ESRCH when it has ended. */
int run_process_signal(int pid_fd, int signal_number) MUST_USE;

/* True when the process ended in time. */
bool run_process_wait_end(int pid_fd, unsigned timeout_s);
