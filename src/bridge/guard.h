#pragma once
/*
 * What no guest may say to its neighbours: the gateway's own lines. A guest that answers DHCP,
 * advertises itself as an IPv6 router or claims the gateway's address by ARP would take over the
 * others' traffic (CVE-2020-10749, CVE-2020-13401).
 */

#include <stdbool.h>

#include "base/addr.h"
#include "base/drop.h"
#include "wire/frame.h"

/* False: drop for *ret_reason. */
bool guard_judge(const struct frame *frame, const struct ip_addr *gateway,
		 enum drop_reason *ret_reason) MUST_USE;
