#include "host/watched_socket.h"

#include <assert.h>
#include <string.h>

#include "base/fd.h"
#include "host/host_internal.h"

/* Touches nothing after the call: the owner may have closed and freed the socket. */
static void watched_socket_ready(struct loop_watch *watch, uint32_t events)
{
	struct host_socket *socket = container_of(watch, struct host_socket, watch);
	socket->real.events = events;
	socket->ready(socket, events);
}

static uint32_t watched_socket_events(enum watched_socket_kind kind)
{
	switch (kind) {
	case WATCHED_SOCKET_TCP:
		return EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	case WATCHED_SOCKET_PAIR:
		return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	case WATCHED_SOCKET_NONE:
	case WATCHED_SOCKET_LISTENER:
	case WATCHED_SOCKET_UDP:
	case WATCHED_SOCKET_PING:
	case WATCHED_SOCKET_RAW_ECHO:
		break;
	}
	/* A datagram that does not fit is dropped, nobody waits for room; and with EPOLLOUT the
	 * kernel would wake us for each datagram that has left. */
	return EPOLLIN | EPOLLET;
}

int watched_socket_take(struct host *host, struct host_socket *socket,
			enum watched_socket_kind kind, enum ip_family family, int fd)
{
	assert(socket->fd == -1);
	loop_watch_init(&socket->watch, watched_socket_ready);
	int rc = loop_watch_add(host_real_of(host)->loop, &socket->watch, fd,
				watched_socket_events(kind));
	if (rc < 0) {
		fd_close(fd);
		return rc;
	}
	socket->fd = fd;
	memset(&socket->real, 0, sizeof(socket->real));
	socket->real.kind = (uint8_t)kind;
	socket->real.family = (uint8_t)family;
	return 0;
}

void watched_socket_close(struct host *host, struct host_socket *socket)
{
	if (socket->fd == -1)
		return;
	loop_watch_forget(host_real_of(host)->loop, &socket->watch);
	socket->fd = fd_close(socket->fd);
	socket->real.kind = WATCHED_SOCKET_NONE;
}
