/* Bytes in and out of stream sockets: TCP, and pairs inside the process. */

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "host/host_internal.h"
#include "host/watched_socket.h"

/* recvmsg() takes at most UIO_MAXIOV pieces; fewer bytes than asked is always allowed. */
static size_t stream_socket_count(size_t count)
{
	return count < IOV_MAX ? count : IOV_MAX;
}

static ssize_t stream_socket_read(int fd, const struct iovec *iov, size_t count, int flags)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, /* only read by the kernel */
		.msg_iovlen = stream_socket_count(count),
	};
	ssize_t got;
	do
		got = recvmsg(fd, &message, flags | MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

ssize_t stream_socket_receive(struct host *host, struct host_socket *socket,
			      const struct iovec *iov, size_t count)
{
	(void)host;
	return stream_socket_read(socket->fd, iov, count, 0);
}

int stream_socket_set_peek_offset(struct host *host, struct host_socket *socket, size_t offset)
{
	(void)host;
	if (offset > INT_MAX)
		return -EINVAL;
	int value = (int)offset;
	if (setsockopt(socket->fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)) < 0)
		return -errno;
	socket->real.peek_offset_set = true;
	return 0;
}

ssize_t stream_socket_peek(struct host *host, struct host_socket *socket, const struct iovec *iov,
			   size_t count)
{
	/* A new socket has no offset (-1), and each peek would begin at the head again. */
	if (!socket->real.peek_offset_set) {
		int rc = stream_socket_set_peek_offset(host, socket, 0);
		if (rc < 0)
			return rc;
	}
	return stream_socket_read(socket->fd, iov, count, MSG_PEEK);
}

/* MSG_TRUNC does not throw bytes away on an AF_UNIX stream: they are read into nowhere. */
static ssize_t stream_socket_discard_pair(int fd, size_t size)
{
	char scratch[8192];
	size_t taken = 0;
	while (taken < size) {
		size_t left = size - taken;
		struct iovec iov = {
			.iov_base = scratch,
			.iov_len = left < sizeof(scratch) ? left : sizeof(scratch),
		};
		ssize_t got = stream_socket_read(fd, &iov, 1, 0);
		if (got < 0)
			return taken ? (ssize_t)taken : got;
		if (got == 0)
			break;
		taken += (size_t)got;
	}
	return (ssize_t)taken;
}

ssize_t stream_socket_discard(struct host *host, struct host_socket *socket, size_t size)
{
	(void)host;
	if (size == 0)
		return 0;
	if (socket->real.kind == WATCHED_SOCKET_PAIR)
		return stream_socket_discard_pair(socket->fd, size);
	ssize_t taken;
	do
		/* cppcheck-suppress nullPointer ; MSG_TRUNC throws the bytes away */
		taken = recv(socket->fd, NULL, size, MSG_TRUNC | MSG_DONTWAIT);
	while (taken < 0 && errno == EINTR);
	return taken < 0 ? -errno : taken;
}

/* The least that any path carries in one segment (RFC 9293 3.7.1). */
#define STREAM_SOCKET_ONE_SEGMENT 536

static bool stream_socket_is_one_segment(const struct iovec *iov, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count && size <= STREAM_SOCKET_ONE_SEGMENT; i++)
		size += iov[i].iov_len;
	return size <= STREAM_SOCKET_ONE_SEGMENT;
}

/* A first segment leaves at once whatever Nagle's algorithm thinks, since nothing before it is
 * unacknowledged (RFC 1122 4.2.3.4). So a connection that asks one short question does without the
 * option and its system call. */
static void stream_socket_mind_delay(struct host_socket *socket, const struct iovec *iov,
				     size_t count)
{
	int on = 1;

	if (socket->real.kind != WATCHED_SOCKET_TCP || socket->real.no_delay)
		return;
	if (!socket->real.sent && stream_socket_is_one_segment(iov, count)) {
		socket->real.sent = true;
		return;
	}
	/* Fails on no TCP socket; were it to, the connection would still be right, only slower. */
	(void)setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	socket->real.no_delay = true;
}

ssize_t stream_socket_send(struct host *host, struct host_socket *socket, const struct iovec *iov,
			   size_t count)
{
	(void)host;
	stream_socket_mind_delay(socket, iov, count);
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, /* only read by the kernel */
		.msg_iovlen = stream_socket_count(count),
	};
	ssize_t sent;
	do
		sent = sendmsg(socket->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

int stream_socket_finish(struct host *host, struct host_socket *socket)
{
	(void)host;
	return shutdown(socket->fd, SHUT_WR) < 0 ? -errno : 0;
}

int stream_socket_pair(struct host *host, struct host_socket *a, struct host_socket *b)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	int rc = watched_socket_take(host, a, WATCHED_SOCKET_PAIR, IP_FAMILY_NONE, fds[0]);
	if (rc < 0) {
		fd_close(fds[1]);
		return rc;
	}
	rc = watched_socket_take(host, b, WATCHED_SOCKET_PAIR, IP_FAMILY_NONE, fds[1]);
	if (rc < 0)
		watched_socket_close(host, a);
	return rc;
}
