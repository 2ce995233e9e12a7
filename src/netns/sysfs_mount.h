#pragma once
/*
 * The network interfaces of /sys for one mount namespace: those of its own network namespace, where
 * they would be those of whoever mounted /sys.
 */

#include "base/compiler.h"

/*
 * In the calling process's mount and network namespaces, which should be its own. All else of /sys stays as
 * it is, and so do other file systems in it, such as control groups. 0 or negative errno, and then
 * nothing has changed: -EPERM where the kernel allows no new sysfs because parts of the one that is
 * there are hidden, as containers have it; -ENOENT where there is none.
 */
int sysfs_mount_make(void) MUST_USE;
