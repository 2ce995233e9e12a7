#pragma once
/*
 * A resolv.conf of its own for one mount namespace: a small file in memory that is mounted over the
 * real one, which stays as it is, also when a DHCP client of the guest writes.
 */

#include "base/compiler.h"

struct error;
struct ip_addr;

#define RESOLV_MOUNT_PATH "/etc/resolv.conf"

/*
 * In the calling process's mount namespace, which should be its own. server: what the file names;
 * family NONE leaves it empty. 0 or negative errno with a sentence; -ENOENT: `path` is not there, so
 * nothing can be mounted over it.
 */
int resolv_mount_make(const char *path, const struct ip_addr *server, struct error *err) MUST_USE;
