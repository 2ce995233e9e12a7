#pragma once
/*
 * DNS over TCP (RFC 7766) at the gateway's address: NAT connects a guest's flow to a session here by
 * a socket pair. A session serves one query after the other (what the guest has sent beyond waits in
 * the socket): answered by the zone, or passed to a resolver over a TCP connection of its own.
 * How many a port may have: stream_sessions.h.
 */

#include <stdint.h>

#include "base/compiler.h"
#include "host/host.h"

struct dns_stream;
struct gateway;

#define DNS_STREAM_QUERY_MAX  4096
#define DNS_STREAM_IDLE_MS    10000
#define DNS_STREAM_GIVE_UP_MS 4500
/* A resolver's share of that time is at least this long. */
#define DNS_STREAM_NEXT_MS 1500

int dns_stream_new(struct gateway *gateway, struct dns_stream **ret_stream) MUST_USE;
struct dns_stream *dns_stream_free(struct dns_stream *stream);
struct host_stream_service *dns_stream_service(struct dns_stream *stream);
void dns_stream_port_gone(struct dns_stream *stream, uint32_t port);
