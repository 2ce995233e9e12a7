#pragma once
/*
 * The virtiofsd of each directory that is shared so, from before QEMU's start to after its end. They die with
 * us and end with QEMU; one that ends before that is reported.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "vm/share.h"

struct error;
struct run_shares;

struct run_daemon {
	struct loop_child child;
	struct run_daemons *all;
	const struct share *share; /* NULL: there is none */
	bool runs;
	bool reported;
	int wait_status;
};

struct run_daemons {
	struct run_daemon daemons[SHARE_MOST];
	struct loop *loop; /* NULL: there are none */
	struct timer report_timer;
	int directory_fd;
};

struct run_daemons_launch {
	struct loop *loop;
	const struct run_shares *shares; /* borrowed until run_daemons_end() */
	int directory_fd;
	int log_fd;
	const sigset_t *signal_mask;
};

/* 0 or negative errno with a sentence; then, too, run_daemons_end() is to be called. `daemons` is all zero
 * and stays where it is. */
int run_daemons_start(struct run_daemons *daemons, const struct run_daemons_launch *launch,
		      struct error *err) MUST_USE;
/* When QEMU has ended. May be called again, and for what was not started. */
void run_daemons_end(struct run_daemons *daemons);
