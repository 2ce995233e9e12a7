#pragma once
/* A namespace as guest, from its attachment to its end: signals, the program in it, the port. */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "vmnet/vmnet.h"

struct error;
struct netns_guest;

/*
 * Takes over the signals of the process: to be called before it has other threads. has_command: the
 * signals are for a program to be watched, else they end the wait. 0 or negative errno with a
 * sentence. One netns_guest_free(), after the network is released.
 */
int netns_guest_new(bool has_command, struct netns_guest **ret_guest, struct error *err) MUST_USE;

/* As it was before: what the program begins with. Borrowed. */
const sigset_t *netns_guest_signal_mask(const struct netns_guest *guest);

/* Hands the TAP to the network, which owns it on success. 0 or negative errno with a sentence. */
int netns_guest_attach(struct netns_guest *guest, vmnet_network_ref network,
		       enum vmnet_tcp_backlog tcp_backlog, int tap_fd, struct error *err) MUST_USE;

/* A child of ours that nobody else waits for. 0 or negative errno with a sentence; then it is still
 * the caller's. */
int netns_guest_watch(struct netns_guest *guest, pid_t pid, struct error *err) MUST_USE;

/* Until the program ends, or without one until a signal comes or the interface is gone. The exit
 * code: the program's own, 128 + N when signal N killed it. */
int netns_guest_wait(struct netns_guest *guest) MUST_USE;

/* NULL is allowed. Returns NULL. */
struct netns_guest *netns_guest_free(struct netns_guest *guest);
