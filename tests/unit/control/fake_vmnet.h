#pragma once
/* A network that only keeps a list of forwards, for the rooms that are its customers. */

#include <stdbool.h>

#include "vmnet/vmnet.h"

#define FAKE_FORWARDS 64

struct vmnet_network {
	int references;
	struct vmnet_port_forward forwards[FAKE_FORWARDS];
	size_t count;
	vmnet_return_t refuse; /* what adding and removing answer; 0 = they work */
	uint16_t taken;	       /* this port cannot be added; 0 = none */
};

void fake_vmnet_init(struct vmnet_network *network);
