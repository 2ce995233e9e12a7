#include "netns/link_config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"

#define REQUEST_SIZE ((size_t)256)

/* One request, put together from its start. The kernel wants everything at multiples of 4. */
struct request {
	union {
		struct nlmsghdr header;
		uint8_t bytes[REQUEST_SIZE];
	};
	size_t size;
};

/* Ours alone and of known sizes: it fits. */
static void request_put(struct request *request, const void *data, size_t size)
{
	size_t aligned = NLMSG_ALIGN(size);

	assert(aligned <= REQUEST_SIZE - request->size);
	memcpy(request->bytes + request->size, data, size);
	request->size += aligned;
}

static void request_init(struct request *request, uint16_t type, uint16_t flags, const void *body,
			 size_t size)
{
	*request = (struct request){
		.header = { .nlmsg_type = type,
			    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags) },
		.size = sizeof(request->header),
	};
	request_put(request, body, size);
}

static void request_attribute(struct request *request, uint16_t type, const void *data, size_t size)
{
	const struct rtattr header = { .rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = type };

	request_put(request, &header, sizeof(header));
	request_put(request, data, size);
}

static void request_u32(struct request *request, uint16_t type, uint32_t value)
{
	request_attribute(request, type, &value, sizeof(value));
}

static void request_ipv4(struct request *request, uint16_t type, uint32_t address)
{
	request_u32(request, type, htonl(address));
}

/* Asks the kernel and takes its answer, which is there when send() returns. 0 or negative errno. */
static int request_do(int netlink_fd, struct request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer;
	/* What does not fit, our own request quoted in full, is cut off. */
	struct iovec piece = { .iov_base = &answer, .iov_len = sizeof(answer) };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	ssize_t size;

	request->header.nlmsg_len = (uint32_t)request->size;
	if (send(netlink_fd, request->bytes, request->size, 0) < 0)
		return -errno;
	do {
		size = recvmsg(netlink_fd, &message, 0);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	if ((size_t)size < sizeof(answer) || answer.header.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

static void link_request(struct request *request, unsigned index)
{
	const struct ifinfomsg body = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = (int)index,
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP,
	};

	request_init(request, RTM_NEWLINK, 0, &body, sizeof(body));
}

static int raise_loopback(int netlink_fd)
{
	struct request request;
	unsigned index = if_nametoindex("lo");

	if (index == 0)
		return -errno;
	link_request(&request, index);
	return request_do(netlink_fd, &request);
}

/* In one request: the kernel sets MAC and MTU before it raises the interface. */
static int raise_interface(int netlink_fd, unsigned index, const struct link_config *config)
{
	struct request request;

	link_request(&request, index);
	request_attribute(&request, IFLA_ADDRESS, config->mac.octet, sizeof(config->mac.octet));
	request_u32(&request, IFLA_MTU, config->mtu);
	return request_do(netlink_fd, &request);
}

static int add_address(int netlink_fd, unsigned index, const struct ip_prefix *address)
{
	const struct ifaddrmsg body = {
		.ifa_family = AF_INET,
		.ifa_prefixlen = address->length,
		.ifa_index = index,
	};
	struct request request;

	request_init(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));
	request_ipv4(&request, IFA_LOCAL, ip_addr_to_v4(&address->addr));
	request_ipv4(&request, IFA_ADDRESS, ip_addr_to_v4(&address->addr));
	request_ipv4(&request, IFA_BROADCAST, ip_prefix_last_v4(address));
	return request_do(netlink_fd, &request);
}

static int add_default_route(int netlink_fd, unsigned index, const struct ip_addr *gateway)
{
	const struct rtmsg body = {
		.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	struct request request;

	request_init(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));
	request_ipv4(&request, RTA_GATEWAY, ip_addr_to_v4(gateway));
	request_u32(&request, RTA_OIF, index);
	return request_do(netlink_fd, &request);
}

static int apply(int netlink_fd, const char *interface, const struct link_config *config,
		 struct error *err)
{
	const char *what = "loopback";
	unsigned index = if_nametoindex(interface);

	int r = index == 0 ? -errno : raise_loopback(netlink_fd);
	if (r == 0) {
		what = "MAC address and MTU";
		r = raise_interface(netlink_fd, index, config);
	}
	if (r == 0 && config->address.addr.family != IP_FAMILY_NONE) {
		what = "address";
		r = add_address(netlink_fd, index, &config->address);
		if (r == 0 && config->gateway.family != IP_FAMILY_NONE) {
			what = "default route";
			r = add_default_route(netlink_fd, index, &config->gateway);
		}
	}
	if (r == -EEXIST)
		error_set(err,
			  "cannot configure the interface %s: the network namespace has a %s "
			  "already (--no-config leaves it as it is)",
			  interface, what);
	else if (r < 0)
		error_set(err, "cannot configure the interface %s: %s: %s", interface, what,
			  strerror(-r));
	return r;
}

int link_config_apply(const char *interface, const struct link_config *config, struct error *err)
{
	autoclose int netlink_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (netlink_fd < 0) {
		int r = -errno;
		error_set(err, "cannot configure the interface %s: netlink: %s", interface,
			  strerror(-r));
		return r;
	}
	return apply(netlink_fd, interface, config, err);
}
