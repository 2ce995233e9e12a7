#pragma once
/*
 * The process of ours that is inside a network namespace, while we and the network stay outside: it
 * makes the TAP interface, hands its descriptor out, configures the interface, and becomes the
 * guest's program, or ends where there is none.
 *
 *     resident_start      namespaces, interface, tap_fd
 *     resident_configure  the interface and resolv.conf as the network wants them
 *     resident_execute    the program runs (with argv only)
 *     resident_end        in any case
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "netns/link_config.h"

struct error;

struct resident_plan {
	/* From namespace_open(): the namespace to join. -1 = new user, network and mount namespaces
	 * with a resolv.conf of their own. */
	int join_fd;
	const char *interface;
	char *const *argv;	     /* NULL = none: it ends when it has configured */
	const sigset_t *signal_mask; /* the mask the program begins with */
};

struct resident {
	pid_t pid;     /* 0 = none, or reaped already: then the owner sets it so */
	int socket_fd; /* -1 = it runs its program */
	int tap_fd;    /* the owner may take it and leave -1 */
};

/*
 * Before the process has other threads, and by its main thread: it is killed when the *thread* that
 * made it ends, in whatever way. 0 with *ret_resident, or negative errno with a sentence; then
 * nothing is left.
 */
int resident_start(const struct resident_plan *plan, struct resident *ret_resident,
		   struct error *err) MUST_USE;

/*
 * server: what its resolv.conf names; family NONE = an empty one. It is only there with new
 * namespaces. 0, then err has a warning or ""; or negative errno with a sentence.
 */
int resident_configure(struct resident *resident, const struct link_config *config,
		       const struct ip_addr *server, struct error *err) MUST_USE;

/* 0: it runs the program, and is the owner's to wait for. Negative errno with a sentence: it could
 * not be executed. */
int resident_execute(struct resident *resident, struct error *err) MUST_USE;

/* Kills it where it still is, waits for it, and closes what is left. Fine after a failure. */
void resident_end(struct resident *resident);
