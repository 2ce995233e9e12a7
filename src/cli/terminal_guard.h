#pragma once
/*
 * The terminal of a console: QEMU sets it to raw mode, and standard input and output to not waiting, which
 * the shell behind us would find so. The guard sets all of it back, whoever ends first and however: a
 * process of its own does it when this one was killed by SIGKILL.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

#include "base/compiler.h"

struct error;

struct terminal_guard {
	struct termios settings;
	bool is_terminal; /* .settings are those of standard input */
	int flags[2];	  /* of descriptors 0 and 1; negative: it is not open */
	pid_t keeper;	  /* 0: no guard */
	int life_fd;	  /* its end tells the keeper of ours */
};

/* Before anybody changes the terminal. 0 or negative errno with a sentence, also when this process runs in
 * the background of its terminal. On success one terminal_guard_end(). */
int terminal_guard_begin(struct terminal_guard *guard, struct error *err) MUST_USE;
/* Sets everything back now; the guard goes on. Nothing for one that was not begun. */
void terminal_guard_restore(const struct terminal_guard *guard);
/* The same, and the guard ends. May be called again. */
void terminal_guard_end(struct terminal_guard *guard);
