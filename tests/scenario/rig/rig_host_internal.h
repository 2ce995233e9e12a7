#pragma once
/* What the files of the fake host call of each other. */

#include <errno.h>

#include "rig/rig_host.h"

static inline struct rig_host *rig_host_of(struct host *host)
{
	struct rig_host *rig = container_of(host, struct rig_host, host);

	rig->calls++;
	rig->time->activity++;
	return rig;
}

static inline struct timers *rig_host_timers(const struct rig_host *host)
{
	return loop_timers(host->time->loop);
}

/* rig_host.c */
struct rig_socket *rig_socket_of(struct rig_host *host, const struct host_socket *owner);
/* A number for the owner's socket; -EMFILE. */
int rig_socket_new(struct rig_host *host, struct host_socket *owner, enum rig_socket_kind kind,
		   struct rig_socket **ret_socket) MUST_USE;
/* The two halves of it: a socket that nobody holds yet. */
struct rig_socket *rig_socket_alloc(struct rig_host *host, enum rig_socket_kind kind);
int rig_socket_adopt(struct rig_socket *socket, struct host_socket *owner) MUST_USE;
void rig_socket_free(struct rig_socket *socket);
/* An edge: the owner hears the ready mask in the next batch. */
void rig_socket_wake(struct rig_socket *socket);
uint16_t rig_host_free_port(struct rig_host *host);
bool rig_host_endpoint_matches(const struct ip_endpoint *pattern, const struct ip_endpoint *at);

/* rig_host_stream.c */
uint32_t rig_stream_events(struct rig_socket *socket);
void rig_stream_init(struct rig_socket *socket);
void rig_stream_close(struct rig_socket *socket, bool reset);
/* Room appeared in the send queue. */
void rig_stream_drained(struct rig_socket *socket);
void rig_stream_broken(struct rig_socket *socket, int error);
int rig_host_tcp_connect(struct host *host, struct host_socket *owner,
			 const struct ip_endpoint *to);
int rig_host_tcp_result(struct host *host, struct host_socket *owner);
int rig_host_tcp_listen(struct host *host, struct host_socket *owner, const struct ip_endpoint *at,
			struct ip_endpoint *ret_bound);
int rig_host_tcp_accept(struct host *host, struct host_socket *owner,
			struct host_socket *ret_socket, struct ip_endpoint *ret_peer,
			struct ip_endpoint *ret_local);
ssize_t rig_host_receive(struct host *host, struct host_socket *owner, const struct iovec *iov,
			 size_t count);
ssize_t rig_host_peek(struct host *host, struct host_socket *owner, const struct iovec *iov,
		      size_t count);
int rig_host_set_peek_offset(struct host *host, struct host_socket *owner, size_t offset);
ssize_t rig_host_discard(struct host *host, struct host_socket *owner, size_t size);
ssize_t rig_host_send(struct host *host, struct host_socket *owner, const struct iovec *iov,
		      size_t count);
void rig_host_keep_alive(struct host *host, struct host_socket *owner);
int rig_host_finish(struct host *host, struct host_socket *owner);
int rig_host_stream_pair(struct host *host, struct host_socket *a, struct host_socket *b);

/* rig_peer.c */
struct rig_peer *rig_peer_new(struct rig_host *host, const struct ip_endpoint *local,
			      const struct ip_endpoint *remote, const struct rig_peer_plan *plan);
void rig_peer_free(struct rig_peer *peer);
void rig_peer_start(struct rig_peer *peer);
/* Something changed on the socket's side: the peer sees it after the delay. */
void rig_peer_poke(struct rig_peer *peer);
/* The socket is closed. */
void rig_peer_closed(struct rig_peer *peer, bool reset);

/* rig_host_datagram.c */
void rig_datagram_init(struct rig_socket *socket);
void rig_datagram_close(struct rig_socket *socket);
uint32_t rig_datagram_events(const struct rig_socket *socket);
void rig_datagram_land(struct rig_host *host);
int rig_host_udp_open(struct host *host, struct host_socket *owner, const struct ip_endpoint *at,
		      struct ip_endpoint *ret_bound);
ssize_t rig_host_udp_send(struct host *host, struct host_socket *owner,
			  const struct host_datagram *datagram, const struct iovec *iov,
			  size_t count);
size_t rig_host_udp_send_batch(struct host *host, struct host_socket *owner,
			       const struct host_outgoing *batch, size_t count, int *ret_error);
ssize_t rig_host_udp_receive(struct host *host, struct host_socket *owner,
			     struct host_datagram *ret_datagram, void *buffer, size_t size);
ssize_t rig_host_udp_receive_batch(struct host *host, struct host_socket *owner,
				   struct host_datagram *ret_datagrams, void *buffers,
				   size_t count);
int rig_host_echo_open(struct host *host, struct host_socket *owner, enum ip_family family,
		       uint16_t *ret_ident);
ssize_t rig_host_echo_send(struct host *host, struct host_socket *owner,
			   const struct host_datagram *datagram, uint16_t sequence,
			   const struct iovec *iov, size_t count);
ssize_t rig_host_echo_receive(struct host *host, struct host_socket *owner,
			      struct host_datagram *ret_datagram, uint16_t *ret_sequence,
			      void *buffer, size_t size);
int rig_host_error_receive(struct host *host, struct host_socket *owner,
			   struct host_icmp_error *ret_error, uint16_t *ret_sequence, void *buffer,
			   size_t size);
