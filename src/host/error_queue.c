/* What came back for our datagrams: the error queue of UDP and echo sockets (ip(7), IP_RECVERR). */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
/* Needs struct timespec from above. */
#include <linux/errqueue.h>

#include "host/echo_socket.h"
#include "host/host_internal.h"
#include "host/watched_socket.h"

union error_queue_control {
	struct cmsghdr align;
	char bytes[512]; /* the error with its sender; address, TTL and TOS may come along */
};

/* The kernel's two structures, copied out of the ancillary data. */
struct error_queue_entry {
	struct sock_extended_err error;
	struct ip_endpoint offender; /* family NONE when not known */
};

static bool error_queue_find(struct msghdr *message, struct error_queue_entry *ret_entry)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item;
	     item = CMSG_NXTHDR(message, item)) {
		bool v4 = item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_RECVERR;
		bool v6 = item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_RECVERR;
		size_t error_size = sizeof(ret_entry->error);
		if ((!v4 && !v6) || item->cmsg_len < CMSG_LEN(error_size))
			continue;
		memcpy(&ret_entry->error, CMSG_DATA(item), error_size);

		/* SO_EE_OFFENDER: right behind the structure. */
		ret_entry->offender = (struct ip_endpoint){ 0 };
		struct sockaddr_storage sockaddr = { 0 };
		size_t rest = item->cmsg_len - CMSG_LEN(error_size);
		if (rest > sizeof(sockaddr))
			rest = sizeof(sockaddr);
		memcpy(&sockaddr, CMSG_DATA(item) + error_size, rest);
		if (!ip_endpoint_from_sockaddr(&sockaddr, &ret_entry->offender))
			ret_entry->offender = (struct ip_endpoint){ 0 };
		return true;
	}
	return false;
}

/* False for entries that are no errors of the way (time stamps, zero copy). */
static bool error_queue_convert(const struct error_queue_entry *entry,
				struct host_icmp_error *ret_error)
{
	const struct sock_extended_err *error = &entry->error;
	bool local = error->ee_origin == SO_EE_ORIGIN_LOCAL;
	if (!local && error->ee_origin != SO_EE_ORIGIN_ICMP &&
	    error->ee_origin != SO_EE_ORIGIN_ICMP6)
		return false;
	ret_error->error = (int)error->ee_errno;
	ret_error->mtu = error->ee_errno == EMSGSIZE ? error->ee_info : 0;
	if (!local) {
		ret_error->origin = entry->offender.addr;
		ret_error->type = error->ee_type;
		ret_error->code = error->ee_code;
	}
	return true;
}

static bool error_queue_is_echo(const struct host_socket *socket)
{
	return socket->real.kind == WATCHED_SOCKET_PING ||
	       socket->real.kind == WATCHED_SOCKET_RAW_ECHO;
}

/* Takes one entry out. 1 = it is in *ret_error, 0 = it was not for us, else negative errno. */
static int error_queue_take(struct host_socket *socket, struct host_icmp_error *ret_error,
			    uint16_t *ret_sequence, void *buffer, size_t size)
{
	bool echo = error_queue_is_echo(socket);
	uint8_t bytes[ECHO_SOCKET_HEADER_SIZE] = { 0 };
	struct iovec iov[] = {
		{ .iov_base = bytes, .iov_len = echo ? sizeof(bytes) : 0 },
		{ .iov_base = buffer, .iov_len = size },
	};
	struct sockaddr_storage sockaddr = { 0 };
	union error_queue_control control;
	struct msghdr message = {
		.msg_name = &sockaddr,
		.msg_namelen = sizeof(sockaddr),
		.msg_iov = iov,
		.msg_iovlen = ARRAY_COUNT(iov),
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(socket->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	if (got < 0)
		return -errno;

	struct error_queue_entry entry;
	struct host_icmp_error error = { 0 };
	if (!error_queue_find(&message, &entry) || !error_queue_convert(&entry, &error) ||
	    !ip_endpoint_from_sockaddr(&sockaddr, &error.remote))
		return 0;
	size_t came = (size_t)got;
	uint16_t sequence = 0;
	/* An error of the local kernel brings no bytes of the packet. */
	if (echo && error.origin.family != IP_FAMILY_NONE) {
		struct echo_header header = echo_header_parse(bytes);
		if (came < sizeof(bytes) || header.type != echo_request_type(socket->real.family) ||
		    header.ident != socket->real.ident)
			return 0; /* a raw socket hears of everybody's packets */
		came -= sizeof(bytes);
		sequence = header.sequence;
	}
	if (echo)
		error.remote.port = 0;
	error.payload_size = came;
	*ret_error = error;
	if (ret_sequence)
		*ret_sequence = sequence;
	return 1;
}

int error_queue_receive(struct host *host, struct host_socket *socket,
			struct host_icmp_error *ret_error, uint16_t *ret_sequence, void *buffer,
			size_t size)
{
	(void)host;
	/* Ends: each turn takes an entry out of a queue that the kernel bounds. */
	for (;;) {
		int rc = error_queue_take(socket, ret_error, ret_sequence, buffer, size);
		if (rc > 0)
			return 0;
		if (rc == -EINTR)
			continue;
		if (rc < 0) {
			int error;
			socklen_t error_size = sizeof(error);
			/* Fetching it clears it. */
			(void)getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
			return rc;
		}
	}
}
