/* A datagram of rtnetlink of any bytes, each message of it as every kind. */

#include "fuzz.h"

#include "host/netlink.h"

static void check_prefix(const struct ip_prefix *prefix, uint8_t family)
{
	FUZZ_CHECK(prefix->addr.family == family);
	FUZZ_CHECK(prefix->length <= (family == IP_FAMILY_V4 ? 32 : 128));
	struct ip_prefix canonical = ip_prefix_canonical(prefix);
	FUZZ_CHECK(ip_prefix_contains(prefix, &canonical.addr));
}

static void check_route(const struct netlink_route *route)
{
	FUZZ_CHECK(route->family == IP_FAMILY_V4 || route->family == IP_FAMILY_V6);
	check_prefix(&route->destination, route->family);
	FUZZ_CHECK(route->gateway_count <= NETLINK_GATEWAY_MAX);
	for (uint8_t i = 0; i < route->gateway_count; i++)
		FUZZ_CHECK(route->gateway[i].family == route->family);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader datagram = reader_of(data, size);
	struct netlink_message message;
	size_t before = 0;

	while (netlink_next(&datagram, &message)) {
		struct netlink_route route;
		struct netlink_address address;
		struct netlink_link link;

		FUZZ_CHECK(datagram.position > before && datagram.position <= size);
		before = datagram.position;
		if (netlink_parse_route(&message, &route))
			check_route(&route);
		if (netlink_parse_address(&message, &address)) {
			check_prefix(&address.prefix, address.family);
			FUZZ_CHECK(address.local.family == address.family);
		}
		if (netlink_parse_link(&message, &link))
			FUZZ_CHECK(link.index > 0);
	}
	return 0;
}
