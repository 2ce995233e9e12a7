#pragma once
/*
 * What no guest may say to its neighbours: the gateway's own lines. A guest that answers DHCP,
 * advertises itself as an IPv6 router or speaks under the gateway's address would take over the
 * others' traffic (CVE-2020-10749, CVE-2020-13401), also with the words wrapped up: in fragments,
 * behind extension headers (RFC 7113), behind a tag or an LLC header that receivers take off again
 * (CVE-2021-27853, CVE-2021-27854).
 */

#include <stdbool.h>

#include "base/addr.h"
#include "base/drop.h"
#include "wire/frame.h"

/* False: drop for *ret_reason. */
bool guard_judge(const struct frame *frame, const struct ip_addr *gateway,
		 enum drop_reason *ret_reason) MUST_USE;
