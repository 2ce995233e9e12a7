#pragma once
/* A network that only keeps a list of forwards, for the rooms that are its customers. */

#include <pthread.h>
#include <stdbool.h>

#include "vmnet/vmnet.h"

#define FAKE_FORWARDS 64

struct vmnet_network {
	int references;
	struct vmnet_port_forward forwards[FAKE_FORWARDS];
	size_t count;
	vmnet_return_t refuse; /* what adding and removing answer; 0 = they work */
	uint16_t taken;	       /* this port cannot be added; 0 = none */
	/* Of vmnet_network_connect(): the guest's port 22 accepts, 23 refuses, 24 answers when
	 * fake_vmnet_answer() says so; anything else cannot be tried. */
	pthread_mutex_t lock;	  /* the server's thread connects, the test's looks: */
	struct sockaddr_in asked; /* of the last call */
	int guest_fd;		  /* the guest's end of the last one that was accepted; -1 = none */
	void (*waiting)(void *context, vmnet_return_t status, int fd, const char *error);
	void *waiting_context;
};

void fake_vmnet_init(struct vmnet_network *network);
/* The guest's port 24 accepts. */
void fake_vmnet_answer(struct vmnet_network *network);
/* The guest's end of the last connection that was accepted, which the caller closes, and as what it was
 * asked for. */
int fake_vmnet_take_guest(struct vmnet_network *network, struct sockaddr_in *ret_asked);
