#pragma once
/*
 * Every frame, datagram or connection that is thrown away has a reason from this table and costs
 * one add. The names are what statistics show.
 */

#include <stdint.h>

/* X(enum suffix, name in statistics, what it means) */
#define DROP_REASONS(X)                                                                            \
	X(SHORT_FRAME, "short_frame", "frame ends inside its Ethernet header")                     \
	X(LONG_FRAME, "long_frame", "frame longer than the MTU allows")                            \
	X(BAD_SOURCE_MAC, "bad_source_mac", "source MAC is a group, zero or the gateway's")        \
	X(MAC_MOVED, "mac_moved", "source MAC belongs to another port")                            \
	X(FDB_FULL, "fdb_full", "forwarding database or the port's share of it is full")           \
	X(NO_PORT, "no_port", "no port for the destination MAC")                                   \
	X(UNKNOWN_ETHERTYPE, "unknown_ethertype", "neither ARP nor IP")                            \
	X(BAD_ARP, "bad_arp", "malformed or spoofed ARP")                                          \
	X(BAD_IP_HEADER, "bad_ip_header", "IP header malformed or truncated")                      \
	X(BAD_IP_CHECKSUM, "bad_ip_checksum", "IPv4 header checksum wrong")                        \
	X(IP_OPTIONS, "ip_options", "IPv4 options are not carried")                                \
	X(BAD_SOURCE_ADDRESS, "bad_source_address", "source address is not the guest's to use")    \
	X(FORBIDDEN_DESTINATION, "forbidden_destination", "destination a guest may never reach")   \
	X(HOST_ACCESS, "host_access", "destination is the host, which is closed")                  \
	X(BAD_L4_HEADER, "bad_l4_header", "TCP, UDP or ICMP header malformed or truncated")        \
	X(BAD_L4_CHECKSUM, "bad_l4_checksum", "TCP, UDP or ICMP checksum wrong")                   \
	X(BAD_OFFLOAD, "bad_offload", "offload marks contradict the frame")                        \
	X(UNKNOWN_PROTOCOL, "unknown_protocol", "IP protocol is not carried")                      \
	X(FRAGMENT_LIMIT, "fragment_limit", "too many fragments waiting")                          \
	X(BAD_FRAGMENT, "bad_fragment", "fragment overlaps or exceeds 65535 bytes")                \
	X(FRAGMENT_TIMEOUT, "fragment_timeout", "fragments missing after 30 s")                    \
	X(TTL_EXPIRED, "ttl_expired", "time to live ended at the gateway")                         \
	X(FILTERED, "filtered", "the network's rules forbid it")                                   \
	X(IPV6_OFF, "ipv6_off", "IPv6 is not carried on this network")                             \
	X(NAT_OFF, "nat_off", "network has no NAT")                                                \
	X(FLOW_LIMIT, "flow_limit", "flow table or the port's share of it is full")                \
	X(HALF_OPEN_LIMIT, "half_open_limit", "too many connections being opened")                 \
	X(SOCKET_LIMIT, "socket_limit",                                                            \
	  "no file descriptor or local port left (EMFILE, "                                        \
	  "EADDRNOTAVAIL, EADDRINUSE)")                                                            \
	X(SOCKET_ERROR, "socket_error", "host socket refused the data")                            \
	X(SOCKET_FULL, "socket_full", "host socket's buffer is full")                              \
	X(BUFFER_LIMIT, "buffer_limit", "pool or queue of bytes is full")                          \
	X(PORT_FULL, "port_full", "port's queue towards the guest is full")                        \
	X(PORT_GONE, "port_gone", "port was detached")                                             \
	X(GUEST_STALLED, "guest_stalled", "connection whose port took nothing for 10 minutes")     \
	X(NO_NEIGHBOUR, "no_neighbour", "guest address has no known MAC")                          \
	X(NO_FLOW, "no_flow", "segment belongs to no connection")                                  \
	X(BAD_SEGMENT, "bad_segment", "TCP segment outside the window or invalid")                 \
	X(UDP_PEER, "udp_peer", "datagram from a peer the guest did not talk to")                  \
	X(UDP_PEER_LIMIT, "udp_peer_limit", "too many peers on one UDP endpoint")                  \
	X(UDP_PORT_LIMIT, "udp_port_limit",                                                        \
	  "the network's share of the host's UDP ports, or the guest's of that, is used up")       \
	X(PING_OFF, "ping_off", "the host does not allow echo sockets")                            \
	X(ICMP_TYPE, "icmp_type", "ICMP type is not carried")                                      \
	X(ICMP_LIMIT, "icmp_limit", "rate limit for ICMP errors towards the guest")                \
	X(BAD_DHCP, "bad_dhcp", "DHCP message malformed or not for us")                            \
	X(DHCP_SERVER_GUARD, "dhcp_server_guard", "a guest answered as a DHCP server")             \
	X(ROUTER_GUARD, "router_guard", "a guest posed as an IPv6 router")                         \
	X(LEASE_LIMIT, "lease_limit", "no address left to lease")                                  \
	X(BAD_DNS, "bad_dns", "DNS message malformed")                                             \
	X(DNS_LIMIT, "dns_limit", "too many DNS queries in flight")                                \
	X(DNS_NO_ANSWER, "dns_no_answer", "no resolver answered in time")                          \
	X(DNS_OUTSIDE, "dns_outside", "question about a name outside on a host-only network")      \
	X(BAD_HTTP, "bad_http", "request for a document of the gateway is malformed or refused")   \
	X(HTTP_LIMIT, "http_limit", "too many connections to the gateway's documents")             \
	X(UNSENT_BYTES, "unsent_bytes", "acknowledged bytes lost at the end (counted in bytes)")   \
	X(BAD_STREAM_LENGTH, "bad_stream_length", "stream attachment sent an impossible length")

enum drop_reason {
#define DROP_REASON_ENUM(suffix, name, meaning) DROP_##suffix,
	DROP_REASONS(DROP_REASON_ENUM)
#undef DROP_REASON_ENUM
	DROP_REASON_COUNT,
};

struct drop_counters {
	uint64_t count[DROP_REASON_COUNT];
};

/* counters may be NULL (a stage without statistics, in a unit test). */
static inline void drop_count(struct drop_counters *counters, enum drop_reason reason)
{
	if (counters)
		counters->count[reason]++;
}

static inline void drop_add(struct drop_counters *counters, enum drop_reason reason, uint64_t n)
{
	if (counters)
		counters->count[reason] += n;
}

const char *drop_reason_name(enum drop_reason reason);
const char *drop_reason_meaning(enum drop_reason reason);
