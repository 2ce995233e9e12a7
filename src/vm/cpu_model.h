#pragma once
/* What QEMU's -cpu says. */

#include <stdbool.h>

#include "vm/accel.h"

struct qemu_version;

/*
 * For KVM the host's own processor, with its virtualization only where that is asked for (nested); for
 * TCG all that QEMU can emulate, but for what makes a guest slow. Never NULL; static.
 */
const char *cpu_model_of(enum accel accel, bool nested, const struct qemu_version *version);
