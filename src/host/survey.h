#pragma once
/*
 * What the host's own networks look like now: asked once, when a subnet is chosen. One netlink
 * dump; blocks for as long as the kernel takes to answer (microseconds).
 */

#include "base/addr.h"
#include "base/error.h"

#define SURVEY_MAX 1024

struct survey {
	/* Never to be taken: on-link prefixes, resolvers and next hops (the last two as /32). */
	struct ip_prefix avoid[SURVEY_MAX];
	size_t avoid_count;
	/* Other routes (a VPN's): they only rank candidates. The default route is left out. */
	struct ip_prefix rank[SURVEY_MAX];
	size_t rank_count;
};

/* IPv4 only. What does not fit is left out (a host with over 1024 routes). */
int survey_take(struct survey *ret_survey, struct error *err) MUST_USE;
