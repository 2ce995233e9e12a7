#pragma once
/*
 * softnet as a child of a run: the network in a process of its own. It is started before QEMU, and ends after it; it
 * dies with us, also when we are killed.
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "vm/net_attach.h"

struct error;
struct run_network;
struct run_network_request;
struct sidecar_options;
struct vm_directory;

struct run_sidecar {
	const struct vm_directory *directory;
	pid_t pid;  /* 0: it does not run */
	int pid_fd; /* -1 = none, as the next */
	int qemu_fd;
	struct loop *loop; /* NULL: not watched */
	struct loop_child child;
	struct timer lost_timer;
	void (*lost)(void *context);
	void *context;
};

/* All borrowed for the call, but for the directory. */
struct run_sidecar_request {
	const struct run_network_request *network;
	const struct sidecar_options
		*options; /* its control channel is softnet's, and closed here, then */
	const struct vm_directory *directory;
	enum net_attach attach; /* chosen */
	const sigset_t *signal_mask;
	int stop_fd; /* readable: no longer wanted */
};

void run_sidecar_init(struct run_sidecar *sidecar);
/*
 * Starts it and waits until the network is there, and what it is. 0; -ECANCELED: it is no longer wanted; another
 * negative errno with a sentence (softnet's own, the reason, is on standard error). One run_sidecar_end() and one
 * run_network_done() in each case.
 */
int run_sidecar_start(struct run_sidecar *sidecar, const struct run_sidecar_request *request,
		      struct run_network *ret_network, struct error *err) MUST_USE;
/*
 * From now on `lost` is called, once, when it has ended although the VM has not. *ret_fd: what QEMU is to inherit, the
 * caller's; -1 where it connects to RUN_ATTACH_SOCKET_NAME. 0 or negative errno with a sentence.
 */
int run_sidecar_watch(struct run_sidecar *sidecar, struct loop *loop, void (*lost)(void *context),
		      void *context, int *ret_fd, struct error *err) MUST_USE;
/* The loop must still exist. May be called again. */
void run_sidecar_unwatch(struct run_sidecar *sidecar);
/* When QEMU has ended: in order, and by force where that takes too long. May be called again, not while it is watched. */
void run_sidecar_end(struct run_sidecar *sidecar);
