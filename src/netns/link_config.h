#pragma once
/* An interface as a guest should find it, set by netlink in the caller's network namespace. */

#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct error;

struct link_config {
	struct mac_addr mac;
	uint32_t mtu;
	/* IPv4. Address family NONE: no address and no route, for a DHCP client to set. */
	struct ip_prefix address; /* with its host bits */
	struct ip_addr gateway;	  /* of the default route; family NONE: no such route */
};

/* Loopback and the interface are up then, in any case. 0 or negative errno with a sentence; what was
 * set before the failure stays. */
int link_config_apply(const char *interface, const struct link_config *config,
		      struct error *err) MUST_USE;
