#pragma once
/*
 * What a guest may say it is. Everything but the one MAC and the one IPv4 address that are its own is
 * thrown away: frames of other types (VLAN tags and IPv6 among them: the network has no IPv6 addresses to
 * give), ARP that speaks for somebody else, IPv4 options (source routes could go past the rules), groups.
 * 0.0.0.0 is for those who have no address yet: ARP probes and DHCP.
 */

#include <stdbool.h>

#include "base/addr.h"
#include "base/drop.h"
#include "wire/frame.h"

struct filter_binding {
	struct mac_addr mac;
	struct ip_addr addr; /* IP_FAMILY_NONE while it has none */
};

/* False: drop for *ret_reason. */
bool filter_judge_source(const struct frame *frame, const struct filter_binding *binding,
			 enum drop_reason *ret_reason) MUST_USE;
