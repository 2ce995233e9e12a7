#pragma once
/* The namespaces that a guest lives in: new ones of its own, or a network namespace that is there. */

#include "base/compiler.h"

struct error;

/*
 * Opens the network namespace that `where` names: a process by its number, or a path such as
 * /run/netns/NAME or /proc/PID/ns/net. Nothing else is opened by it, whatever the path leads to. 0
 * with *ret_fd, which the caller closes; or negative errno with a sentence, also for the namespace
 * that the caller itself is in: its network is what the guest's is made of.
 */
int namespace_open(const char *where, int *ret_fd, struct error *err) MUST_USE;

/*
 * The two below move the calling process, which must have one thread only. 0 or negative errno with
 * a sentence; after a failure the process may be in some of the namespaces, and should end.
 */

/* Into that network namespace, and first into the user namespace that owns it where that is another
 * than the caller's: only so has an ordinary user the rights to make an interface there. */
int namespace_join(int fd, struct error *err) MUST_USE;
/* Into new user, network and mount namespaces. Who is who there is for id_map_write() to say. What
 * is mounted there, nobody else sees; what is mounted outside later is seen there too. */
int namespace_unshare(struct error *err) MUST_USE;
