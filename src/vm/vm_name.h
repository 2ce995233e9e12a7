#pragma once
/* The name of a VM is also the name of its directory: what a path cannot hold is refused. */

#include "base/compiler.h"

struct error;

#define VM_NAME_MOST 255 /* bytes: NAME_MAX, and the longest key of an assignment */

/* 0, or -EINVAL with a sentence. */
int vm_name_check(const char *name, struct error *err) MUST_USE;
