#pragma once
/* File descriptors: `int x_fd`, -1 = none. */

#include <stdbool.h>

#include "base/compiler.h"

/* Closes unless negative (none, or a negative errno); keeps errno. Returns -1, to be assigned back. */
int fd_close(int fd);
/* 0 or negative errno. */
int fd_set_nonblocking(int fd) MUST_USE;
int fd_set_blocking(int fd) MUST_USE;
int fd_set_cloexec(int fd) MUST_USE;
/* Fills 0, 1 and 2 by /dev/null where they are closed: no file of ours is to get such a number, since messages would be
 * written into it. False: not even that can be opened. */
bool fd_fill_standard(void) MUST_USE;
/* Standard input is /dev/null from now on. False: that cannot be opened. */
bool fd_forget_input(void) MUST_USE;
/* Raises the soft limit of open files to the hard one; returns the limit in force. */
unsigned long fd_raise_limit(void);

/* Out of the hands of what would close it at the end of its scope. */
static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Closes the descriptor when the scope ends. */
static inline void fd_close_in_scope(int *fd)
{
	*fd = fd_close(*fd);
}
#define autoclose __attribute__((cleanup(fd_close_in_scope)))

void free_in_scope(void *pointer_to_pointer);
#define autofree __attribute__((cleanup(free_in_scope)))
