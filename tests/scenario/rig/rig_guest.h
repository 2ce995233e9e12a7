#pragma once
/*
 * A guest: one address, a wire in each direction, the TCP connections it has, and a record of what
 * it heard. Raw segments, whatever is wrong with them, go out by rig_guest_send_raw().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/list.h"
#include "base/random.h"
#include "rig/rig_link.h"
#include "rig/rig_time.h"
#include "wire/frame.h"
#include "wire/tcp.h"

struct rig_port;
struct rig_tcp;

#define RIG_HEARD_MAX  256
#define RIG_HEARD_DATA 64

/* A packet as the guest heard it. */
struct rig_heard {
	struct packet packet;
	struct tcp_header tcp;	      /* TCP only */
	size_t size;		      /* of the payload */
	uint8_t data[RIG_HEARD_DATA]; /* its start */
};

struct rig_guest {
	struct rig_time *time;
	struct random *random;
	struct mac_addr mac;
	struct mac_addr gateway_mac;
	struct ip_addr addr;
	struct ip_addr gateway;
	struct rig_link *up;   /* where its frames go */
	struct rig_port *port; /* where frames for it come from; NULL = another guest */
	struct list connections;
	bool trace;  /* prints every TCP segment: RIG_TRACE in the environment */
	bool down;   /* hears nothing */
	bool silent; /* does not answer what it has no connection for: raw tests, and a firewall */
	/* Datagrams and ICMP; bytes behind the UDP or (8-byte) ICMP header. May be NULL. */
	void (*packet)(void *context, const struct packet *packet, const uint8_t *payload,
		       size_t size);
	void *context;
	uint16_t id;
	uint64_t resets_sent;
	uint64_t bad_frames; /* what no honest sender sends: wrong checksums, broken headers */
	/* The last packets heard, oldest overwritten. */
	uint64_t heard_count;
	struct rig_heard heard[RIG_HEARD_MAX];
	uint8_t frame_out[FRAME_MAX_SIZE + FRAME_MIN_SIZE];
	uint8_t payload_in[FRAME_MAX_SIZE];
	uint8_t payload_out[FRAME_MAX_SIZE];
};

void rig_guest_init(struct rig_guest *guest, struct rig_time *time, struct random *random,
		    const struct ip_addr *addr, struct rig_link *up);
/* Forgets every connection: what a reboot does to a guest. */
void rig_guest_forget(struct rig_guest *guest);

/* Gratuitous ARP (RFC 5227 2.3), as a guest sends when it gets its address. */
void rig_guest_announce(struct rig_guest *guest);
/* A frame arrived (rig_link.deliver). */
void rig_guest_deliver(void *context, const uint8_t *bytes, size_t size);
/* A frame was put on the wire towards the guest. */
void rig_guest_observe(struct rig_guest *guest, const struct frame *frame);

void rig_guest_send_tcp(struct rig_guest *guest, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const struct tcp_header *header,
			const uint8_t *payload, size_t size);
void rig_guest_send_reset(struct rig_guest *guest, const struct ip_endpoint *from,
			  const struct ip_endpoint *to, uint32_t sequence);
void rig_guest_send_udp(struct rig_guest *guest, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const void *payload, size_t size);
void rig_guest_send_echo(struct rig_guest *guest, const struct ip_addr *to, uint16_t ident,
			 uint16_t sequence, uint8_t ttl, const void *payload, size_t size);

/* A TCP segment with a wish for what is wrong with it. */
struct rig_raw {
	struct tcp_header header;
	const uint8_t *payload;
	size_t size;
	bool bad_checksum;
	size_t padding; /* bytes of rubbish behind the IP packet */
};
void rig_guest_send_raw(struct rig_guest *guest, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const struct rig_raw *raw);

/* The n-th packet heard since the start; NULL when it did not come or is overwritten. */
const struct rig_heard *rig_guest_heard(const struct rig_guest *guest, uint64_t n);
