#include "host/host_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

/* A table that changes while it is read is read again, so often at most. */
#define HOST_VIEW_TRIES	     5
#define HOST_VIEW_LOCALS_MAX 65536
/* Event datagrams per batch: the rest waits for the next one. */
#define HOST_VIEW_EVENT_MAX 256

static const uint32_t host_view_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
					 RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

/* Which destination a default route without a gateway is asked about (RFC 5737, RFC 3849). */
static const char *const host_view_probe[] = { "198.51.100.1", "2001:db8::1" };

struct host_view_collection {
	struct ip_prefix *items;
	size_t count;
	size_t capacity;
	bool failed; /* no memory, or too many */
};

static bool host_view_type_is_local(uint8_t type)
{
	/* Anycast: the subnet-router address of each IPv6 prefix of ours (RFC 4291 2.6.1). */
	return type == RTN_LOCAL || type == RTN_ANYCAST;
}

static void host_view_collect_local(void *context, const struct netlink_message *message)
{
	struct host_view_collection *collection = context;
	struct netlink_route route;
	if (collection->failed || !netlink_parse_route(message, &route) ||
	    !host_view_type_is_local(route.type))
		return;
	if (collection->count == collection->capacity) {
		size_t capacity = collection->capacity ? collection->capacity * 2 : 64;
		struct ip_prefix *items = NULL;
		if (capacity <= HOST_VIEW_LOCALS_MAX)
			items = reallocarray(collection->items, capacity, sizeof(*items));
		if (!items) {
			collection->failed = true;
			return;
		}
		collection->items = items;
		collection->capacity = capacity;
	}
	collection->items[collection->count++] = route.destination;
}

static bool host_view_is_whole(const struct ip_prefix *prefix)
{
	return prefix->length == (prefix->addr.family == IP_FAMILY_V4 ? 32 : 128);
}

/* Prefixes first, then whole addresses by value, so that those can be searched by halves. */
static int host_view_compare(const void *left, const void *right)
{
	const struct ip_prefix *a = left;
	const struct ip_prefix *b = right;
	int whole = (int)host_view_is_whole(a) - (int)host_view_is_whole(b);
	if (whole)
		return whole;
	int addr = memcmp(&a->addr, &b->addr, sizeof(a->addr));
	return addr ? addr : (int)a->length - (int)b->length;
}

static int host_view_read_locals(struct host_view *view, struct host_view_collection *collection)
{
	static const struct {
		enum ip_family family;
		uint8_t type;
	} questions[] = {
		{ IP_FAMILY_V4, RTN_LOCAL },
		{ IP_FAMILY_V6, RTN_LOCAL },
		{ IP_FAMILY_V6, RTN_ANYCAST },
	};
	collection->count = 0;
	for (size_t i = 0; i < ARRAY_COUNT(questions); i++) {
		int rc = netlink_dump_routes(&view->query, questions[i].family, questions[i].type,
					     host_view_collect_local, collection);
		if (rc < 0)
			return rc;
	}
	return collection->failed ? -ENOMEM : 0;
}

static int host_view_renew_locals(struct host_view *view)
{
	struct host_view_collection collection = { 0 };
	int rc = -EAGAIN;
	for (int i = 0; i < HOST_VIEW_TRIES && rc == -EAGAIN; i++)
		rc = host_view_read_locals(view, &collection);
	/* Still changing: what came is newer than what we have. Its event makes us ask again. */
	if (rc < 0 && rc != -EAGAIN) {
		free(collection.items);
		return rc;
	}
	if (collection.count)
		qsort(collection.items, collection.count, sizeof(*collection.items),
		      host_view_compare);
	free(view->locals);
	view->locals = collection.items;
	view->local_count = collection.count;
	view->locals_stale = false;
	return 0;
}

static void host_view_log_failure(struct host_view *view, const char *what, int rc)
{
	log_write_limited(view->log, &view->log_limit, loop_now(view->loop), LOG_LEVEL_WARNING,
			  "host: reading the %s from the kernel failed: %s", what, strerror(-rc));
}

struct host_view_best {
	bool found;
	struct netlink_route route;
};

/* The main table's default route wins over other tables', then the lowest metric. */
static void host_view_collect_default(void *context, const struct netlink_message *message)
{
	struct host_view_best *best = context;
	struct netlink_route route;
	if (!netlink_parse_route(message, &route) || route.type != RTN_UNICAST ||
	    route.destination.length != 0)
		return;
	bool main_table = route.table == RT_TABLE_MAIN;
	bool best_main = best->route.table == RT_TABLE_MAIN;
	if (best->found && (best_main > main_table ||
			    (best_main == main_table && best->route.metric <= route.metric)))
		return;
	best->found = true;
	best->route = route;
}

static int host_view_find_default(struct host_view *view, enum ip_family family,
				  struct ip_addr *ret_source)
{
	struct host_view_best best = { 0 };
	int rc = -EAGAIN;
	for (int i = 0; i < HOST_VIEW_TRIES && rc == -EAGAIN; i++) {
		best.found = false;
		rc = netlink_dump_routes(&view->query, family, RTN_UNICAST,
					 host_view_collect_default, &best);
	}
	if (rc < 0 && rc != -EAGAIN)
		return rc;
	if (!best.found)
		return -ENETUNREACH;
	if (best.route.source.family == family) {
		*ret_source = best.route.source;
		return 0;
	}
	/* As the kernel picks it: by the gateway's subnet in IPv4 (inet_select_addr), by RFC 6724
	 * in IPv6, where the gateway is link-local and tells nothing. */
	struct ip_addr to;
	if (!ip_addr_parse(host_view_probe[family == IP_FAMILY_V6], &to))
		return -EINVAL;
	if (family == IP_FAMILY_V4 && best.route.gateway_count)
		to = best.route.gateway[0];
	return netlink_find_source(&view->query, &to, best.route.link, ret_source);
}

static void host_view_mark_all(struct host_view *view)
{
	view->locals_stale = true;
	view->defaults[0].stale = true;
	view->defaults[1].stale = true;
}

/* Routes come and go in thousands on some hosts: only those that matter make work. */
static void host_view_hear(struct host_view *view, const struct netlink_message *message)
{
	if (message->type != RTM_NEWROUTE && message->type != RTM_DELROUTE) {
		host_view_mark_all(view);
		return;
	}
	struct netlink_route route;
	if (!netlink_parse_route(message, &route))
		return;
	if (host_view_type_is_local(route.type))
		host_view_mark_all(view);
	else if (route.destination.length == 0)
		view->defaults[route.family == IP_FAMILY_V6].stale = true;
}

static void host_view_ready(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	struct host_view *view = container_of(watch, struct host_view, watch);
	uint8_t *buffer = view->query.buffer; /* free between questions */
	for (int i = 0; i < HOST_VIEW_EVENT_MAX; i++) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_size = sizeof(from);
		ssize_t got =
			recvfrom(view->event_fd, buffer, sizeof(view->query.buffer),
				 MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_size);
		if (got < 0 && errno == EAGAIN)
			return;
		/* ENOBUFS: events were lost. The same for one that is too long to be read. */
		if (got < 0 || (size_t)got > sizeof(view->query.buffer)) {
			host_view_mark_all(view);
			continue;
		}
		if (from.nl_pid != 0)
			continue;
		struct reader datagram = reader_of(buffer, (size_t)got);
		struct netlink_message message;
		while (netlink_next(&datagram, &message))
			host_view_hear(view, &message);
	}
}

static int host_view_listen(struct host_view *view)
{
	view->event_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (view->event_fd < 0)
		return -errno;
	struct sockaddr_nl sockaddr = { .nl_family = AF_NETLINK, .nl_groups = host_view_groups };
	if (bind(view->event_fd, (const struct sockaddr *)&sockaddr, sizeof(sockaddr)) < 0)
		return -errno;
	/* Level-triggered: what one batch does not read wakes the next. */
	return loop_watch_add(view->loop, &view->watch, view->event_fd, EPOLLIN);
}

int host_view_init(struct host_view *view, struct loop *loop, const struct log *log,
		   struct error *err)
{
	*view = (struct host_view){ .loop = loop, .log = log, .event_fd = -1, .query.fd = -1 };
	loop_watch_init(&view->watch, host_view_ready);
	host_view_mark_all(view);
	int rc = netlink_init(&view->query);
	/* Listening begins before the first answer: no change falls between. */
	if (rc == 0)
		rc = host_view_listen(view);
	if (rc == 0)
		rc = host_view_renew_locals(view);
	if (rc < 0) {
		error_set(err, "reading the host's addresses by netlink failed: %s", strerror(-rc));
		host_view_done(view);
	}
	return rc;
}

void host_view_done(struct host_view *view)
{
	loop_watch_remove(view->loop, &view->watch);
	view->event_fd = fd_close(view->event_fd);
	netlink_done(&view->query);
	free(view->locals);
	view->locals = NULL;
	view->local_count = 0;
}

bool host_view_is_local(struct host_view *view, const struct ip_addr *addr)
{
	struct ip_addr real = ip_addr_unmap(addr);
	/* Linux connects "any" to itself. */
	if (ip_addr_is_loopback(&real) || ip_addr_is_unspecified(&real))
		return true;
	if (view->locals_stale) {
		int rc = host_view_renew_locals(view);
		if (rc < 0)
			host_view_log_failure(view, "local addresses", rc);
	}
	size_t at = 0;
	for (; at < view->local_count && !host_view_is_whole(&view->locals[at]); at++) {
		if (ip_prefix_contains(&view->locals[at], &real))
			return true;
	}
	struct ip_prefix wanted = { .addr = real,
				    .length = real.family == IP_FAMILY_V4 ? 32 : 128 };
	return at < view->local_count && bsearch(&wanted, view->locals + at, view->local_count - at,
						 sizeof(wanted), host_view_compare) != NULL;
}

bool host_view_default_source(struct host_view *view, enum ip_family family,
			      struct ip_addr *ret_addr)
{
	struct host_view_default *route = &view->defaults[family == IP_FAMILY_V6];
	if (route->stale) {
		int rc = host_view_find_default(view, family, &route->source);
		route->found = rc == 0;
		/* No route, or no address yet: an event will tell. Else it was our question. */
		route->stale = rc == -ENOMEM || rc == -ENOBUFS || rc == -ETIMEDOUT;
		if (route->stale)
			host_view_log_failure(view, "default route", rc);
	}
	if (!route->found)
		return false;
	*ret_addr = route->source;
	return true;
}
