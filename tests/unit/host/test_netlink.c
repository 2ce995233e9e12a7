#include "host_rig.h"

#include "host/netlink.h"

/* Messages as the kernel writes them, put together by hand. */
struct message {
	_Alignas(8) uint8_t bytes[512];
	size_t size;
};

static void put(struct message *message, const void *data, size_t size)
{
	memcpy(message->bytes + message->size, data, size);
	message->size += (size + 3) & ~(size_t)3;
}

static void begin(struct message *message, uint16_t type, const void *header, size_t size)
{
	struct nlmsghdr outer = { .nlmsg_type = type };
	memset(message, 0, sizeof(*message));
	put(message, &outer, sizeof(outer));
	put(message, header, size);
}

static void attribute(struct message *message, uint16_t type, const void *data, size_t size)
{
	struct rtattr header = { .rta_len = (uint16_t)(sizeof(header) + size), .rta_type = type };
	put(message, &header, sizeof(header));
	put(message, data, size);
}

static bool finish(struct message *message, struct netlink_message *ret_message)
{
	uint32_t size = (uint32_t)message->size;
	memcpy(message->bytes, &size, sizeof(size));
	struct reader reader = reader_of(message->bytes, message->size);
	return netlink_next(&reader, ret_message);
}

static const uint8_t gateway[4] = { 192, 0, 2, 1 };
static const uint8_t network[4] = { 198, 51, 100, 0 };

static void full_route(struct message *message)
{
	struct rtmsg header = { .rtm_family = AF_INET,
				.rtm_dst_len = 24,
				.rtm_type = RTN_UNICAST,
				.rtm_table = RT_TABLE_MAIN };
	uint32_t link = 3;
	uint32_t metric = 100;
	uint32_t table = 1000;
	begin(message, RTM_NEWROUTE, &header, sizeof(header));
	attribute(message, RTA_DST, network, 4);
	attribute(message, RTA_GATEWAY, gateway, 4);
	attribute(message, RTA_OIF, &link, 4);
	attribute(message, RTA_PRIORITY, &metric, 4);
	attribute(message, RTA_TABLE, &table, 4);
	attribute(message, RTA_PREFSRC, gateway, 4);
}

static void test_route(void **state)
{
	(void)state;
	struct message bytes;
	struct netlink_message message;
	struct netlink_route route;
	char text[IP_PREFIX_TEXT_SIZE];
	full_route(&bytes);
	assert_true(finish(&bytes, &message));
	assert_true(netlink_parse_route(&message, &route));
	assert_string_equal(ip_prefix_format(&route.destination, text), "198.51.100.0/24");
	assert_int_equal(route.gateway_count, 1);
	assert_string_equal(ip_addr_format(&route.gateway[0], text), "192.0.2.1");
	assert_int_equal(route.link, 3);
	assert_int_equal(route.metric, 100);
	assert_int_equal(route.table, 1000);
	assert_int_equal(route.type, RTN_UNICAST);
	assert_true(ip_addr_equal(&route.source, &route.gateway[0]));
	struct netlink_address address;
	struct netlink_link link;
	assert_false(netlink_parse_address(&message, &address));
	assert_false(netlink_parse_link(&message, &link));
}

static void test_multipath(void **state)
{
	(void)state;
	struct message inner = { .size = 0 };
	for (int i = 0; i < NETLINK_GATEWAY_MAX + 4; i++) {
		struct rtnexthop hop = { .rtnh_len = sizeof(hop) + 8, .rtnh_ifindex = 5 + i };
		put(&inner, &hop, sizeof(hop));
		attribute(&inner, RTA_GATEWAY, gateway, 4);
	}
	struct message bytes;
	struct netlink_message message;
	struct netlink_route route;
	struct rtmsg header = { .rtm_family = AF_INET, .rtm_type = RTN_UNICAST };
	begin(&bytes, RTM_NEWROUTE, &header, sizeof(header));
	attribute(&bytes, RTA_MULTIPATH, inner.bytes, inner.size);
	assert_true(finish(&bytes, &message));
	assert_true(netlink_parse_route(&message, &route));
	assert_int_equal(route.gateway_count, NETLINK_GATEWAY_MAX);
	assert_int_equal(route.link, 5);
	assert_int_equal(route.destination.length, 0);
	assert_int_equal(route.destination.addr.family, IP_FAMILY_V4);

	/* A next hop that claims no bytes must not hold the parser. */
	struct rtnexthop hop = { .rtnh_len = 0 };
	begin(&bytes, RTM_NEWROUTE, &header, sizeof(header));
	attribute(&bytes, RTA_MULTIPATH, &hop, sizeof(hop));
	assert_true(finish(&bytes, &message));
	assert_true(netlink_parse_route(&message, &route));
	assert_int_equal(route.gateway_count, 0);
}

static void test_route_refused(void **state)
{
	(void)state;
	struct message bytes;
	struct netlink_message message;
	struct netlink_route route;
	static const struct rtmsg headers[] = {
		{ .rtm_family = 7 },
		{ .rtm_family = AF_INET, .rtm_dst_len = 33 },
		{ .rtm_family = AF_INET6, .rtm_dst_len = 129 },
		{ .rtm_family = AF_INET, .rtm_flags = RTM_F_CLONED },
	};
	for (size_t i = 0; i < ARRAY_COUNT(headers); i++) {
		begin(&bytes, RTM_NEWROUTE, &headers[i], sizeof(headers[i]));
		assert_true(finish(&bytes, &message));
		assert_false(netlink_parse_route(&message, &route));
	}
	/* An address of another family than the route's. */
	struct rtmsg header = { .rtm_family = AF_INET6, .rtm_dst_len = 24 };
	begin(&bytes, RTM_NEWROUTE, &header, sizeof(header));
	attribute(&bytes, RTA_DST, network, 4);
	assert_true(finish(&bytes, &message));
	assert_false(netlink_parse_route(&message, &route));
}

/* Every shorter form: no read past the end (ASan sees it), no endless loop. */
static void test_cut(void **state)
{
	(void)state;
	struct message bytes;
	struct netlink_message message;
	struct netlink_route route;
	full_route(&bytes);
	size_t whole = bytes.size;
	unsigned parsed = 0;
	for (size_t size = 0; size < whole; size++) {
		uint8_t *copy = malloc(size ? size : 1);
		assert_non_null(copy);
		memcpy(copy, bytes.bytes, size);
		uint32_t claimed = (uint32_t)whole;
		if (size >= sizeof(claimed))
			memcpy(copy, &claimed, sizeof(claimed));
		struct reader reader = reader_of(copy, size);
		assert_false(netlink_next(&reader, &message)); /* claims more than there is */
		claimed = (uint32_t)size;
		if (size >= sizeof(claimed))
			memcpy(copy, &claimed, sizeof(claimed));
		reader = reader_of(copy, size);
		if (netlink_next(&reader, &message))
			parsed += netlink_parse_route(&message, &route);
		free(copy);
	}
	/* Cut behind an attribute it is a shorter message, and whole. */
	assert_true(parsed > 0 && parsed < whole);
}

static void test_address(void **state)
{
	(void)state;
	struct message bytes;
	struct netlink_message message;
	struct netlink_address address;
	char text[IP_PREFIX_TEXT_SIZE];
	struct ifaddrmsg header = { .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 4 };
	/* Point to point: IFA_ADDRESS is the peer. */
	begin(&bytes, RTM_NEWADDR, &header, sizeof(header));
	attribute(&bytes, IFA_LOCAL, gateway, 4);
	attribute(&bytes, IFA_ADDRESS, network, 4);
	assert_true(finish(&bytes, &message));
	assert_true(netlink_parse_address(&message, &address));
	assert_string_equal(ip_prefix_format(&address.prefix, text), "198.51.100.0/32");
	assert_string_equal(ip_addr_format(&address.local, text), "192.0.2.1");
	assert_int_equal(address.link, 4);
	/* IPv6: only IFA_ADDRESS. */
	header = (struct ifaddrmsg){ .ifa_family = AF_INET6, .ifa_prefixlen = 64 };
	begin(&bytes, RTM_NEWADDR, &header, sizeof(header));
	attribute(&bytes, IFA_ADDRESS, in6addr_loopback.s6_addr, 16);
	assert_true(finish(&bytes, &message));
	assert_true(netlink_parse_address(&message, &address));
	assert_string_equal(ip_addr_format(&address.local, text), "::1");
	/* None at all, of a strange size, too long a prefix. */
	begin(&bytes, RTM_NEWADDR, &header, sizeof(header));
	assert_true(finish(&bytes, &message));
	assert_false(netlink_parse_address(&message, &address));
	begin(&bytes, RTM_NEWADDR, &header, sizeof(header));
	attribute(&bytes, IFA_ADDRESS, in6addr_loopback.s6_addr, 15);
	assert_true(finish(&bytes, &message));
	assert_false(netlink_parse_address(&message, &address));
	header.ifa_prefixlen = 200;
	begin(&bytes, RTM_NEWADDR, &header, sizeof(header));
	attribute(&bytes, IFA_ADDRESS, in6addr_loopback.s6_addr, 16);
	assert_true(finish(&bytes, &message));
	assert_false(netlink_parse_address(&message, &address));
}

struct seen {
	bool loopback_link;
	bool loopback_address;
	bool loopback_route;
	unsigned messages;
};

static void note(void *context, const struct netlink_message *message)
{
	struct seen *seen = context;
	struct netlink_link link;
	struct netlink_address address;
	struct netlink_route route;
	seen->messages++;
	if (netlink_parse_link(message, &link))
		seen->loopback_link = seen->loopback_link || link.index == 1;
	if (netlink_parse_address(message, &address))
		seen->loopback_address =
			seen->loopback_address || ip_addr_is_loopback(&address.local);
	if (netlink_parse_route(message, &route))
		seen->loopback_route = seen->loopback_route ||
				       (route.type == RTN_LOCAL && route.destination.length == 8);
}

/* Against the kernel. */
static void test_dumps(void **state)
{
	(void)state;
	struct netlink *netlink = malloc(sizeof(*netlink));
	assert_non_null(netlink);
	assert_int_equal(netlink_init(netlink), 0);
	struct seen seen = { 0 };
	assert_int_equal(netlink_dump_links(netlink, note, &seen), 0);
	assert_int_equal(netlink_dump_addresses(netlink, IP_FAMILY_V4, note, &seen), 0);
	assert_int_equal(netlink_dump_routes(netlink, IP_FAMILY_V4, RTN_LOCAL, note, &seen), 0);
	assert_true(seen.loopback_link && seen.loopback_address && seen.loopback_route);
	struct ip_addr to = rig_loopback(IP_FAMILY_V4, 0).addr;
	struct ip_addr source;
	assert_int_equal(netlink_find_source(netlink, &to, 1, &source), 0);
	assert_true(ip_addr_equal(&source, &to));
	/* No such link. The next question is not confused by it. */
	assert_true(netlink_find_source(netlink, &to, 0x7ffffff0, &source) < 0);
	assert_int_equal(netlink_find_source(netlink, &to, 1, &source), 0);
	assert_int_equal(netlink_find_link(netlink, "lo"), 1);
	assert_int_equal(netlink_find_link(netlink, "nothing"), 0);
	assert_int_equal(netlink_find_link(netlink, ""), 0);
	assert_int_equal(netlink_find_link(netlink, "a-name-that-is-too-long"), 0);
	netlink_done(netlink);
	free(netlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route),	      cmocka_unit_test(test_multipath),
		cmocka_unit_test(test_route_refused), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_address),	      cmocka_unit_test(test_dumps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
