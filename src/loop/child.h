#pragma once
/*
 * The end of a child process as an event of a loop, by pidfd (Linux 5.3 or later): no SIGCHLD
 * handler, so it does not meddle with other children of the process.
 */

#include <sys/types.h>

#include "base/compiler.h"
#include "loop/loop.h"

/* The process was reaped by somebody else (or SIGCHLD is ignored): how it ended is not known. */
#define LOOP_CHILD_STATUS_LOST (-1)

/* Embedded in its owner. */
struct loop_child {
	/*
	 * The child has ended and is reaped; the watch is closed already, so the owner may free
	 * it or open it anew. wait_status is for WIFEXITED() and its like, or LOOP_CHILD_STATUS_LOST.
	 */
	void (*ended)(struct loop_child *child, int wait_status);
	struct loop *loop; /* NULL = not open */
	struct loop_watch watch;
	pid_t pid;
};

/*
 * `pid` is a child of this process that nobody else waits for; it may have ended already. 0 or
 * negative errno (-ESRCH: no such process); then the child is still the caller's to wait for.
 */
int loop_child_open(struct loop_child *child, struct loop *loop, pid_t pid,
		    void (*ended)(struct loop_child *child, int wait_status)) MUST_USE;
/* Never hits another process. 0 or negative errno; -ESRCH when it has ended or is not open. */
int loop_child_kill(struct loop_child *child, int signal_number);
/* Watches no more: the child goes on, and is the caller's to wait for. May be called again. The
 * loop must still exist. */
void loop_child_close(struct loop_child *child);
