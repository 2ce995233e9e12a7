#pragma once
/* The fd behind a host_socket and its place in the loop. */

#include "host/host.h"

enum watched_socket_kind {
	WATCHED_SOCKET_NONE, /* closed */
	WATCHED_SOCKET_TCP,
	WATCHED_SOCKET_LISTENER,
	WATCHED_SOCKET_PAIR, /* AF_UNIX */
	WATCHED_SOCKET_UDP,
	WATCHED_SOCKET_PING,	 /* echo, SOCK_DGRAM: the kernel picks ident and fills checksums */
	WATCHED_SOCKET_RAW_ECHO, /* echo, SOCK_RAW */
};

/*
 * The socket, which must be closed, takes fd over and is watched from now on. On failure fd is
 * closed. 0 or negative errno.
 */
int watched_socket_take(struct host *host, struct host_socket *socket,
			enum watched_socket_kind kind, enum ip_family family, int fd) MUST_USE;
void watched_socket_close(struct host *host, struct host_socket *socket);
