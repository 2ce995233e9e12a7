#include "host/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "host/watched_socket.h"

/* The smallest MTU that every link has (RFC 791, RFC 8200 5): below it, EMSGSIZE can only be the
 * pending error of another datagram. */
#define DATAGRAM_SAFE_SIZE_V4 (576 - 60 - 8)
#define DATAGRAM_SAFE_SIZE_V6 (1280 - 40 - 8)

/* Values of host_socket.real.dont_fragment. */
enum datagram_df {
	DATAGRAM_DF_OFF, /* datagram_configure() left it so */
	DATAGRAM_DF_ON,
};

static int datagram_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int datagram_configure(int fd, enum ip_family family)
{
	static const struct {
		int option;
		int value;
	} v4[] = {
		{ IP_PKTINFO, 1 }, { IP_RECVTTL, 1 },			{ IP_RECVTOS, 1 },
		{ IP_RECVERR, 1 }, { IP_MTU_DISCOVER, IP_PMTUDISC_DONT },
	}, v6[] = {
		{ IPV6_RECVPKTINFO, 1 }, { IPV6_RECVHOPLIMIT, 1 },
		{ IPV6_RECVTCLASS, 1 },	 { IPV6_RECVERR, 1 },
		{ IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT },
	};
	_Static_assert(ARRAY_COUNT(v4) == ARRAY_COUNT(v6), "the same questions for both");
	for (size_t i = 0; i < ARRAY_COUNT(v4); i++) {
		int rc = family == IP_FAMILY_V4
				 ? datagram_set(fd, IPPROTO_IP, v4[i].option, v4[i].value)
				 : datagram_set(fd, IPPROTO_IPV6, v6[i].option, v6[i].value);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int datagram_set_df(struct host_socket *socket, bool dont_fragment)
{
	uint8_t df = dont_fragment ? DATAGRAM_DF_ON : DATAGRAM_DF_OFF;
	if (socket->real.dont_fragment == df)
		return 0;
	int rc = socket->real.family == IP_FAMILY_V4
			 ? datagram_set(socket->fd, IPPROTO_IP, IP_MTU_DISCOVER,
					dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT)
			 : datagram_set(socket->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
					dont_fragment ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT);
	if (rc == 0)
		socket->real.dont_fragment = df;
	return rc;
}

void datagram_add_control(struct msghdr *message, int level, int type, const void *data,
			  size_t size)
{
	struct cmsghdr header = {
		.cmsg_len = CMSG_LEN(size),
		.cmsg_level = level,
		.cmsg_type = type,
	};
	char *at = (char *)message->msg_control + message->msg_controllen;
	if (sizeof(union datagram_control) - message->msg_controllen < CMSG_SPACE(size))
		return; /* never: the buffer has a slot for each */
	memcpy(at, &header, sizeof(header));
	memcpy(at + CMSG_LEN(0), data, size);
	message->msg_controllen += CMSG_SPACE(size);
}

void datagram_fill_control(struct msghdr *message, union datagram_control *control,
			   const struct host_datagram *datagram, bool v4)
{
	memset(control, 0, sizeof(*control));
	message->msg_control = control->bytes;
	message->msg_controllen = 0;
	if (datagram->local.family == IP_FAMILY_V4) {
		struct in_pktinfo info = { 0 };
		memcpy(&info.ipi_spec_dst, datagram->local.octet, sizeof(info.ipi_spec_dst));
		datagram_add_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else if (datagram->local.family == IP_FAMILY_V6) {
		struct in6_pktinfo info = { 0 };
		memcpy(&info.ipi6_addr, datagram->local.octet, sizeof(info.ipi6_addr));
		datagram_add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (datagram->ttl) {
		int ttl = datagram->ttl;
		datagram_add_control(message, v4 ? IPPROTO_IP : IPPROTO_IPV6,
				     v4 ? IP_TTL : IPV6_HOPLIMIT, &ttl, sizeof(ttl));
	}
	if (datagram->tos) {
		int tos = datagram->tos;
		datagram_add_control(message, v4 ? IPPROTO_IP : IPPROTO_IPV6,
				     v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof(tos));
	}
	if (message->msg_controllen == 0)
		message->msg_control = NULL;
}

/* What ICMP errors turn into (icmp_err_convert and icmpv6_err_convert in Linux). */
bool datagram_error_may_be_pending(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENONET:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case EPROTO:
	case EACCES:
	case EMSGSIZE:
		return true;
	default:
		return false;
	}
}

static size_t datagram_iov_size(const struct iovec *iov, size_t count)
{
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += iov[i].iov_len;
	return size;
}

/* An oversized datagram with DF must not be tried twice: each try leaves an entry with the MTU in
 * the error queue. The price: one such datagram in a thousand may be lost to another's error. */
bool datagram_send_again(const struct host_datagram *datagram, size_t size, bool v4, int error)
{
	if (!datagram_error_may_be_pending(error))
		return false;
	if (error != EMSGSIZE || !datagram->dont_fragment)
		return true;
	return size <= (v4 ? DATAGRAM_SAFE_SIZE_V4 : DATAGRAM_SAFE_SIZE_V6);
}

int datagram_check_family(const struct host_socket *socket, const struct host_datagram *datagram)
{
	uint8_t family = socket->real.family;
	if (datagram->remote.addr.family != family ||
	    (datagram->local.family != IP_FAMILY_NONE && datagram->local.family != family))
		return -EAFNOSUPPORT;
	return 0;
}

ssize_t datagram_send(struct host_socket *socket, const struct host_datagram *datagram,
		      uint16_t port, uint32_t scope, const struct iovec *iov, size_t count)
{
	int rc = datagram_check_family(socket, datagram);
	if (rc == 0)
		rc = datagram_set_df(socket, datagram->dont_fragment);
	if (rc < 0)
		return rc;

	bool v4 = socket->real.family == IP_FAMILY_V4;
	struct ip_endpoint to = { .addr = datagram->remote.addr, .port = port };
	struct sockaddr_storage sockaddr;
	union datagram_control control;
	struct msghdr message = {
		.msg_name = &sockaddr,
		.msg_namelen = ip_endpoint_to_scoped_sockaddr(&to, scope, &sockaddr),
		.msg_iov = (struct iovec *)(uintptr_t)iov, /* only read by the kernel */
		.msg_iovlen = count,
	};
	datagram_fill_control(&message, &control, datagram, v4);

	ssize_t sent = sendmsg(socket->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && datagram_send_again(datagram, datagram_iov_size(iov, count), v4, errno))
		sent = sendmsg(socket->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sent < 0 ? -errno : sent;
}

/* The first byte of an int or of a uint8_t: the kernel writes either. */
static uint8_t datagram_small_number(const struct cmsghdr *item)
{
	int number = 0;
	uint8_t byte = 0;
	if (item->cmsg_len >= CMSG_LEN(sizeof(number)))
		memcpy(&number, CMSG_DATA(item), sizeof(number));
	else if (item->cmsg_len >= CMSG_LEN(sizeof(byte)))
		memcpy(&byte, CMSG_DATA(item), sizeof(byte));
	return number > 0 && number <= UINT8_MAX ? (uint8_t)number : byte;
}

static void datagram_read_control_v4(const struct cmsghdr *item, uint8_t kind,
				     struct host_datagram *datagram)
{
	if (item->cmsg_type == IP_TTL) {
		datagram->ttl = datagram_small_number(item);
	} else if (item->cmsg_type == IP_TOS) {
		datagram->tos = datagram_small_number(item);
	} else if (item->cmsg_type == IP_PKTINFO &&
		   item->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
		/* ipi_addr may be a group or a broadcast, which nobody can answer from. Not so on
		 * ping sockets, where Linux does not set ipi_spec_dst. */
		struct in_pktinfo info;
		memcpy(&info, CMSG_DATA(item), sizeof(info));
		struct in_addr local =
			kind == WATCHED_SOCKET_PING ? info.ipi_addr : info.ipi_spec_dst;
		datagram->local = ip_addr_from_v4(ntohl(local.s_addr));
	}
}

static void datagram_read_control_v6(const struct cmsghdr *item, struct host_datagram *datagram)
{
	if (item->cmsg_type == IPV6_HOPLIMIT) {
		datagram->ttl = datagram_small_number(item);
	} else if (item->cmsg_type == IPV6_TCLASS) {
		datagram->tos = datagram_small_number(item);
	} else if (item->cmsg_type == IPV6_PKTINFO &&
		   item->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
		struct in6_pktinfo info;
		memcpy(&info, CMSG_DATA(item), sizeof(info));
		struct ip_addr local = ip_addr_from_v6(info.ipi6_addr.s6_addr);
		if (!ip_addr_is_multicast(&local))
			datagram->local = local;
	}
}

/* What the kernel put together is told apart again by its size (UDP_GRO). */
static void datagram_read_segment_size(const struct cmsghdr *item, struct host_datagram *datagram)
{
	int size = 0;
	if (item->cmsg_type != UDP_GRO || item->cmsg_len < CMSG_LEN(sizeof(size)))
		return;
	memcpy(&size, CMSG_DATA(item), sizeof(size));
	if (size > 0 && (size_t)size < datagram->size)
		datagram->segment_size = (uint16_t)size;
}

static void datagram_read_control(struct msghdr *message, uint8_t kind,
				  struct host_datagram *datagram)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item;
	     item = CMSG_NXTHDR(message, item)) {
		if (item->cmsg_level == IPPROTO_IP)
			datagram_read_control_v4(item, kind, datagram);
		else if (item->cmsg_level == IPPROTO_IPV6)
			datagram_read_control_v6(item, datagram);
		else if (item->cmsg_level == IPPROTO_UDP)
			datagram_read_segment_size(item, datagram);
	}
}

bool datagram_read(struct msghdr *message, size_t got, uint8_t kind,
		   struct host_datagram *ret_datagram)
{
	struct host_datagram datagram = { .size = got };
	size_t room = datagram_iov_size(message->msg_iov, message->msg_iovlen);
	/* Ping sockets say that something is missing, but not how much. */
	if ((message->msg_flags & MSG_TRUNC) && datagram.size <= room)
		datagram.size = room + 1;
	if (!ip_endpoint_from_sockaddr(message->msg_name, &datagram.remote))
		return false;
	datagram_read_control(message, kind, &datagram);
	*ret_datagram = datagram;
	return true;
}

ssize_t datagram_receive(struct host_socket *socket, struct host_datagram *ret_datagram,
			 const struct iovec *iov, size_t count)
{
	struct sockaddr_storage sockaddr;
	union datagram_control control;
	struct msghdr message;
	ssize_t got = -1;
	for (int i = 0; i < DATAGRAM_RECEIVE_TRIES; i++) {
		message = (struct msghdr){
			.msg_name = &sockaddr,
			.msg_namelen = sizeof(sockaddr),
			.msg_iov = (struct iovec *)(uintptr_t)iov, /* the array is not changed */
			.msg_iovlen = count,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control),
		};
		got = recvmsg(socket->fd, &message, MSG_TRUNC | MSG_DONTWAIT);
		if (got >= 0 || (errno != EINTR && !datagram_error_may_be_pending(errno)))
			break;
	}
	if (got < 0)
		return -errno;

	if (!datagram_read(&message, (size_t)got, socket->real.kind, ret_datagram))
		return -EAFNOSUPPORT;
	return (ssize_t)ret_datagram->size;
}
