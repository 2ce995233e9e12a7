#pragma once
/*
 * A VM whose network is softnet's has no control socket: what leads into it are the ports that were exposed at its
 * start, as run.json has them.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vmnet/vmnet.h"

struct error;
struct run_state;
struct vm_directory;

/* 0 with *ret_state (one run_state_done()) when the VM runs by softnet; -ENOENT without a sentence when it does not, or
 * not yet; another negative errno with a sentence. */
int exposed_port_state(const struct vm_directory *directory, struct run_state *ret_state,
		       struct error *err) MUST_USE;
/* One that leads to this TCP port, IPv4 before IPv6. */
bool exposed_port_find(const json_t *forwards, uint16_t port,
		       struct vmnet_port_forward *ret_forward) MUST_USE;
/* A connection by it: the descriptor, or negative errno with a sentence. -ENOENT: no port leads there. */
int exposed_port_connect(const struct run_state *state, uint16_t port, struct error *err) MUST_USE;
