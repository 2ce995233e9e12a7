#pragma once
/* QEMU as a child in the foreground that dies with us, also when we are killed by SIGKILL. */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"

struct error;

struct qemu_spawn {
	const char *what; /* NULL = "QEMU" */
	char *const *argv;
	int directory_fd;     /* becomes its working directory */
	int log_fd;	      /* becomes its standard error, and output unless `serial` */
	bool serial;	      /* keeps our standard input and output, and our process group */
	const int *inherited; /* fds that stay open under their numbers */
	size_t inherited_count;
	const sigset_t *signal_mask; /* the mask it begins with */
	/* In the child, before anything else: async-signal-safe. 0 or negative errno. NULL = nothing. */
	int (*confine)(const void *context);
	const void *confine_context;
};

/*
 * To be called by the main thread: the parent-death signal is sent when the *thread* that forked
 * ends. 0 with *ret_pid, which the caller waits for; or negative errno with a sentence, also where
 * the program could not be executed.
 */
int qemu_process_start(const struct qemu_spawn *spawn, pid_t *ret_pid, struct error *err) MUST_USE;

#define QEMU_END_TEXT_SIZE 64
/* How it ended, from a wait status: "exit status 1", "signal 9 (Killed)". Returns buffer. */
const char *qemu_process_end_text(int wait_status, char buffer[QEMU_END_TEXT_SIZE]);

/*
 * A connected pair of unix stream sockets with large buffers, close-on-exec. QEMU's end may be
 * handed down by `inherited`. 0 or negative errno.
 */
int qemu_process_socket_pair(int ret_fds[2]) MUST_USE;
