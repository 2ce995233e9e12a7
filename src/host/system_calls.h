#pragma once
/* The system calls of this room, while a network runs. */

#include "base/system_call.h"

extern const struct system_call_list host_system_calls;
