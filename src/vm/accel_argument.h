#pragma once
/* What QEMU's -accel says. */

#include "vm/accel.h"

struct qemu_version;

/* With the threads that the guest's processors may have of that QEMU. Never NULL; static. */
const char *accel_argument_of(enum accel accel, const struct qemu_version *version);
