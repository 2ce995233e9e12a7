#pragma once
/*
 * QEMU's port of a run's network: how it is attached, by one of the two ways of vm/net_attach.h, and that it
 * was lost.
 */

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "loop/loop.h"
#include "vmnet/vmnet.h"

struct error;
struct run_guest_launch;

/* In the VM's directory, which is QEMU's working directory: where it connects to for vhost-user. */
#define RUN_ATTACH_SOCKET_NAME "net.sock"

struct run_attach {
	struct loop *loop; /* NULL: not open */
	const struct run_guest_launch *launch;
	/* Once, in the loop's thread, after it was said why: the VM has no network any more. */
	void (*lost)(struct run_attach *attach);
	struct loop_watch lost_watch;
	struct loop_watch connect_watch; /* vhost-user: QEMU connects */
	int listen_fd;			 /* vhost-user: until QEMU connected */
	int lost_fd;			 /* eventfd: the network gave up the port */
	pthread_mutex_t mutex;
	char error[sizeof(struct vmnet_error)]; /* under the mutex; "" = none */
};

void run_attach_init(struct run_attach *attach, void (*lost)(struct run_attach *attach));
/* For what was initialised; afterwards nothing of it is in the loop, which must still exist. The network must
 * not: its thread tells of the port's end here. */
void run_attach_done(struct run_attach *attach);

/* 0 or negative errno. */
int run_attach_open(struct run_attach *attach, struct loop *loop) MUST_USE;
/*
 * *ret_fd: what QEMU is to inherit, the caller's; -1 where it connects to RUN_ATTACH_SOCKET_NAME. 0 or
 * negative errno with a sentence. launch is borrowed.
 */
int run_attach_begin(struct run_attach *attach, const struct run_guest_launch *launch, int *ret_fd,
		     struct error *err) MUST_USE;
/* Also before `lost` was called. */
bool run_attach_failed(struct run_attach *attach);
