#pragma once
/*
 * The QEMU of a run as a process: started with what the launch says, its control channel, ended in order and,
 * if that takes too long, by force. What its words mean is decided by run_guest.c.
 */

#include <signal.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "cli/terminal_guard.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "vm/qmp.h"

struct error;
struct run_guest_launch;
struct run_suspend;

struct run_qemu {
	struct loop *loop; /* NULL: not opened */
	const struct run_guest_launch *launch;
	/* There is something for qmp_read(). */
	void (*said)(struct run_qemu *qemu);
	struct loop_child child;
	struct loop_watch qmp_watch;
	struct timer kill_timer;
	struct qmp qmp;
	int qmp_fd;			/* ours */
	struct terminal_guard terminal; /* of a console on it */
	bool runs;
	int wait_status; /* when it does not any more */
};

void run_qemu_init(struct run_qemu *qemu, void (*said)(struct run_qemu *qemu));
/* From now on there is a loop, which is stopped when QEMU ends. */
void run_qemu_open(struct run_qemu *qemu, struct loop *loop);
/* After run_qemu_end(); for what was initialised. The loop must still exist. */
void run_qemu_done(struct run_qemu *qemu);

/* Makes the control channel; *ret_fd is QEMU's end, the caller's. 0 or negative errno with a sentence. */
int run_qemu_open_qmp(struct run_qemu *qemu, int *ret_fd, struct error *err) MUST_USE;

struct run_qemu_start {
	const struct run_guest_launch *launch; /* borrowed until run_qemu_done() */
	struct run_suspend *suspend;	       /* is prepared for the arguments */
	int net_fd;			       /* -1 = none; borrowed, also the next */
	int qmp_fd;
	const sigset_t *signal_mask;
};

/* 0 or negative errno with a sentence; then, too, one run_qemu_end(). */
int run_qemu_start(struct run_qemu *qemu, const struct run_qemu_start *start,
		   struct error *err) MUST_USE;

/* It writes its disks out and ends; when it does not, it is killed. */
void run_qemu_end_in_order(struct run_qemu *qemu);
/* It may be gone already. */
void run_qemu_kill(struct run_qemu *qemu);
/* The program's exit code for a QEMU that ended without being asked to; says what happened. */
int run_qemu_outcome(const struct run_qemu *qemu);
/* Kills it if it runs. May be called again, and for what was not started. */
void run_qemu_end(struct run_qemu *qemu);
