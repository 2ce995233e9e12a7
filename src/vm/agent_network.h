#pragma once
/* What the agent in a guest says of the guest's interfaces. */

#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct error;

/* The IPv4 address of the interface with that MAC. 0; -ENOENT when there is none; other negative errno
 * when the agent was not to be asked before the deadline (clock_boottime). Each with a sentence. */
int agent_network_address(int directory_fd, const struct mac_addr *mac, uint64_t deadline_ns,
			  struct ip_addr *ret_address, struct error *err) MUST_USE;
