#pragma once
/*
 * One at a time: QEMU gives the way to the guest's agent to one client, and lets others wait without
 * a word. The turn is a kernel lock on agent.lock in the VM's directory, so that it ends with whoever
 * has it, SIGKILL included. Who waits for it marks that on the same file, so that a client that only
 * waits for something in the guest can keep its connection until another wants it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* The turn's descriptor, which keeps it until it is closed; -ETIMEDOUT when another had it until the
 * deadline (clock_boottime); other negative errno. */
int agent_turn_take(int directory_fd, uint64_t deadline_ns) MUST_USE;
/* Does another wait for the turn that turn_fd has? */
bool agent_turn_is_wanted(int turn_fd);
