#pragma once
/*
 * Addresses of both families in one type, so that every table and rule takes both. Bytes are in
 * network order; numbers (ports, IPv4 as uint32_t) are in host order.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/compiler.h"

struct mac_addr {
	uint8_t octet[6];
};

enum ip_family {
	IP_FAMILY_NONE = 0,
	IP_FAMILY_V4 = 4,
	IP_FAMILY_V6 = 6,
};

/* Unused bytes are zero: two addresses are equal when their memory is. No padding. */
struct ip_addr {
	uint8_t family; /* enum ip_family */
	uint8_t octet[16];
};

struct ip_endpoint {
	struct ip_addr addr;
	uint16_t port;
};

/* addr may have host bits set where a function says so; length 0..32 or 0..128. */
struct ip_prefix {
	struct ip_addr addr;
	uint8_t length;
};

#define MAC_ADDR_TEXT_SIZE    18
#define IP_ADDR_TEXT_SIZE     46
#define IP_PREFIX_TEXT_SIZE   50
#define IP_ENDPOINT_TEXT_SIZE 56

extern const struct mac_addr mac_addr_broadcast;

bool mac_addr_equal(const struct mac_addr *a, const struct mac_addr *b);
bool mac_addr_is_multicast(const struct mac_addr *addr); /* the group bit; true for broadcast */
bool mac_addr_is_zero(const struct mac_addr *addr);
/* Six groups of one or two hex digits, separated by colons. The whole text must match. */
bool mac_addr_parse(const char *text, struct mac_addr *ret_addr) MUST_USE;
/* Lower case, two digits a group. Returns buffer. */
const char *mac_addr_format(const struct mac_addr *addr, char buffer[MAC_ADDR_TEXT_SIZE]);

struct ip_addr ip_addr_from_v4(uint32_t addr);
struct ip_addr ip_addr_from_v6(const uint8_t octet[16]);
/* The address must be an IPv4 address. */
uint32_t ip_addr_to_v4(const struct ip_addr *addr);
bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b);
bool ip_addr_is_v4(const struct ip_addr *addr);
/* Octets that the family has: 4 or 16. */
static inline size_t ip_addr_size(const struct ip_addr *addr)
{
	return addr->family == IP_FAMILY_V4 ? 4 : 16;
}
bool ip_addr_is_unspecified(const struct ip_addr *addr); /* 0.0.0.0, ::, or no family */
bool ip_addr_is_loopback(const struct ip_addr *addr);	 /* 127/8, ::1, ::ffff:127/104 */
bool ip_addr_is_multicast(const struct ip_addr *addr);	 /* 224/4, ff00::/8 */
bool ip_addr_is_link_local(const struct ip_addr *addr);	 /* fe80::/10; not 169.254/16 */
/* Why nobody can listen on it, in words ("is a group address"): groups, the broadcast addresses that
 * every host has (255.255.255.255, 127.255.255.255), and IPv6's link-local ones, which mean nothing
 * without an interface. NULL = somebody may. */
const char *ip_addr_why_no_listener(const struct ip_addr *addr);
/* ::ffff:a.b.c.d becomes a.b.c.d; anything else stays. */
struct ip_addr ip_addr_unmap(const struct ip_addr *addr);
/* Strict: dotted quad without leading zeros, or an RFC 4291 text; no scope. */
bool ip_addr_parse(const char *text, struct ip_addr *ret_addr) MUST_USE;
const char *ip_addr_format(const struct ip_addr *addr, char buffer[IP_ADDR_TEXT_SIZE]);

bool ip_endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b);
/* "1.2.3.4:80", "[::1]:80" */
const char *ip_endpoint_format(const struct ip_endpoint *endpoint,
			       char buffer[IP_ENDPOINT_TEXT_SIZE]);
/* False for a family that is neither AF_INET nor AF_INET6. A mapped address is unmapped. */
bool ip_endpoint_from_sockaddr(const struct sockaddr_storage *sockaddr,
			       struct ip_endpoint *ret_endpoint) MUST_USE;
/* Returns the size of what was written. */
socklen_t ip_endpoint_to_sockaddr(const struct ip_endpoint *endpoint,
				  struct sockaddr_storage *ret_sockaddr);
/* The same with the number of the interface that a link-local IPv6 address belongs to; 0 = none. */
socklen_t ip_endpoint_to_scoped_sockaddr(const struct ip_endpoint *endpoint, uint32_t scope,
					 struct sockaddr_storage *ret_sockaddr);

/* "ADDRESS/LENGTH"; host bits are kept as written. */
bool ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix) MUST_USE;
const char *ip_prefix_format(const struct ip_prefix *prefix, char buffer[IP_PREFIX_TEXT_SIZE]);
bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_addr *addr);
bool ip_prefix_overlaps(const struct ip_prefix *a, const struct ip_prefix *b);
/* The prefix with its host bits cleared. */
struct ip_prefix ip_prefix_canonical(const struct ip_prefix *prefix);
/* IPv4 only: first (network) and last (broadcast) address of the prefix. */
uint32_t ip_prefix_first_v4(const struct ip_prefix *prefix);
uint32_t ip_prefix_last_v4(const struct ip_prefix *prefix);
/* A contiguous netmask as a length; false when it has a hole. */
bool ip_mask_to_length(uint32_t mask, uint8_t *ret_length) MUST_USE;
uint32_t ip_length_to_mask(uint8_t length);
/* Wholly inside 10/8, 172.16/12 or 192.168/16 (RFC 1918). */
bool ip_prefix_is_rfc1918(const struct ip_prefix *prefix);
