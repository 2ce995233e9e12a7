#pragma once
/* A bound for what a library may take that reads foreign bytes, where it has none of its own. */

#include <stdint.h>

/* From now on the process gets so many bytes of memory more than it has, and no more: then it is told that there is
 * none. Where the bound cannot be set, there is none. */
void memory_limit_set(uint64_t more);
