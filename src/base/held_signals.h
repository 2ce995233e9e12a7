#pragma once
/*
 * For work that must leave nothing behind when it is broken off: the signals that end a process (SIGINT,
 * SIGTERM, SIGHUP) wait, the work asks now and then whether one came, takes back what it did, and lets the
 * signal act: whoever started us sees that it was a signal. What is ignored stays ignored.
 */

#include <signal.h>
#include <stdbool.h>

#include "base/compiler.h"

struct held_signals {
	sigset_t before;
};

/* In a program with one thread. */
void held_signals_begin(struct held_signals *held);
/* What came acts now: as a rule this does not return then. */
void held_signals_end(const struct held_signals *held);

/* One is waiting, whoever holds them. */
bool held_signals_waiting(void);
/* A descriptor that is readable while one is waiting; the caller closes. Or negative errno. */
int held_signals_watch(void) MUST_USE;
