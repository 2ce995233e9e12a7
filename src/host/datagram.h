#pragma once
/* What UDP and echo sockets share: options, ancillary data, pending errors. */

#include <sys/socket.h>

#include "host/host.h"

/* Tries of a call that receives: each takes one pending error away; more may come in between. */
#define DATAGRAM_RECEIVE_TRIES 64

/* One slot for each of address, TTL, TOS and segment size, sending or receiving. */
union datagram_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + 4 * CMSG_SPACE(sizeof(int))];
};

/* Asks the kernel for the address, TTL and TOS of what arrives and for ICMP errors, and lets it
 * fragment. 0 or negative errno. */
int datagram_configure(int fd, enum ip_family family) MUST_USE;

/*
 * Sends (scope: see host_real_scope()) with the datagram's local address, TTL, TOS and DF. A pending error of the socket, which
 * an ICMP error from any peer leaves behind, is taken away and the send repeated once; the entry
 * stays in the error queue. Bytes sent or negative errno.
 */
ssize_t datagram_send(struct host_socket *socket, const struct host_datagram *datagram,
		      uint16_t port, uint32_t scope, const struct iovec *iov, size_t count);

/*
 * Receives into iov and fills *ret_datagram (size is the whole datagram's). Pending errors are
 * taken away as above. Returns the datagram's size, which may be more than iov holds, or negative
 * errno.
 */
ssize_t datagram_receive(struct host_socket *socket, struct host_datagram *ret_datagram,
			 const struct iovec *iov, size_t count);

/* --- single steps, for datagram_batch.c --- */

/* -EAFNOSUPPORT for an address that this socket cannot send to or from. */
int datagram_check_family(const struct host_socket *socket,
			  const struct host_datagram *datagram) MUST_USE;
/* DF is an option of the socket, not of the datagram: told to the kernel only when it changes. */
int datagram_set_df(struct host_socket *socket, bool dont_fragment) MUST_USE;
/* Local address, TTL and TOS; leaves msg_control NULL when there is nothing to say. */
void datagram_fill_control(struct msghdr *message, union datagram_control *control,
			   const struct host_datagram *datagram, bool v4);
void datagram_add_control(struct msghdr *message, int level, int type, const void *data,
			  size_t size);
/* The error may be that of another datagram, sent before (IP_RECVERR). */
bool datagram_error_may_be_pending(int error);
/* ... and a datagram of that size is worth a second try. */
bool datagram_send_again(const struct host_datagram *datagram, size_t size, bool v4, int error);
/* What a received message says. False: it names no address, which the kernel never does. */
bool datagram_read(struct msghdr *message, size_t got, uint8_t kind,
		   struct host_datagram *ret_datagram) MUST_USE;
