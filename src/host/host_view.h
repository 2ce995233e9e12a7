#pragma once
/*
 * Which addresses are the host's own, and where its default route sends from. A socket on the loop
 * hears that something changed; the tables are asked for again when the next question comes.
 */

#include "base/addr.h"
#include "base/error.h"
#include "base/log.h"
#include "host/netlink.h"
#include "loop/loop.h"

struct host_view_default {
	bool stale;
	bool found;
	struct ip_addr source;
};

struct host_view {
	struct loop *loop;
	const struct log *log;
	struct log_limit log_limit;
	struct netlink query;
	int event_fd;
	struct loop_watch watch;

	bool locals_stale;
	/* Sorted, without repetition: whole addresses, and prefixes (127.0.0.0/8). */
	struct ip_prefix *locals;
	size_t local_count;
	struct host_view_default defaults[2]; /* IPv4, IPv6 */
};

/* The tables are there when it returns. 0 or negative errno. */
int host_view_init(struct host_view *view, struct loop *loop, const struct log *log,
		   struct error *err) MUST_USE;
void host_view_done(struct host_view *view);

/* host.h is_local(), default_source() */
bool host_view_is_local(struct host_view *view, const struct ip_addr *addr);
bool host_view_default_source(struct host_view *view, enum ip_family family,
			      struct ip_addr *ret_addr);
