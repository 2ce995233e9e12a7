/*
 * Echo sockets. A ping socket where the kernel lets us have one: it picks the identifier (its
 * "port"), fills in checksums and gives only replies to it. Else a raw socket, where all that is
 * ours: the kernel is told to filter by type and by identifier, so that other people's pings do
 * not wake us.
 */
#include "host/echo_socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/random.h"
#include "host/datagram.h"
#include "host/host_internal.h"
#include "host/watched_socket.h"
#include "wire/checksum.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define ECHO_SOCKET_IOV_MAX   64
#define ECHO_SOCKET_IP_HEADER 20

struct echo_header echo_header_parse(const uint8_t bytes[ECHO_SOCKET_HEADER_SIZE])
{
	struct reader reader = reader_of(bytes, ECHO_SOCKET_HEADER_SIZE);
	struct echo_header header = { .type = reader_u8(&reader) };
	header.code = reader_u8(&reader);
	header.checksum = reader_u16(&reader);
	header.ident = reader_u16(&reader);
	header.sequence = reader_u16(&reader);
	return header;
}

uint8_t echo_request_type(uint8_t family)
{
	return family == IP_FAMILY_V4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
}

uint8_t echo_reply_type(uint8_t family)
{
	return family == IP_FAMILY_V4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
}

/* Only replies with that identifier. An IPv4 raw socket sees the IP header first. */
static int echo_socket_filter(int fd, enum ip_family family, uint16_t ident)
{
	struct sock_filter v4[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ident, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_filter v6[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ident, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	bool is_v4 = family == IP_FAMILY_V4;
	struct sock_fprog program = {
		.len = is_v4 ? ARRAY_COUNT(v4) : ARRAY_COUNT(v6),
		.filter = is_v4 ? v4 : v6,
	};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;

	int rc;
	if (is_v4) {
		struct icmp_filter only = { .data = ~(1U << ICMP_ECHOREPLY) };
		rc = setsockopt(fd, SOL_RAW, ICMP_FILTER, &only, sizeof(only));
	} else {
		struct icmp6_filter only;
		ICMP6_FILTER_SETBLOCKALL(&only);
		ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &only);
		rc = setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &only, sizeof(only));
	}
	return rc < 0 ? -errno : 0;
}

static int echo_socket_prepare_raw(int fd, enum ip_family family, uint16_t *ret_ident)
{
	uint16_t ident = (uint16_t)random_u32(&random_system);
	int rc = echo_socket_filter(fd, family, ident);
	if (rc < 0)
		return rc;
	*ret_ident = ident;
	return 0;
}

/* Binding to port 0 makes the kernel pick the identifier now, not at the first send. */
static int echo_socket_prepare_ping(int fd, enum ip_family family, uint16_t *ret_ident)
{
	struct ip_endpoint any = { .addr.family = (uint8_t)family };
	struct sockaddr_storage sockaddr;
	socklen_t size = ip_endpoint_to_sockaddr(&any, &sockaddr);
	if (bind(fd, (const struct sockaddr *)&sockaddr, size) < 0)
		return -errno;
	struct ip_endpoint bound;
	int rc = host_real_local_endpoint(fd, &bound);
	if (rc == 0)
		*ret_ident = bound.port;
	return rc;
}

/* Tries both kinds. -EACCES when neither is allowed. */
static int echo_socket_new(enum ip_family family, enum watched_socket_kind *ret_kind)
{
	int domain = host_real_domain((uint8_t)family);
	int protocol = family == IP_FAMILY_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	int fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	*ret_kind = WATCHED_SOCKET_PING;
	if (fd >= 0)
		return fd;
	if (errno != EACCES && errno != EPERM && errno != EPROTONOSUPPORT)
		return -errno;
	fd = socket(domain, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	*ret_kind = WATCHED_SOCKET_RAW_ECHO;
	if (fd >= 0)
		return fd;
	return errno == EPERM ? -EACCES : -errno;
}

static void echo_socket_say_refused(struct host_real *real)
{
	if (real->echo_refused)
		return;
	real->echo_refused = true;
	log_write(real->log, LOG_LEVEL_WARNING,
		  "host: ping is not allowed here, guests will get no echo replies from outside; "
		  "sysctl net.ipv4.ping_group_range must contain a group of this user");
}

int echo_socket_open(struct host *host, struct host_socket *socket, enum ip_family family,
		     uint16_t *ret_ident)
{
	enum watched_socket_kind kind;
	int fd = echo_socket_new(family, &kind);
	if (fd == -EACCES)
		echo_socket_say_refused(host_real_of(host));
	if (fd < 0)
		return fd;
	uint16_t ident = 0;
	int rc = datagram_configure(fd, family);
	if (rc == 0)
		rc = kind == WATCHED_SOCKET_PING ? echo_socket_prepare_ping(fd, family, &ident)
						 : echo_socket_prepare_raw(fd, family, &ident);
	if (rc < 0) {
		fd_close(fd);
		return rc;
	}
	rc = watched_socket_take(host, socket, kind, family, fd);
	if (rc < 0)
		return rc;
	socket->real.ident = ident;
	*ret_ident = ident;
	return 0;
}

ssize_t echo_socket_send(struct host *host, struct host_socket *socket,
			 const struct host_datagram *datagram, uint16_t sequence,
			 const struct iovec *iov, size_t count)
{
	(void)host;
	if (count >= ECHO_SOCKET_IOV_MAX)
		return -EINVAL;
	uint8_t header[ECHO_SOCKET_HEADER_SIZE] = { 0 };
	header[0] = echo_request_type(socket->real.family);
	header[4] = (uint8_t)(socket->real.ident >> 8);
	header[5] = (uint8_t)socket->real.ident;
	header[6] = (uint8_t)(sequence >> 8);
	header[7] = (uint8_t)sequence;

	struct iovec all[ECHO_SOCKET_IOV_MAX];
	all[0] = (struct iovec){ .iov_base = header, .iov_len = sizeof(header) };
	for (size_t i = 0; i < count; i++)
		all[i + 1] = iov[i];
	/* Of an ICMPv6 raw socket the kernel fills it in (RFC 3542 3.1). */
	if (socket->real.kind == WATCHED_SOCKET_RAW_ECHO && socket->real.family == IP_FAMILY_V4) {
		uint16_t sum = checksum_finish(checksum_add_iov(0, all, count + 1, false));
		header[2] = (uint8_t)(sum >> 8);
		header[3] = (uint8_t)sum;
	}
	ssize_t sent = datagram_send(socket, datagram, 0, 0, all, count + 1);
	return sent < (ssize_t)sizeof(header) ? sent : sent - (ssize_t)sizeof(header);
}

/* Is it a reply to us? A raw socket may hold what came before its filters were set. */
static bool echo_socket_is_ours(const struct host_socket *socket, const struct echo_header *header)
{
	return header->type == echo_reply_type(socket->real.family) && header->code == 0 &&
	       header->ident == socket->real.ident;
}

ssize_t echo_socket_receive(struct host *host, struct host_socket *socket,
			    struct host_datagram *ret_datagram, uint16_t *ret_sequence,
			    void *buffer, size_t size)
{
	(void)host;
	uint8_t ip[ECHO_SOCKET_IP_HEADER];
	uint8_t bytes[ECHO_SOCKET_HEADER_SIZE];
	bool with_ip =
		socket->real.kind == WATCHED_SOCKET_RAW_ECHO && socket->real.family == IP_FAMILY_V4;
	struct iovec iov[] = {
		{ .iov_base = ip, .iov_len = with_ip ? sizeof(ip) : 0 },
		{ .iov_base = bytes, .iov_len = sizeof(bytes) },
		{ .iov_base = buffer, .iov_len = size },
	};
	size_t headers = iov[0].iov_len + iov[1].iov_len;
	for (;;) {
		struct host_datagram datagram;
		ssize_t got = datagram_receive(socket, &datagram, iov, ARRAY_COUNT(iov));
		if (got < 0)
			return got;
		if ((size_t)got < headers)
			continue;
		/* A reply with IP options is dropped: its data would begin elsewhere. */
		if (with_ip && (ip[0] & 0x0f) * 4 != ECHO_SOCKET_IP_HEADER)
			continue;
		struct echo_header header = echo_header_parse(bytes);
		if (!echo_socket_is_ours(socket, &header))
			continue;
		datagram.size -= headers;
		datagram.remote.port = 0;
		*ret_datagram = datagram;
		*ret_sequence = header.sequence;
		return datagram.size > size ? (ssize_t)size : (ssize_t)datagram.size;
	}
}
