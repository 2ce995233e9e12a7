#pragma once
/*
 * Who is who in a new user namespace. Root keeps every id it has, as itself; an ordinary user may
 * map one id only, and becomes root of the namespace: that is what programs expect of somebody who
 * may configure its network (iproute2 drops the rights of everybody else).
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"

struct error;

/*
 * From the text of /proc/self/uid_map or gid_map: every id that we know, as itself. False when the
 * text is no such map, or the result does not fit.
 */
bool id_map_identity(const char *own_map, char *buffer, size_t size) MUST_USE;

/* For the child `pid`, which is in a new user namespace below ours. 0 or negative errno with a
 * sentence. */
int id_map_write(pid_t pid, struct error *err) MUST_USE;
