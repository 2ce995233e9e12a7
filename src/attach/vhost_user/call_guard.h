#pragma once
/*
 * Calls to guests, by eventfds that a front end gave us, without a call that blocks for ever: see call_guard.c. One for
 * all ports of a network.
 */

#include <stdbool.h>

#include "base/compiler.h"

struct call_guard;

/* Starts the guard's thread, which has the caller's signal mask. 0 or negative errno. */
int call_guard_new(struct call_guard **ret_guard) MUST_USE;
/* Nobody calls any more. */
struct call_guard *call_guard_free(struct call_guard *guard);

/*
 * Adds 1 to an eventfd (given_eventfd.h) that does not block, as far as we know. By one thread at a time. False: it did
 * block, and the guard had to end that; whoever gave it is not to be called again.
 */
bool call_guard_call(struct call_guard *guard, int fd) MUST_USE;
