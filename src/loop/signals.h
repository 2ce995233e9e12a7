#pragma once
/*
 * Signals as events of a loop (signalfd): no handlers, no code at odd moments. For programs; the
 * library leaves its process's signals alone.
 */

#include <signal.h>

#include "base/compiler.h"
#include "loop/loop.h"

/* Embedded in its owner. */
struct loop_signals {
	void (*received)(struct loop_signals *signals, int signal_number);
	struct loop *loop; /* NULL = not open */
	struct loop_watch watch;
	sigset_t set;
	/* While `received` runs: where the signal came from, as si_code of sigaction(2). SI_KERNEL is
	 * a terminal, which sends to the whole of its foreground process group. */
	int code;
	/* The calling thread's mask from before: what a child process is to get back. */
	sigset_t previous_mask;
};

/* The signals by which a program is asked to end: SIGINT, SIGTERM, and SIGHUP, but for one that was started under
 * nohup: there the end of the terminal is not its end. Asked before any of them gets a handler. */
void loop_signals_of_end(sigset_t *ret_set);

/*
 * Blocks the signals of `set` in the calling thread and calls `received` in the loop's thread, once
 * for each that is pending. To be called before the process has other threads: they inherit the
 * mask, and a signal that some thread does not block goes there. 0 or negative errno; then nothing
 * has changed.
 */
int loop_signals_open(struct loop_signals *signals, struct loop *loop, const sigset_t *set,
		      void (*received)(struct loop_signals *signals, int signal_number)) MUST_USE;
/*
 * Discards what is pending, then gives the calling thread (the one that opened) its former mask
 * back. May be called by `received`, and again. The loop must still exist.
 */
void loop_signals_close(struct loop_signals *signals);
