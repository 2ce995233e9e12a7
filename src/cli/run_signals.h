#pragma once
/* The signals of a run: which there are, and whether one that asks for the end is pending. */

#include <stdbool.h>

#include "base/compiler.h"
#include "loop/signals.h"

struct run_signals {
	struct loop_signals signals;
	int stop_fd; /* signalfd, never read; -1: not open */
};

/* SIGINT, SIGTERM and (not under nohup) SIGHUP ask for the end; SIGUSR1 and SIGUSR2 come, too. As
 * loop_signals_open(); on failure, too, one run_signals_close(). */
int run_signals_open(struct run_signals *signals, struct loop *loop,
		     void (*received)(struct loop_signals *signals, int signal_number)) MUST_USE;
/* The loop must still exist. */
void run_signals_close(struct run_signals *signals);

/* Readable once a signal asked for the end, as long as the loop has not seen it. Borrowed, not to be read. */
int run_signals_stop_fd(const struct run_signals *signals);
/* The same as a question. */
bool run_signals_stop_is_asked(const struct run_signals *signals);
