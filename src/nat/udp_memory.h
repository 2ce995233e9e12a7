#pragma once
/*
 * Where datagrams stand between a guest and a socket. One piece for all sockets of a network: what
 * is in it is passed on before anything else comes. It is large, because every datagram may be, but
 * only what is written takes memory, and what was written is given back once UDP rests.
 */

#include <stdint.h>

#include "base/compiler.h"
#include "host/host.h"
#include "loop/timer.h"

/* Messages taken from one socket before others get their turn; fewer where the kernel makes each of
 * up to 64 datagrams. */
#define UDP_RECEIVE_BATCH     HOST_RECEIVE_BATCH_MAX
#define UDP_RECEIVE_COALESCED 2
#define UDP_SEND_BYTES	      ((size_t)128 << 10)
#define UDP_MEMORY_REST_NS    (5 * NS_PER_S)

struct udp_memory {
	uint8_t *arrivals; /* UDP_RECEIVE_BATCH times HOST_DATAGRAM_MAX */
	uint8_t *error;	   /* HOST_DATAGRAM_MAX, of an error queue */
	uint8_t *waiting;  /* UDP_SEND_BYTES, on their way out */
	struct timers *timers;
	struct timer rest;
	bool used; /* since the timer was set */
};

/* 0 or -ENOMEM. */
int udp_memory_init(struct udp_memory *memory, struct timers *timers) MUST_USE;
void udp_memory_done(struct udp_memory *memory);
/* Something is, or was just, written to it. */
void udp_memory_use(struct udp_memory *memory, uint64_t now_ns);
