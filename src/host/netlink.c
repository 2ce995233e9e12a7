#include "host/netlink.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"

/* The kernel answers while it handles our recv(); this only ends a wait that our own bug made. */
#define NETLINK_WAIT_S 2

/* A request is a header and one of these, with up to two attributes. */
struct netlink_request {
	struct nlmsghdr header;
	union {
		struct rtmsg route;
		struct ifaddrmsg address;
		struct ifinfomsg link;
		uint8_t bytes[64];
	};
};

int netlink_init(struct netlink *netlink)
{
	netlink->sequence = 0;
	netlink->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (netlink->fd < 0)
		return -errno;
	struct sockaddr_nl sockaddr = { .nl_family = AF_NETLINK };
	socklen_t size = sizeof(sockaddr);
	struct timeval wait = { .tv_sec = NETLINK_WAIT_S };
	if (bind(netlink->fd, (const struct sockaddr *)&sockaddr, size) < 0 ||
	    getsockname(netlink->fd, (struct sockaddr *)&sockaddr, &size) < 0 ||
	    setsockopt(netlink->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0) {
		int rc = -errno;
		netlink->fd = fd_close(netlink->fd);
		return rc;
	}
	netlink->port = sockaddr.nl_pid;
	/* Linux 4.20: the kernel filters dumps. Without it, it gives all, and we filter. */
	int on = 1;
	(void)setsockopt(netlink->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

uint32_t netlink_find_link(const struct netlink *netlink, const char *name)
{
	struct ifreq request = { 0 };
	size_t size = strlen(name);

	if (size >= sizeof(request.ifr_name))
		return 0;
	memcpy(request.ifr_name, name, size);
	return ioctl(netlink->fd, SIOCGIFINDEX, &request) < 0 ? 0 : (uint32_t)request.ifr_ifindex;
}

void netlink_done(struct netlink *netlink)
{
	netlink->fd = fd_close(netlink->fd);
}

/* Messages, attributes and next hops begin at multiples of 4; behind the last one nothing need
 * follow. */
static void netlink_skip_padding(struct reader *reader, size_t size)
{
	size_t padding = (4 - size % 4) % 4;
	size_t left = reader_left(reader);
	reader_skip(reader, padding < left ? padding : left);
}

bool netlink_next(struct reader *datagram, struct netlink_message *ret_message)
{
	struct nlmsghdr header;
	if (reader_left(datagram) < sizeof(header))
		return false;
	reader_bytes(datagram, &header, sizeof(header));
	if (header.nlmsg_len < sizeof(header))
		return false;
	size_t size = header.nlmsg_len - sizeof(header);
	struct reader body = reader_sub(datagram, size);
	if (!reader_ok(&body))
		return false;
	netlink_skip_padding(datagram, size);
	*ret_message = (struct netlink_message){
		.type = header.nlmsg_type,
		.flags = header.nlmsg_flags,
		.sequence = header.nlmsg_seq,
		.port = header.nlmsg_pid,
		.body = body,
	};
	return true;
}

static bool netlink_next_attribute(struct reader *attributes, uint16_t *ret_type,
				   struct reader *ret_value)
{
	struct rtattr header;
	if (reader_left(attributes) < sizeof(header))
		return false;
	reader_bytes(attributes, &header, sizeof(header));
	if (header.rta_len < sizeof(header))
		return false;
	size_t size = header.rta_len - sizeof(header);
	struct reader value = reader_sub(attributes, size);
	if (!reader_ok(&value))
		return false;
	netlink_skip_padding(attributes, size);
	/* The two highest bits are marks (nested, network order). */
	*ret_type = header.rta_type & UINT16_C(0x3fff);
	*ret_value = value;
	return true;
}

static uint32_t netlink_u32(struct reader *value)
{
	uint32_t number;
	reader_bytes(value, &number, sizeof(number));
	return number;
}

/* By its size: RTA_VIA and the like do not come here. Else family NONE. */
static struct ip_addr netlink_ip(struct reader *value)
{
	uint8_t octet[16];
	if (reader_left(value) == 4)
		return ip_addr_from_v4(reader_u32(value));
	if (reader_left(value) != sizeof(octet))
		return (struct ip_addr){ 0 };
	reader_bytes(value, octet, sizeof(octet));
	return ip_addr_from_v6(octet);
}

static uint8_t netlink_family(uint8_t domain)
{
	if (domain == AF_INET)
		return IP_FAMILY_V4;
	return domain == AF_INET6 ? IP_FAMILY_V6 : IP_FAMILY_NONE;
}

static uint8_t netlink_domain(uint8_t family)
{
	if (family == IP_FAMILY_V4)
		return AF_INET;
	return family == IP_FAMILY_V6 ? AF_INET6 : AF_UNSPEC;
}

static void netlink_add_gateway(struct netlink_route *route, struct reader *value)
{
	struct ip_addr gateway = netlink_ip(value);
	if (gateway.family == route->family && route->gateway_count < NETLINK_GATEWAY_MAX)
		route->gateway[route->gateway_count++] = gateway;
}

/* RTA_MULTIPATH: a row of struct rtnexthop, each with attributes of its own. */
static void netlink_add_next_hops(struct netlink_route *route, struct reader *value)
{
	struct rtnexthop hop;
	while (reader_left(value) >= sizeof(hop)) {
		reader_bytes(value, &hop, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop))
			return;
		size_t size = hop.rtnh_len - sizeof(hop);
		struct reader attributes = reader_sub(value, size);
		netlink_skip_padding(value, size);
		if (route->link == 0 && hop.rtnh_ifindex > 0)
			route->link = (uint32_t)hop.rtnh_ifindex;
		uint16_t type;
		struct reader attribute;
		while (netlink_next_attribute(&attributes, &type, &attribute)) {
			if (type == RTA_GATEWAY)
				netlink_add_gateway(route, &attribute);
		}
	}
}

static void netlink_route_attribute(struct netlink_route *route, uint16_t type,
				    struct reader *value)
{
	switch (type) {
	case RTA_DST:
		route->destination.addr = netlink_ip(value);
		break;
	case RTA_PREFSRC:
		route->source = netlink_ip(value);
		break;
	case RTA_OIF:
		route->link = netlink_u32(value);
		break;
	case RTA_PRIORITY:
		route->metric = netlink_u32(value);
		break;
	case RTA_TABLE:
		route->table = netlink_u32(value);
		break;
	case RTA_GATEWAY:
		netlink_add_gateway(route, value);
		break;
	case RTA_MULTIPATH:
		netlink_add_next_hops(route, value);
		break;
	default:
		break;
	}
}

bool netlink_parse_route(const struct netlink_message *message, struct netlink_route *ret_route)
{
	if (message->type != RTM_NEWROUTE && message->type != RTM_DELROUTE)
		return false;
	struct reader body = message->body;
	struct rtmsg header;
	reader_bytes(&body, &header, sizeof(header));
	uint8_t family = netlink_family(header.rtm_family);
	/* RTM_F_CLONED: the cache of what was looked up, no route. */
	if (!reader_ok(&body) || family == IP_FAMILY_NONE || (header.rtm_flags & RTM_F_CLONED))
		return false;
	struct netlink_route route = {
		.family = family,
		.type = header.rtm_type,
		.protocol = header.rtm_protocol,
		.table = header.rtm_table,
		.destination = { .addr.family = family, .length = header.rtm_dst_len },
	};
	uint16_t type;
	struct reader value;
	while (netlink_next_attribute(&body, &type, &value))
		netlink_route_attribute(&route, type, &value);
	if (route.destination.addr.family != family ||
	    route.destination.length > (family == IP_FAMILY_V4 ? 32 : 128))
		return false;
	*ret_route = route;
	return true;
}

bool netlink_parse_address(const struct netlink_message *message,
			   struct netlink_address *ret_address)
{
	if (message->type != RTM_NEWADDR && message->type != RTM_DELADDR)
		return false;
	struct reader body = message->body;
	struct ifaddrmsg header;
	reader_bytes(&body, &header, sizeof(header));
	uint8_t family = netlink_family(header.ifa_family);
	if (!reader_ok(&body) || family == IP_FAMILY_NONE)
		return false;
	struct netlink_address address = {
		.family = family,
		.link = header.ifa_index,
		.prefix.length = header.ifa_prefixlen,
	};
	uint16_t type;
	struct reader value;
	while (netlink_next_attribute(&body, &type, &value)) {
		if (type == IFA_ADDRESS)
			address.prefix.addr = netlink_ip(&value);
		else if (type == IFA_LOCAL)
			address.local = netlink_ip(&value);
	}
	/* IPv6 gives IFA_LOCAL only with a peer. */
	if (address.local.family == IP_FAMILY_NONE)
		address.local = address.prefix.addr;
	if (address.prefix.addr.family == IP_FAMILY_NONE)
		address.prefix.addr = address.local;
	if (address.local.family != family || address.prefix.addr.family != family ||
	    address.prefix.length > (family == IP_FAMILY_V4 ? 32 : 128))
		return false;
	*ret_address = address;
	return true;
}

bool netlink_parse_link(const struct netlink_message *message, struct netlink_link *ret_link)
{
	if (message->type != RTM_NEWLINK && message->type != RTM_DELLINK)
		return false;
	struct reader body = message->body;
	struct ifinfomsg header;
	reader_bytes(&body, &header, sizeof(header));
	if (!reader_ok(&body) || header.ifi_index <= 0)
		return false;
	*ret_link = (struct netlink_link){
		.index = (uint32_t)header.ifi_index,
		.flags = header.ifi_flags,
	};
	return true;
}

static int netlink_send(struct netlink *netlink, struct netlink_request *request, uint16_t type,
			uint16_t flags, size_t body_size)
{
	size_t size = sizeof(request->header) + body_size;
	assert(size <= sizeof(*request));
	request->header = (struct nlmsghdr){
		.nlmsg_len = (uint32_t)size,
		.nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
		.nlmsg_seq = ++netlink->sequence,
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t sent;
	do
		sent = sendto(netlink->fd, request, size, MSG_NOSIGNAL,
			      (const struct sockaddr *)&kernel, sizeof(kernel));
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* One datagram from the kernel; whoever else may have written to our port is not heard. */
static int netlink_receive(struct netlink *netlink, struct reader *ret_datagram)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_size = sizeof(from);
		ssize_t got = recvfrom(netlink->fd, netlink->buffer, sizeof(netlink->buffer),
				       MSG_TRUNC, (struct sockaddr *)&from, &from_size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (from.nl_pid != 0)
			continue;
		if ((size_t)got > sizeof(netlink->buffer))
			return -EMSGSIZE;
		*ret_datagram = reader_of(netlink->buffer, (size_t)got);
		return 0;
	}
}

/* NLMSG_ERROR and NLMSG_DONE begin with 0 or a negative errno. */
static int netlink_status(struct reader body)
{
	int status;
	reader_bytes(&body, &status, sizeof(status));
	if (!reader_ok(&body) || status > 0)
		return -EBADMSG;
	return status;
}

static int netlink_collect(struct netlink *netlink, netlink_each_fn *each, void *context)
{
	bool interrupted = false;
	for (;;) {
		struct reader datagram = {};
		int rc = netlink_receive(netlink, &datagram);
		if (rc < 0)
			return rc;
		struct netlink_message message;
		while (netlink_next(&datagram, &message)) {
			/* Left over from an earlier question that failed half way. */
			if (message.sequence != netlink->sequence || message.port != netlink->port)
				continue;
			if (message.flags & NLM_F_DUMP_INTR)
				interrupted = true;
			if (message.type == NLMSG_ERROR)
				return netlink_status(message.body);
			if (message.type == NLMSG_DONE) {
				rc = netlink_status(message.body);
				return rc == 0 && interrupted ? -EAGAIN : rc;
			}
			each(context, &message);
			if (!(message.flags & NLM_F_MULTI))
				return 0;
		}
	}
}

static int netlink_dump(struct netlink *netlink, struct netlink_request *request, uint16_t type,
			size_t body_size, netlink_each_fn *each, void *context)
{
	int rc = netlink_send(netlink, request, type, NLM_F_DUMP, body_size);
	return rc < 0 ? rc : netlink_collect(netlink, each, context);
}

int netlink_dump_links(struct netlink *netlink, netlink_each_fn *each, void *context)
{
	struct netlink_request request = { .link.ifi_family = AF_UNSPEC };
	return netlink_dump(netlink, &request, RTM_GETLINK, sizeof(request.link), each, context);
}

int netlink_dump_addresses(struct netlink *netlink, enum ip_family family, netlink_each_fn *each,
			   void *context)
{
	struct netlink_request request = { .address.ifa_family = netlink_domain((uint8_t)family) };
	return netlink_dump(netlink, &request, RTM_GETADDR, sizeof(request.address), each, context);
}

int netlink_dump_routes(struct netlink *netlink, enum ip_family family, uint8_t type,
			netlink_each_fn *each, void *context)
{
	struct netlink_request request = {
		.route.rtm_family = netlink_domain((uint8_t)family),
		.route.rtm_type = type,
	};
	return netlink_dump(netlink, &request, RTM_GETROUTE, sizeof(request.route), each, context);
}

static void netlink_note_source(void *context, const struct netlink_message *message)
{
	struct ip_addr *source = context;
	struct reader body = message->body;
	reader_skip(&body, sizeof(struct rtmsg));
	uint16_t type;
	struct reader value;
	while (message->type == RTM_NEWROUTE && netlink_next_attribute(&body, &type, &value)) {
		if (type == RTA_PREFSRC)
			*source = netlink_ip(&value);
	}
}

static size_t netlink_put(struct netlink_request *request, size_t at, uint16_t type,
			  const void *data, size_t size)
{
	struct rtattr header = { .rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = type };
	assert(at + RTA_SPACE(size) <= sizeof(request->bytes));
	memcpy(request->bytes + at, &header, sizeof(header));
	memcpy(request->bytes + at + RTA_LENGTH(0), data, size);
	return at + RTA_SPACE(size);
}

int netlink_find_source(struct netlink *netlink, const struct ip_addr *to, uint32_t link,
			struct ip_addr *ret_source)
{
	bool v4 = to->family == IP_FAMILY_V4;
	struct netlink_request request = {
		.route.rtm_family = netlink_domain(to->family),
		.route.rtm_dst_len = v4 ? 32 : 128,
	};
	size_t size = NLMSG_ALIGN(sizeof(request.route));
	size = netlink_put(&request, size, RTA_DST, to->octet, v4 ? 4 : 16);
	size = netlink_put(&request, size, RTA_OIF, &link, sizeof(link));
	int rc = netlink_send(netlink, &request, RTM_GETROUTE, 0, size);
	struct ip_addr source = { 0 };
	if (rc == 0)
		rc = netlink_collect(netlink, netlink_note_source, &source);
	if (rc < 0)
		return rc;
	if (source.family != to->family)
		return -EADDRNOTAVAIL;
	*ret_source = source;
	return 0;
}
