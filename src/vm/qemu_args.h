#pragma once
/* QEMU's command line: a pure function of what is to be run. */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "vm/accel.h"
#include "vm/net_attach.h"

struct vm_config;

#define QEMU_PROGRAM	"qemu-system-x86_64"
#define QEMU_ARGS_COUNT 128

struct qemu_launch {
	const struct vm_config *config;
	const char *label; /* NULL = none */
	enum accel accel;  /* not ACCEL_AUTO */
	bool serial;	   /* the console on QEMU's standard input and output */
	struct net_attach_choice net;
	int net_fd;	      /* stream: a connected socket */
	const char *net_path; /* vhost-user: a listening socket, a path without a comma */
	int qmp_fd;	      /* a connected stream socket */
	/* Where QEMU listens for who talks to the agent in the guest: a path without a comma. */
	const char *agent_path;
};

struct qemu_args {
	char *argv[QEMU_ARGS_COUNT + 1]; /* ends with NULL */
	size_t count;
};

/*
 * File names are relative: QEMU runs in the VM's directory. 0 or -ENOMEM. One qemu_args_done().
 */
int qemu_args_build(const struct qemu_launch *launch, struct qemu_args *ret_args) MUST_USE;
void qemu_args_done(struct qemu_args *args);
