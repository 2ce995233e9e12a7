/* TCP sockets: how connections begin and how they are torn. */

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "host/host_internal.h"
#include "host/watched_socket.h"

/* The fd or negative errno. */
static int tcp_socket_new(enum ip_family family)
{
	int fd = socket(host_real_domain((uint8_t)family),
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int on = 1;
	if (family == IP_FAMILY_V6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	return fd;
}

int tcp_socket_connect(struct host *host, struct host_socket *socket, const struct ip_endpoint *to)
{
	int fd = tcp_socket_new((enum ip_family)to->addr.family);
	if (fd < 0)
		return fd;
	struct sockaddr_storage sockaddr;
	uint32_t scope = host_real_scope(host_real_of(host), &to->addr);
	socklen_t size = ip_endpoint_to_scoped_sockaddr(to, scope, &sockaddr);
	if (connect(fd, (const struct sockaddr *)&sockaddr, size) < 0 && errno != EINPROGRESS) {
		int rc = -errno;
		fd_close(fd);
		return rc;
	}
	/* Only now: a socket that is not connecting yet reports EPOLLHUP. */
	return watched_socket_take(host, socket, WATCHED_SOCKET_TCP,
				   (enum ip_family)to->addr.family, fd);
}

int tcp_socket_result(struct host *host, struct host_socket *socket)
{
	(void)host;
	/* A socket that is still connecting is not writable, one that failed has an error. */
	if (socket->real.events & EPOLLOUT && !(socket->real.events & (EPOLLERR | EPOLLHUP)))
		return 0;
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	if (error)
		return -error;

	/* No error is not yet success: the handshake may be under way. */
	struct tcp_info info = { 0 };
	size = sizeof(info);
	if (getsockopt(socket->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return -errno;
	if (info.tcpi_state == TCP_SYN_SENT || info.tcpi_state == TCP_SYN_RECV)
		return -EINPROGRESS;
	if (info.tcpi_state == TCP_CLOSE) /* failed; the error was fetched before */
		return -ENOTCONN;
	return 0;
}

int tcp_socket_listen(struct host *host, struct host_socket *socket, const struct ip_endpoint *at,
		      struct ip_endpoint *ret_bound)
{
	enum ip_family family = (enum ip_family)at->addr.family;
	int fd = tcp_socket_new(family);
	if (fd < 0)
		return fd;
	int rc = 0;
	int on = 1;
	struct sockaddr_storage sockaddr;
	socklen_t size = ip_endpoint_to_sockaddr(at, &sockaddr);
	/* Accepted sockets inherit it. It fails on no TCP socket; were it to, the connections would
	 * still be right, only slower. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&sockaddr, size) < 0 || listen(fd, SOMAXCONN) < 0)
		rc = -errno;
	struct ip_endpoint bound;
	if (rc == 0)
		rc = host_real_local_endpoint(fd, &bound);
	if (rc < 0) {
		fd_close(fd);
		return rc;
	}
	rc = watched_socket_take(host, socket, WATCHED_SOCKET_LISTENER, family, fd);
	if (rc == 0 && ret_bound)
		*ret_bound = bound;
	return rc;
}

/* accept() also hands out what went wrong on the connection it would have returned (accept(2)):
 * such a connection is skipped. */
static bool tcp_socket_accept_goes_on(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

int tcp_socket_accept(struct host *host, struct host_socket *listener,
		      struct host_socket *ret_socket, struct ip_endpoint *ret_peer,
		      struct ip_endpoint *ret_local)
{
	struct sockaddr_storage sockaddr;
	int fd;
	do {
		socklen_t size = sizeof(sockaddr);
		fd = accept4(listener->fd, (struct sockaddr *)&sockaddr, &size,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && tcp_socket_accept_goes_on(errno));
	if (fd < 0)
		return -errno;

	struct ip_endpoint peer;
	struct ip_endpoint local = {};
	int rc = ip_endpoint_from_sockaddr(&sockaddr, &peer) ? 0 : -EAFNOSUPPORT;
	if (rc == 0 && ret_local)
		rc = host_real_local_endpoint(fd, &local);
	if (rc < 0) {
		fd_close(fd);
		return rc;
	}
	rc = watched_socket_take(host, ret_socket, WATCHED_SOCKET_TCP,
				 (enum ip_family)listener->real.family, fd);
	if (rc < 0)
		return rc;
	ret_socket->real.no_delay = true;
	*ret_peer = peer;
	if (ret_local)
		*ret_local = local;
	return 0;
}

/* close() resets. */
static const struct linger tcp_socket_abort = { .l_onoff = 1, .l_linger = 0 };

int tcp_socket_take(struct host *host, struct host_socket *socket, int fd,
		    struct ip_endpoint *ret_peer)
{
	struct sockaddr_storage sockaddr = { 0 };
	socklen_t size = sizeof(sockaddr);
	struct ip_endpoint peer = { 0 };
	int rc = fd_set_nonblocking(fd);

	if (rc == 0 && getpeername(fd, (struct sockaddr *)&sockaddr, &size) < 0)
		rc = -errno;
	if (rc == 0 && !ip_endpoint_from_sockaddr(&sockaddr, &peer))
		rc = -EAFNOSUPPORT;
	if (rc < 0) {
		fd_close(fd);
		return rc;
	}
	rc = watched_socket_take(host, socket, WATCHED_SOCKET_TCP, (enum ip_family)peer.addr.family,
				 fd);
	if (rc < 0)
		return rc;
	/* Fails on no TCP socket; were it to, a kill would look like an end. */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &tcp_socket_abort, sizeof(tcp_socket_abort));
	socket->real.dies_by_reset = true;
	*ret_peer = peer;
	return 0;
}

void tcp_socket_keep_alive(struct host *host, struct host_socket *socket)
{
	(void)host;
	int on = 1;
	/* Means nothing on a pair. */
	(void)setsockopt(socket->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

void tcp_socket_reset(struct host *host, struct host_socket *socket)
{
	if (socket->fd == -1)
		return;
	/* Means nothing on a pair; there the peer sees the end. */
	(void)setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &tcp_socket_abort,
			 sizeof(tcp_socket_abort));
	watched_socket_close(host, socket);
}

void tcp_socket_close(struct host *host, struct host_socket *socket)
{
	const struct linger orderly = { .l_onoff = 0 };

	if (socket->fd != -1 && socket->real.dies_by_reset)
		(void)setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &orderly, sizeof(orderly));
	watched_socket_close(host, socket);
}
