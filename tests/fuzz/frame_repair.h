#pragma once
/* Makes a frame of any bytes such a one as a guest may send, so that what is judged last is reached
 * also by inputs that no checksum survives. */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/* What to leave as it is. */
#define FRAME_REPAIR_KEEP_MACS	   1
#define FRAME_REPAIR_KEEP_SOURCE   2
#define FRAME_REPAIR_KEEP_SIZES	   4
#define FRAME_REPAIR_KEEP_CHECKSUM 8

struct frame_repair {
	unsigned keep;
	struct mac_addr mac;	 /* the guest's */
	struct mac_addr gateway; /* where unicast frames go */
	struct ip_addr addr;	 /* the guest's, IPv4 */
};

void frame_repair(const struct frame_repair *repair, uint8_t *bytes, size_t size);
