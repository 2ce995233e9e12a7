#pragma once
/*
 * DNS over UDP: what the zone does not know goes to the host's resolvers as they are now, each try
 * with an id and a socket (so a source port) of its own, which is what a forger has to guess
 * (RFC 5452 9.2). An answer is believed only from the address that was asked, with that id and that
 * question. A resolver that is silent for a second is joined by the next; the first good answer
 * wins. When none came in time the guest gets SERVFAIL.
 */

#include <stdint.h>

#include "base/compiler.h"

struct dns_forwarder;
struct frame;
struct gateway;

/* Queries in flight, and how many of them one bridge port may have. */
#define DNS_FORWARDER_QUERIES	 256
#define DNS_FORWARDER_PORT_SHARE 128
/* Tries for one query: with the distances below, the last is 1.5 s before SERVFAIL. */
#define DNS_FORWARDER_TRIES	 4
#define DNS_FORWARDER_NEXT_MS	 1000
#define DNS_FORWARDER_GIVE_UP_MS 4500
#define DNS_FORWARDER_QUERY_MAX	 1472
#define DNS_FORWARDER_RESOLVERS	 8

int dns_forwarder_new(struct gateway *gateway, struct dns_forwarder **ret_forwarder) MUST_USE;
struct dns_forwarder *dns_forwarder_free(struct dns_forwarder *forwarder);

/* A UDP datagram to port 53 of the gateway, checksum verified. */
void dns_forwarder_input(struct dns_forwarder *forwarder, const struct frame *frame);
void dns_forwarder_port_gone(struct dns_forwarder *forwarder, uint32_t port);
