#pragma once
/* Which addresses are out in the world: what a guest may call where no rule says anything. */

#include <stdbool.h>

#include "base/addr.h"

/*
 * IPv4: none of the special-purpose addresses of RFC 6890 and its registry, and no group (Softnet counts
 * groups as global; a group here is nobody's to call). IPv6: global unicast (2000::/3) but for its
 * documentation, benchmarking and ORCHID ranges.
 */
bool filter_is_global(const struct ip_addr *addr);
