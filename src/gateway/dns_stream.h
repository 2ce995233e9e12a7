#pragma once
/*
 * DNS over TCP (RFC 7766) at the gateway's address: NAT connects a guest's flow to a session here by
 * a socket pair. A session serves one query after the other (what the guest has sent beyond waits in
 * the socket): answered by the zone, or passed to a resolver over a TCP connection of its own.
 *
 * Sessions are few, and each port has its share of them: all of them, divided by the ports that have
 * any. Where some are free, a port may have more; once all are in use, what is beyond a share gives
 * way to a port that has less, those between two queries first. What is within a port's share ends
 * only by its guest, its time, or the port's own next session while it is idle; where the ports are
 * more than the sessions, also an idle one of another port for a port's first.
 */

#include <stdint.h>

#include "base/compiler.h"
#include "host/host.h"

struct dns_stream;
struct gateway;

#define DNS_STREAM_SESSIONS   32
#define DNS_STREAM_QUERY_MAX  4096
#define DNS_STREAM_IDLE_MS    10000
#define DNS_STREAM_GIVE_UP_MS 4500
/* A resolver's share of that time is at least this long. */
#define DNS_STREAM_NEXT_MS 1500

int dns_stream_new(struct gateway *gateway, struct dns_stream **ret_stream) MUST_USE;
struct dns_stream *dns_stream_free(struct dns_stream *stream);
struct host_stream_service *dns_stream_service(struct dns_stream *stream);
void dns_stream_port_gone(struct dns_stream *stream, uint32_t port);
