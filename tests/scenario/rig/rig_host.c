#include "rig/rig_host.h"

#include <assert.h>
#include <stdlib.h>

#include "rig/rig_host_internal.h"

struct rig_socket *rig_socket_of(struct rig_host *host, const struct host_socket *owner)
{
	assert(owner->fd >= 0 && owner->fd < RIG_HOST_SOCKETS);
	struct rig_socket *socket = host->sockets[owner->fd];
	assert(socket && socket->owner == owner);
	return socket;
}

static void rig_socket_woken(struct timer *timer, uint64_t now_ns)
{
	struct rig_socket *socket = container_of(timer, struct rig_socket, wake);
	uint32_t events = 0;

	(void)now_ns;
	switch (socket->kind) {
	case RIG_SOCKET_TCP:
	case RIG_SOCKET_PAIR:
		events = rig_stream_events(socket);
		break;
	case RIG_SOCKET_LISTENER:
		events = list_is_empty(&socket->waiting) && list_is_empty(&socket->hairpins)
				 ? 0
				 : EPOLLIN;
		break;
	case RIG_SOCKET_UDP:
	case RIG_SOCKET_ECHO:
		events = rig_datagram_events(socket);
		break;
	}
	socket->host->time->activity++;
	if (events)
		socket->owner->ready(socket->owner, events);
}

struct rig_socket *rig_socket_alloc(struct rig_host *host, enum rig_socket_kind kind)
{
	struct rig_socket *socket = calloc(1, sizeof(*socket));

	assert(socket);
	socket->host = host;
	socket->kind = kind;
	timer_init(&socket->wake, rig_socket_woken);
	rig_stream_init(socket);
	rig_datagram_init(socket);
	return socket;
}

int rig_socket_adopt(struct rig_socket *socket, struct host_socket *owner)
{
	struct rig_host *host = socket->host;
	uint32_t most = host->sockets_max > 0 ? host->sockets_max : RIG_HOST_SOCKETS;
	int fd = host->first_free;

	assert(owner->fd == -1);
	if (host->sockets_open >= most)
		return -EMFILE;
	while (host->sockets[fd])
		fd++;
	host->sockets[fd] = socket;
	host->sockets_open++;
	host->listeners_open += socket->kind == RIG_SOCKET_LISTENER;
	host->first_free = fd + 1;
	socket->owner = owner;
	owner->fd = fd;
	return 0;
}

int rig_socket_new(struct rig_host *host, struct host_socket *owner, enum rig_socket_kind kind,
		   struct rig_socket **ret_socket)
{
	struct rig_socket *socket = rig_socket_alloc(host, kind);
	int rc = rig_socket_adopt(socket, owner);

	if (rc < 0) {
		free(socket);
		return rc;
	}
	*ret_socket = socket;
	return 0;
}

void rig_socket_free(struct rig_socket *socket)
{
	struct rig_host *host = socket->host;

	timer_clear(rig_host_timers(host), &socket->wake);
	timer_clear(rig_host_timers(host), &socket->decided);
	list_remove(&socket->hairpin_node);
	if (socket->owner) {
		if (socket->owner->fd < host->first_free)
			host->first_free = socket->owner->fd;
		host->sockets[socket->owner->fd] = NULL;
		host->sockets_open--;
		host->listeners_open -= socket->kind == RIG_SOCKET_LISTENER;
		socket->owner->fd = -1;
	}
	free(socket);
}

void rig_socket_wake(struct rig_socket *socket)
{
	if (socket->owner && !timer_is_set(&socket->wake))
		rig_time_after(socket->host->time, &socket->wake, 0);
}

uint16_t rig_host_free_port(struct rig_host *host)
{
	if (host->next_port < 32768)
		host->next_port = 32768;
	return host->next_port++;
}

bool rig_host_endpoint_matches(const struct ip_endpoint *pattern, const struct ip_endpoint *at)
{
	if (pattern->port != 0 && pattern->port != at->port)
		return false;
	return ip_addr_is_unspecified(&pattern->addr) || ip_addr_equal(&pattern->addr, &at->addr);
}

static void rig_host_end(struct host *host, struct host_socket *owner, bool reset)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_socket *socket;

	if (owner->fd == -1)
		return;
	socket = rig_socket_of(rig, owner);
	switch (socket->kind) {
	case RIG_SOCKET_TCP:
	case RIG_SOCKET_LISTENER:
	case RIG_SOCKET_PAIR:
		rig_stream_close(socket, reset);
		break;
	case RIG_SOCKET_UDP:
	case RIG_SOCKET_ECHO:
		rig_datagram_close(socket);
		break;
	}
	rig_socket_free(socket);
}

static void rig_host_close(struct host *host, struct host_socket *owner)
{
	rig_host_end(host, owner, false);
}

static void rig_host_reset(struct host *host, struct host_socket *owner)
{
	rig_host_end(host, owner, true);
}

static bool rig_host_is_local(struct host *host, const struct ip_addr *addr)
{
	struct rig_host *rig = rig_host_of(host);

	for (size_t i = 0; i < rig->local_count; i++) {
		if (ip_addr_equal(&rig->local[i], addr))
			return true;
	}
	return ip_addr_is_loopback(addr);
}

static bool rig_host_default_source(struct host *host, enum ip_family family,
				    struct ip_addr *ret_addr)
{
	struct rig_host *rig = rig_host_of(host);

	if (family != IP_FAMILY_V4 || !rig->has_default_source)
		return false;
	*ret_addr = rig->default_source;
	return true;
}

static size_t rig_host_resolvers(struct host *host, struct ip_endpoint *ret_resolvers,
				 size_t capacity)
{
	struct rig_host *rig = rig_host_of(host);
	size_t count = rig->resolver_count < capacity ? rig->resolver_count : capacity;

	for (size_t i = 0; i < count; i++)
		ret_resolvers[i] = rig->resolver[i];
	return count;
}

static size_t rig_host_hosts_lookup(struct host *host, const char *name, enum ip_family family,
				    struct ip_addr *ret_addrs, size_t capacity, bool *ret_known)
{
	(void)rig_host_of(host);
	(void)name;
	(void)family;
	(void)ret_addrs;
	(void)capacity;
	*ret_known = false;
	return 0;
}

static const struct host_ops rig_host_ops = {
	.tcp_connect = rig_host_tcp_connect,
	.tcp_result = rig_host_tcp_result,
	.tcp_listen = rig_host_tcp_listen,
	.tcp_accept = rig_host_tcp_accept,
	.receive = rig_host_receive,
	.peek = rig_host_peek,
	.set_peek_offset = rig_host_set_peek_offset,
	.discard = rig_host_discard,
	.send = rig_host_send,
	.keep_alive = rig_host_keep_alive,
	.finish = rig_host_finish,
	.close = rig_host_close,
	.reset = rig_host_reset,
	.stream_pair = rig_host_stream_pair,
	.udp_open = rig_host_udp_open,
	.udp_send = rig_host_udp_send,
	.udp_send_batch = rig_host_udp_send_batch,
	.udp_receive = rig_host_udp_receive,
	.udp_receive_batch = rig_host_udp_receive_batch,
	.echo_open = rig_host_echo_open,
	.echo_send = rig_host_echo_send,
	.echo_receive = rig_host_echo_receive,
	.error_receive = rig_host_error_receive,
	.is_local = rig_host_is_local,
	.default_source = rig_host_default_source,
	.resolvers = rig_host_resolvers,
	.hosts_lookup = rig_host_hosts_lookup,
};

void rig_host_init(struct rig_host *host, struct rig_time *time, struct random *random)
{
	*host = (struct rig_host){
		.host.ops = &rig_host_ops,
		.time = time,
		.random = random,
		.echo_delay_ns = NS_PER_MS,
	};
	list_init(&host->peers);
	list_init(&host->servers);
	list_init(&host->udp_servers);
	list_init(&host->flights);
}

void rig_host_done(struct rig_host *host)
{
	if (!host->time)
		return;
	list_for_each_safe(node, next, &host->peers)
		rig_peer_free(container_of(node, struct rig_peer, node));
	rig_datagram_land(host);
	assert(host->sockets_open == 0);
}

void rig_host_add_server(struct rig_host *host, struct rig_server *server)
{
	list_append(&host->servers, &server->node);
}

void rig_host_add_udp_server(struct rig_host *host, struct rig_udp_server *server)
{
	list_append(&host->udp_servers, &server->node);
}
