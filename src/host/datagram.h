#pragma once
/* What UDP and echo sockets share: options, ancillary data, pending errors. */

#include "host/host.h"

/* Asks the kernel for the address, TTL and TOS of what arrives and for ICMP errors, and lets it
 * fragment. 0 or negative errno. */
int datagram_configure(int fd, enum ip_family family) MUST_USE;

/*
 * Sends with the datagram's local address, TTL, TOS and DF. A pending error of the socket, which
 * an ICMP error from any peer leaves behind, is taken away and the send repeated once; the entry
 * stays in the error queue. Bytes sent or negative errno.
 */
ssize_t datagram_send(struct host_socket *socket, const struct host_datagram *datagram,
		      uint16_t port, const struct iovec *iov, size_t count);

/*
 * Receives into iov and fills *ret_datagram (size is the whole datagram's). Pending errors are
 * taken away as above. Returns the datagram's size, which may be more than iov holds, or negative
 * errno.
 */
ssize_t datagram_receive(struct host_socket *socket, struct host_datagram *ret_datagram,
			 const struct iovec *iov, size_t count);
