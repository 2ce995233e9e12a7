#pragma once
/*
 * Whether a descriptor that somebody else sent is an eventfd, found out without waiting for that somebody.
 *
 * Any other file may be one whose owner decides how long a system call about it takes: a FUSE file answers stat() and
 * poll() when its daemon likes to, a pipe or a socket is locked while a page is copied that never comes.
 */

#include <stdbool.h>

/* Nothing is read from it or written to it. */
bool given_eventfd_is_one(int fd);
