#pragma once
/* The network's side of the guest's wire: what NAT pushes towards the guest, with MACs filled in,
 * cut to the MTU as a port without offload does, padded, and put on the link. */

#include "rig/rig_guest.h"
#include "rig/rig_link.h"
#include "wire/frame_sink.h"

struct rig_port {
	struct frame_sink sink;
	struct rig_guest *guest;
	struct rig_link *down;
	/* There is room again after room() said 0. */
	void (*ready)(void *context);
	void *context;
	bool waited_for;
	bool keeps_macs; /* somebody before has filled them in */
	uint64_t frames;
	uint64_t pushed; /* before they are cut */
	uint64_t flushes;
	uint64_t refused;   /* frames whose marks contradict them */
	uint64_t overflows; /* pushed although room() said 0 */
	uint8_t bytes[FRAME_MAX_SIZE + FRAME_MIN_SIZE];
};

void rig_port_init(struct rig_port *port, struct rig_guest *guest, struct rig_link *down);
