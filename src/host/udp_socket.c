/* UDP sockets: unconnected, any number of peers. */

#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "host/datagram.h"
#include "host/host_internal.h"
#include "host/watched_socket.h"

static int udp_socket_bind(int fd, const struct ip_endpoint *at, struct ip_endpoint *ret_bound)
{
	enum ip_family family = (enum ip_family)at->addr.family;
	int on = 1;
	if (family == IP_FAMILY_V6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	int rc = datagram_configure(fd, family);
	if (rc < 0)
		return rc;
	struct sockaddr_storage sockaddr;
	socklen_t size = ip_endpoint_to_sockaddr(at, &sockaddr);
	if (bind(fd, (const struct sockaddr *)&sockaddr, size) < 0)
		return -errno;
	return host_real_local_endpoint(fd, ret_bound);
}

static int udp_socket_new(const struct ip_endpoint *at, struct ip_endpoint *ret_bound)
{
	int fd = socket(host_real_domain(at->addr.family),
			SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int rc = udp_socket_bind(fd, at, ret_bound);
	if (rc == 0)
		return fd;
	fd_close(fd);
	return rc;
}

int udp_socket_open(struct host *host, struct host_socket *socket, const struct ip_endpoint *at,
		    struct ip_endpoint *ret_bound)
{
	struct host_real *real = host_real_of(host);
	enum ip_family family = (enum ip_family)at->addr.family;
	struct ip_endpoint bound;
	if (at->port == 0 && !local_ports_may_ask(&real->udp_ports, family, loop_now(real->loop)))
		return -EADDRINUSE;
	int fd = udp_socket_new(at, &bound);
	if (fd == -EADDRINUSE && at->port == 0)
		local_ports_ended(&real->udp_ports, family, loop_now(real->loop));
	if (fd < 0)
		return fd;
	int rc = watched_socket_take(host, socket, WATCHED_SOCKET_UDP, family, fd);
	if (rc == 0 && ret_bound)
		*ret_bound = bound;
	return rc;
}

ssize_t udp_socket_send(struct host *host, struct host_socket *socket,
			const struct host_datagram *datagram, const struct iovec *iov, size_t count)
{
	return datagram_send(socket, datagram, datagram->remote.port,
			     host_real_scope(host_real_of(host), &datagram->remote.addr), iov,
			     count);
}

size_t udp_socket_send_batch(struct host *host, struct host_socket *socket,
			     const struct host_outgoing *batch, size_t count, int *ret_error)
{
	return datagram_send_batch(&host_real_of(host)->datagrams.sending, socket, batch, count,
				   ret_error);
}

ssize_t udp_socket_receive(struct host *host, struct host_socket *socket,
			   struct host_datagram *ret_datagram, void *buffer, size_t size)
{
	(void)host;
	struct iovec iov = { .iov_base = buffer, .iov_len = size };
	ssize_t got = datagram_receive(socket, ret_datagram, &iov, 1);
	return got > (ssize_t)size ? (ssize_t)size : got;
}

ssize_t udp_socket_receive_batch(struct host *host, struct host_socket *socket,
				 struct host_datagram *ret_datagrams, void *buffers, size_t count)
{
	return datagram_receive_batch(&host_real_of(host)->datagrams.receiving, socket,
				      ret_datagrams, buffers, count);
}
