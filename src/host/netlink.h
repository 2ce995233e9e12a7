#pragma once
/*
 * rtnetlink(7): questions to the kernel about links, addresses and routes, and the parsers of its
 * answers. Numbers are in host order, as the kernel writes them.
 */

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/reader.h"

#define NETLINK_GATEWAY_MAX 16

struct netlink {
	int fd;
	uint32_t sequence;
	uint32_t port;
	_Alignas(8) uint8_t buffer[32768];
};

struct netlink_message {
	uint16_t type;
	uint16_t flags;
	uint32_t sequence;
	uint32_t port;
	struct reader body;
};

struct netlink_route {
	uint8_t family; /* enum ip_family */
	uint8_t type;	/* RTN_UNICAST, RTN_LOCAL, ... */
	uint8_t protocol;
	uint32_t table;
	uint32_t metric;
	uint32_t link;		      /* index, 0 = none */
	struct ip_prefix destination; /* 0.0.0.0/0 or ::/0 for a default route */
	struct ip_addr source;	      /* preferred, family NONE = none */
	struct ip_addr gateway[NETLINK_GATEWAY_MAX];
	uint8_t gateway_count;
};

struct netlink_address {
	uint8_t family;
	uint32_t link;
	struct ip_addr local;
	struct ip_prefix prefix; /* on-link; of the peer on a point-to-point link */
};

struct netlink_link {
	uint32_t index;
	uint32_t flags; /* IFF_UP and so on */
};

/* A socket for questions. 0 or negative errno. */
int netlink_init(struct netlink *netlink) MUST_USE;
void netlink_done(struct netlink *netlink);

typedef void netlink_each_fn(void *context, const struct netlink_message *message);

/*
 * Asks for everything of a kind (RTM_GETROUTE and so on) and calls `each` for every answer. Blocks
 * as long as the kernel takes. -EAGAIN when the tables changed meanwhile: what was said may have
 * holes.
 */
int netlink_dump_links(struct netlink *netlink, netlink_each_fn *each, void *context) MUST_USE;
int netlink_dump_addresses(struct netlink *netlink, enum ip_family family, netlink_each_fn *each,
			   void *context) MUST_USE;
/* type: RTN_LOCAL and so on, or 0 for all; an old kernel gives all in any case. */
int netlink_dump_routes(struct netlink *netlink, enum ip_family family, uint8_t type,
			netlink_each_fn *each, void *context) MUST_USE;
/* The address the kernel would send from to `to` through that link. -ENETUNREACH and so on. */
int netlink_find_source(struct netlink *netlink, const struct ip_addr *to, uint32_t link,
			struct ip_addr *ret_source) MUST_USE;

/* The index of the link of that name, 0 = none. Asked on the socket that is there: if_nametoindex() makes one
 * of its own, and looks into /proc for which kinds there are. */
uint32_t netlink_find_link(const struct netlink *netlink, const char *name);

/* The next message of a datagram; false at its end, or where it is malformed. */
bool netlink_next(struct reader *datagram, struct netlink_message *ret_message) MUST_USE;
/* False for a message of another kind or family, or a malformed one. */
bool netlink_parse_route(const struct netlink_message *message,
			 struct netlink_route *ret_route) MUST_USE;
bool netlink_parse_address(const struct netlink_message *message,
			   struct netlink_address *ret_address) MUST_USE;
bool netlink_parse_link(const struct netlink_message *message,
			struct netlink_link *ret_link) MUST_USE;
