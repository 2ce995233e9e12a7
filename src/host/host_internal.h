#pragma once
/*
 * What the files of this room share. Sockets:
 *
 *     watched_socket.c  fd and watch, open and close    datagram.c        what UDP and echo share
 *     tcp_socket.c      connect, listen, accept         datagram_batch.c  many at once
 *     stream_socket.c   bytes of TCP and of pairs       udp_socket.c      UDP
 *     peek.c            does SO_PEEK_OFF work here?     echo_socket.c     ping and raw sockets
 *     error_queue.c     ICMP errors                     tcp_pair.c        TCP with ourselves
 *
 * The host as it is now: host_view.c over netlink.c; resolv_conf.c and hosts_file.c over
 * file_change.c over file_source.c; survey.c asks once. How many ports there are, and when they came to an
 * end: local_ports.c.
 */

#include "base/log.h"
#include "host/datagram_batch.h"
#include "host/host.h"
#include "host/host_view.h"
#include "host/hosts_file.h"
#include "host/local_ports.h"
#include "host/resolv_conf.h"

struct host_real {
	struct host host;
	struct loop *loop;
	const struct log *log;
	struct host_view view;
	struct resolv_conf resolv_conf;
	struct hosts_file hosts_file;
	bool echo_refused; /* said once */
	struct local_ports udp_ports;
	struct datagram_batch datagrams;
};

struct host_real_paths {
	const char *resolv_conf;
	const char *hosts;
};

static inline struct host_real *host_real_of(struct host *host)
{
	return container_of(host, struct host_real, host);
}

/* host_real_new() with the files elsewhere. The paths are copied. */
int host_real_new_with_paths(struct loop *loop, const struct log *log,
			     const struct host_real_paths *paths, struct host **ret_host,
			     struct error *err) MUST_USE;

/* AF_INET or AF_INET6; -1 for IP_FAMILY_NONE. */
int host_real_domain(uint8_t family);
/* sin6_scope_id of where a socket is to go: the interface of a link-local resolver, else 0. */
uint32_t host_real_scope(const struct host_real *real, const struct ip_addr *to);
/* What getsockname() says. 0 or negative errno. */
int host_real_local_endpoint(int fd, struct ip_endpoint *ret_local) MUST_USE;

/* The operations of host.h, by file. */
int tcp_socket_connect(struct host *host, struct host_socket *socket, const struct ip_endpoint *to);
int tcp_socket_result(struct host *host, struct host_socket *socket);
int tcp_socket_listen(struct host *host, struct host_socket *socket, const struct ip_endpoint *at,
		      struct ip_endpoint *ret_bound);
int tcp_socket_accept(struct host *host, struct host_socket *listener,
		      struct host_socket *ret_socket, struct ip_endpoint *ret_peer,
		      struct ip_endpoint *ret_local);
int tcp_socket_take(struct host *host, struct host_socket *socket, int fd,
		    struct ip_endpoint *ret_peer);
void tcp_socket_keep_alive(struct host *host, struct host_socket *socket);
/* Of any kind of socket. */
void tcp_socket_close(struct host *host, struct host_socket *socket);
void tcp_socket_reset(struct host *host, struct host_socket *socket);

ssize_t stream_socket_receive(struct host *host, struct host_socket *socket,
			      const struct iovec *iov, size_t count);
ssize_t stream_socket_peek(struct host *host, struct host_socket *socket, const struct iovec *iov,
			   size_t count);
int stream_socket_set_peek_offset(struct host *host, struct host_socket *socket, size_t offset);
ssize_t stream_socket_discard(struct host *host, struct host_socket *socket, size_t size);
ssize_t stream_socket_send(struct host *host, struct host_socket *socket, const struct iovec *iov,
			   size_t count);
int stream_socket_finish(struct host *host, struct host_socket *socket);
int stream_socket_pair(struct host *host, struct host_socket *a, struct host_socket *b);

int udp_socket_open(struct host *host, struct host_socket *socket, const struct ip_endpoint *at,
		    struct ip_endpoint *ret_bound);
ssize_t udp_socket_send(struct host *host, struct host_socket *socket,
			const struct host_datagram *datagram, const struct iovec *iov,
			size_t count);
size_t udp_socket_send_batch(struct host *host, struct host_socket *socket,
			     const struct host_outgoing *batch, size_t count, int *ret_error);
ssize_t udp_socket_receive(struct host *host, struct host_socket *socket,
			   struct host_datagram *ret_datagram, void *buffer, size_t size);
ssize_t udp_socket_receive_batch(struct host *host, struct host_socket *socket,
				 struct host_datagram *ret_datagrams, void *buffers, size_t count);

int echo_socket_open(struct host *host, struct host_socket *socket, enum ip_family family,
		     uint16_t *ret_ident);
ssize_t echo_socket_send(struct host *host, struct host_socket *socket,
			 const struct host_datagram *datagram, uint16_t sequence,
			 const struct iovec *iov, size_t count);
ssize_t echo_socket_receive(struct host *host, struct host_socket *socket,
			    struct host_datagram *ret_datagram, uint16_t *ret_sequence,
			    void *buffer, size_t size);

int error_queue_receive(struct host *host, struct host_socket *socket,
			struct host_icmp_error *ret_error, uint16_t *ret_sequence, void *buffer,
			size_t size);
