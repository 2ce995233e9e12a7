#include "host/survey.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "host/netlink.h"
#include "host/resolv_conf.h"
#include "host/survey_internal.h"

#define SURVEY_TRIES	5
#define SURVEY_LINK_MAX 4096

/* Working memory, too much for the stack. */
struct survey_work {
	struct netlink netlink;
	struct survey survey;
	/* Links without neighbours: VPN devices. */
	uint32_t tunnel[SURVEY_LINK_MAX];
	size_t tunnel_count;
};

static void survey_add(struct ip_prefix *list, size_t *count, const struct ip_prefix *prefix)
{
	struct ip_prefix canonical = ip_prefix_canonical(prefix);
	for (size_t i = 0; i < *count; i++) {
		if (list[i].length <= canonical.length &&
		    ip_prefix_contains(&list[i], &canonical.addr))
			return; /* an equal or wider one is there */
	}
	if (*count < SURVEY_MAX)
		list[(*count)++] = canonical;
}

static void survey_avoid(struct survey *survey, const struct ip_prefix *prefix)
{
	survey_add(survey->avoid, &survey->avoid_count, prefix);
}

static void survey_avoid_host(struct survey *survey, const struct ip_addr *addr)
{
	struct ip_prefix prefix = { .addr = *addr, .length = 32 };
	if (ip_addr_is_v4(addr) && !ip_addr_is_unspecified(addr))
		survey_avoid(survey, &prefix);
}

static void survey_note_link(void *context, const struct netlink_message *message)
{
	struct survey_work *work = context;
	struct netlink_link link;
	if (netlink_parse_link(message, &link) &&
	    (link.flags & ((uint32_t)IFF_POINTOPOINT | (uint32_t)IFF_NOARP)) &&
	    !(link.flags & (uint32_t)IFF_LOOPBACK) && work->tunnel_count < SURVEY_LINK_MAX)
		work->tunnel[work->tunnel_count++] = link.index;
}

static void survey_note_address(void *context, const struct netlink_message *message)
{
	struct survey_work *work = context;
	struct netlink_address address;
	if (!netlink_parse_address(message, &address) || address.family != IP_FAMILY_V4)
		return;
	survey_avoid(&work->survey, &address.prefix);
	survey_avoid_host(&work->survey, &address.local);
}

static bool survey_is_tunnel(const struct survey_work *work, uint32_t link)
{
	for (size_t i = 0; i < work->tunnel_count; i++) {
		if (work->tunnel[i] == link)
			return true;
	}
	return false;
}

/* On-link: the kernel would ask for a neighbour there. A route into a tunnel has no gateway either
 * but is a VPN's wish, which may be all of RFC 1918. */
static bool survey_is_on_link(const struct survey_work *work, const struct netlink_route *route)
{
	return route->type == RTN_LOCAL ||
	       (route->type == RTN_UNICAST && route->gateway_count == 0 && route->link != 0 &&
		!survey_is_tunnel(work, route->link));
}

static void survey_note_route(void *context, const struct netlink_message *message)
{
	struct survey_work *work = context;
	struct netlink_route route;
	if (!netlink_parse_route(message, &route) || route.family != IP_FAMILY_V4 ||
	    route.type == RTN_BROADCAST || route.type == RTN_MULTICAST || route.type == RTN_ANYCAST)
		return;
	for (size_t i = 0; i < route.gateway_count; i++)
		survey_avoid_host(&work->survey, &route.gateway[i]);
	if (route.destination.length == 0)
		return;
	if (survey_is_on_link(work, &route))
		survey_avoid(&work->survey, &route.destination);
	else
		survey_add(work->survey.rank, &work->survey.rank_count, &route.destination);
}

static int survey_ask(struct survey_work *work)
{
	work->tunnel_count = 0;
	work->survey.avoid_count = 0;
	work->survey.rank_count = 0;
	int rc = netlink_dump_links(&work->netlink, survey_note_link, work);
	if (rc == 0)
		rc = netlink_dump_addresses(&work->netlink, IP_FAMILY_V4, survey_note_address,
					    work);
	if (rc == 0)
		rc = netlink_dump_routes(&work->netlink, IP_FAMILY_V4, 0, survey_note_route, work);
	return rc;
}

static void survey_add_resolvers(struct survey *survey, const char *path)
{
	struct resolv_conf conf;
	if (resolv_conf_init(&conf, path) < 0)
		return;
	struct ip_endpoint server[RESOLV_CONF_MAX];
	size_t count = resolv_conf_servers(&conf, 0, server, RESOLV_CONF_MAX);
	for (size_t i = 0; i < count; i++)
		survey_avoid_host(survey, &server[i].addr);
	resolv_conf_done(&conf);
}

int survey_take_with_path(const char *resolv_conf, struct survey *ret_survey, struct error *err)
{
	struct survey_work *work = calloc(1, sizeof(*work));
	int rc = work ? netlink_init(&work->netlink) : -ENOMEM;
	if (rc == 0) {
		/* Tables that go on changing after that: what was seen has to do. */
		rc = -EAGAIN;
		for (int i = 0; i < SURVEY_TRIES && rc == -EAGAIN; i++)
			rc = survey_ask(work);
		netlink_done(&work->netlink);
	}
	if (rc == 0 || rc == -EAGAIN) {
		survey_add_resolvers(&work->survey, resolv_conf);
		*ret_survey = work->survey;
		rc = 0;
	} else {
		error_set(err, "reading the host's addresses and routes failed: %s", strerror(-rc));
	}
	free(work);
	return rc;
}

int survey_take(struct survey *ret_survey, struct error *err)
{
	return survey_take_with_path("/etc/resolv.conf", ret_survey, err);
}
