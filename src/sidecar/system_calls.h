#pragma once
/* The system calls of the sandboxed process besides those of its network, from sandbox_lock() on. */

#include "base/system_call.h"

extern const struct system_call_list sidecar_system_calls;
