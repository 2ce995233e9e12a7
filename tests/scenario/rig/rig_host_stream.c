#include <assert.h>
#include <stdlib.h>

#include "rig/rig_host_internal.h"

#define RIG_PAIR_BUFFER 65536

static const struct rig_server rig_nobody = {
	.answer = RIG_ANSWER_FAIL,
	.error = ECONNREFUSED,
	.delay_ns = NS_PER_MS,
};

/* The kernel calls a socket writable again once a third of its buffer is free (sk_stream_is_
 * writeable: free space is at least half of what is queued). */
static bool rig_stream_is_writable(const struct rig_socket *socket)
{
	return rig_bytes_room(socket->out) >= (socket->out->size + 1) / 2 &&
	       rig_bytes_room(socket->out) > 0;
}

/* As tcp_poll() of the kernel does. */
uint32_t rig_stream_events(struct rig_socket *socket)
{
	uint32_t events = 0;

	if (socket->state == RIG_STREAM_CONNECTING)
		return 0;
	if (socket->in->size > 0)
		events |= EPOLLIN;
	if (socket->ended)
		events |= EPOLLIN | EPOLLRDHUP;
	if (socket->finished || !socket->out || rig_stream_is_writable(socket))
		events |= EPOLLOUT;
	else
		socket->no_space = true;
	if (socket->error)
		events |= EPOLLERR;
	if (socket->state == RIG_STREAM_BROKEN)
		events |= EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP;
	if (socket->ended && socket->finished)
		events |= EPOLLHUP;
	return events;
}

static void rig_stream_decided(struct timer *timer, uint64_t now_ns)
{
	struct rig_socket *socket = container_of(timer, struct rig_socket, decided);

	(void)now_ns;
	if (socket->outcome != 0) {
		rig_stream_broken(socket, socket->outcome);
		return;
	}
	socket->state = RIG_STREAM_CONNECTED;
	rig_peer_start(socket->peer);
	rig_socket_wake(socket);
}

void rig_stream_init(struct rig_socket *socket)
{
	timer_init(&socket->decided, rig_stream_decided);
	list_init(&socket->waiting);
	list_init(&socket->hairpins);
	list_init(&socket->hairpin_node);
}

void rig_stream_drained(struct rig_socket *socket)
{
	if (!socket->no_space || !rig_stream_is_writable(socket))
		return;
	socket->no_space = false;
	rig_socket_wake(socket);
}

void rig_stream_broken(struct rig_socket *socket, int error)
{
	socket->state = RIG_STREAM_BROKEN;
	socket->error = error;
	rig_socket_wake(socket);
}

static void rig_stream_close_pair(struct rig_socket *socket, bool reset)
{
	struct rig_socket *other = socket->other;

	if (other) {
		other->other = NULL;
		other->out = NULL;
		other->ended = true;
		if (socket->in->size > 0 || reset)
			rig_stream_broken(other, ECONNRESET);
		rig_socket_wake(other);
	}
	rig_bytes_done(&socket->own_in);
}

void rig_stream_close(struct rig_socket *socket, bool reset)
{
	if (socket->kind == RIG_SOCKET_PAIR)
		rig_stream_close_pair(socket, reset);
	if (socket->peer)
		rig_peer_closed(socket->peer, reset);
	list_for_each_safe(node, next, &socket->waiting)
	{
		struct rig_peer *peer = container_of(node, struct rig_peer, wait_node);

		list_remove(node);
		rig_peer_closed(peer, true);
	}
	list_for_each_safe(node, next, &socket->hairpins)
	{
		struct rig_socket *half = container_of(node, struct rig_socket, hairpin_node);

		rig_stream_close_pair(half, true);
		rig_socket_free(half);
	}
}

static void rig_stream_attach(struct rig_socket *socket, struct rig_peer *peer)
{
	socket->peer = peer;
	socket->in = &peer->to_engine;
	socket->out = &peer->to_peer;
	peer->socket = socket;
}

static struct rig_server *rig_host_find_server(struct rig_host *host, const struct ip_endpoint *to)
{
	for (struct list *node = host->servers.next; node != &host->servers; node = node->next) {
		struct rig_server *server = container_of(node, struct rig_server, node);

		if (rig_host_endpoint_matches(&server->at, to))
			return server;
	}
	return NULL;
}

static struct rig_socket *rig_host_find_listener(struct rig_host *host,
						 const struct ip_endpoint *to)
{
	for (size_t i = 0, seen = 0; seen < host->listeners_open; i++) {
		struct rig_socket *socket = host->sockets[i];

		if (!socket || socket->kind != RIG_SOCKET_LISTENER)
			continue;
		seen++;
		if (socket->at.addr.family == to->addr.family &&
		    rig_host_endpoint_matches(&socket->at, to))
			return socket;
	}
	return NULL;
}

static void rig_stream_join(struct rig_socket *first, struct rig_socket *second)
{
	rig_bytes_init(&first->own_in, RIG_PAIR_BUFFER);
	rig_bytes_init(&second->own_in, RIG_PAIR_BUFFER);
	first->in = second->out = &first->own_in;
	second->in = first->out = &second->own_in;
	first->other = second;
	second->other = first;
	first->state = second->state = RIG_STREAM_CONNECTED;
	rig_socket_wake(first);
	rig_socket_wake(second);
}

/* Both ends are sockets of the host under test: a guest that uses its own forward. */
static int rig_host_connect_hairpin(struct rig_host *host, struct host_socket *owner,
				    struct rig_socket *listener)
{
	struct rig_socket *socket;
	int rc = rig_socket_new(host, owner, RIG_SOCKET_PAIR, &socket);

	if (rc < 0)
		return rc;
	struct rig_socket *half = rig_socket_alloc(host, RIG_SOCKET_PAIR);
	half->hairpin_from = (struct ip_endpoint){ host->default_source, rig_host_free_port(host) };
	rig_stream_join(socket, half);
	list_append(&listener->hairpins, &half->hairpin_node);
	rig_socket_wake(listener);
	return 0;
}

int rig_host_tcp_connect(struct host *host, struct host_socket *owner, const struct ip_endpoint *to)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_server *server = rig_host_find_server(rig, to);
	const struct rig_server *answer = server ? server : &rig_nobody;
	struct rig_peer_plan plan = answer->plan;
	struct rig_socket *socket;
	struct ip_endpoint from = { rig->default_source, 0 };
	int rc;

	struct rig_socket *listener = rig_host_find_listener(rig, to);

	if (listener && !server)
		return rig_host_connect_hairpin(rig, owner, listener);
	if (answer->answer == RIG_ANSWER_FAIL && answer->delay_ns == 0)
		return -answer->error;
	rc = rig_socket_new(rig, owner, RIG_SOCKET_TCP, &socket);
	if (rc < 0)
		return rc;
	if (server) {
		server->connections++;
		if (server->choose)
			server->choose(server, &plan);
	}
	from.port = rig_host_free_port(rig);
	rig_stream_attach(socket, rig_peer_new(rig, to, &from, &plan));
	if (server)
		server->last = socket->peer;
	socket->state = RIG_STREAM_CONNECTING;
	socket->outcome = answer->answer == RIG_ANSWER_FAIL ? answer->error : 0;
	if (answer->answer != RIG_ANSWER_SILENCE)
		rig_time_after(rig->time, &socket->decided, answer->delay_ns);
	return 0;
}

static int rig_stream_take_error(struct rig_socket *socket)
{
	int error = socket->error;

	socket->error = 0;
	return -error;
}

int rig_host_tcp_result(struct host *host, struct host_socket *owner)
{
	struct rig_socket *socket = rig_socket_of(rig_host_of(host), owner);

	if (socket->error)
		return rig_stream_take_error(socket);
	switch (socket->state) {
	case RIG_STREAM_CONNECTING:
		return -EINPROGRESS;
	case RIG_STREAM_CONNECTED:
		return 0;
	case RIG_STREAM_BROKEN:
		break;
	}
	return -ENOTCONN;
}

int rig_host_tcp_listen(struct host *host, struct host_socket *owner, const struct ip_endpoint *at,
			struct ip_endpoint *ret_bound)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_socket *socket;
	int rc;

	if (at->port != 0 && rig_host_find_listener(rig, at))
		return -EADDRINUSE;
	rc = rig_socket_new(rig, owner, RIG_SOCKET_LISTENER, &socket);
	if (rc < 0)
		return rc;
	socket->at = *at;
	if (socket->at.port == 0)
		socket->at.port = rig_host_free_port(rig);
	*ret_bound = socket->at;
	return 0;
}

static int rig_host_accept_hairpin(struct rig_socket *listener, struct host_socket *owner,
				   struct ip_endpoint *ret_peer, struct ip_endpoint *ret_local)
{
	struct rig_socket *half =
		container_of(list_first(&listener->hairpins), struct rig_socket, hairpin_node);
	int rc = rig_socket_adopt(half, owner);

	if (rc < 0)
		return rc;
	list_remove(&half->hairpin_node);
	*ret_peer = half->hairpin_from;
	if (ret_local)
		*ret_local = listener->at;
	rig_socket_wake(half);
	return 0;
}

int rig_host_tcp_accept(struct host *host, struct host_socket *owner,
			struct host_socket *ret_socket, struct ip_endpoint *ret_peer,
			struct ip_endpoint *ret_local)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_socket *listener = rig_socket_of(rig, owner);
	struct list *node = list_first(&listener->waiting);
	struct rig_socket *socket;
	int rc;

	if (!list_is_empty(&listener->hairpins))
		return rig_host_accept_hairpin(listener, ret_socket, ret_peer, ret_local);
	if (!node)
		return -EAGAIN;
	rc = rig_socket_new(rig, ret_socket, RIG_SOCKET_TCP, &socket);
	if (rc < 0)
		return rc;
	struct rig_peer *peer = container_of(node, struct rig_peer, wait_node);
	list_remove(node);
	rig_stream_attach(socket, peer);
	peer->accepted = true;
	socket->state = peer->reset ? RIG_STREAM_BROKEN : RIG_STREAM_CONNECTED;
	socket->error = peer->reset ? ECONNRESET : 0;
	socket->ended = peer->finished;
	*ret_peer = peer->local;
	if (ret_local)
		*ret_local = peer->remote;
	rig_socket_wake(socket); /* a watch that begins ready tells so */
	return 0;
}

struct rig_peer *rig_host_client(struct rig_host *host, const struct ip_endpoint *from,
				 const struct ip_endpoint *to, const struct rig_peer_plan *plan)
{
	struct rig_socket *listener = rig_host_find_listener(host, to);
	struct rig_peer *peer = rig_peer_new(host, from, to, plan);

	if (!listener) {
		peer->refused = true;
		peer->app.heard_reset = true;
		return peer;
	}
	list_append(&listener->waiting, &peer->wait_node);
	rig_peer_start(peer);
	rig_socket_wake(listener);
	return peer;
}

static size_t rig_iov_size(const struct iovec *iov, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += iov[i].iov_len;
	return size;
}

/* Copies from an offset of the receive queue; 0 when nothing is there. */
static size_t rig_stream_copy(const struct rig_socket *socket, size_t offset,
			      const struct iovec *iov, size_t count)
{
	size_t done = 0;

	for (size_t i = 0; i < count; i++) {
		size_t part =
			rig_bytes_peek(socket->in, offset + done, iov[i].iov_base, iov[i].iov_len);

		done += part;
		if (part < iov[i].iov_len)
			break;
	}
	return done;
}

/* What recv() says when there are no bytes: an error once, the end, or "not yet". */
static ssize_t rig_stream_nothing(struct rig_socket *socket)
{
	if (socket->error)
		return rig_stream_take_error(socket);
	if (socket->ended || socket->state == RIG_STREAM_BROKEN)
		return 0;
	return -EAGAIN;
}

static void rig_stream_took(struct rig_socket *socket, size_t size)
{
	rig_bytes_drop(socket->in, size);
	/* sk_peek_offset_bwd() */
	socket->peek_offset = socket->peek_offset > size ? socket->peek_offset - size : 0;
	if (socket->peer)
		rig_peer_poke(socket->peer);
	else if (socket->other)
		rig_stream_drained(socket->other);
}

ssize_t rig_host_receive(struct host *host, struct host_socket *owner, const struct iovec *iov,
			 size_t count)
{
	struct rig_socket *socket = rig_socket_of(rig_host_of(host), owner);
	size_t size = rig_stream_copy(socket, 0, iov, count);

	if (size == 0)
		return rig_iov_size(iov, count) == 0 ? 0 : rig_stream_nothing(socket);
	rig_stream_took(socket, size);
	return (ssize_t)size;
}

ssize_t rig_host_peek(struct host *host, struct host_socket *owner, const struct iovec *iov,
		      size_t count)
{
	struct rig_socket *socket = rig_socket_of(rig_host_of(host), owner);
	size_t size = rig_stream_copy(socket, socket->peek_offset, iov, count);

	if (size == 0)
		return rig_iov_size(iov, count) == 0 ? 0 : rig_stream_nothing(socket);
	socket->peek_offset += size;
	return (ssize_t)size;
}

int rig_host_set_peek_offset(struct host *host, struct host_socket *owner, size_t offset)
{
	struct rig_host *rig = rig_host_of(host);

	if (rig->no_peek)
		return -EOPNOTSUPP;
	rig_socket_of(rig, owner)->peek_offset = offset;
	return 0;
}

ssize_t rig_host_discard(struct host *host, struct host_socket *owner, size_t size)
{
	struct rig_socket *socket = rig_socket_of(rig_host_of(host), owner);

	if (size == 0)
		return 0;
	if (size > socket->in->size)
		size = socket->in->size;
	if (size == 0)
		return rig_stream_nothing(socket);
	rig_stream_took(socket, size);
	return (ssize_t)size;
}

ssize_t rig_host_send(struct host *host, struct host_socket *owner, const struct iovec *iov,
		      size_t count)
{
	struct rig_socket *socket = rig_socket_of(rig_host_of(host), owner);
	size_t done = 0;

	if (socket->error)
		return rig_stream_take_error(socket);
	if (socket->state == RIG_STREAM_BROKEN || socket->finished || !socket->out)
		return -EPIPE;
	if (socket->state == RIG_STREAM_CONNECTING)
		return -EAGAIN;
	for (size_t i = 0; i < count; i++) {
		size_t part = rig_bytes_put(socket->out, iov[i].iov_base, iov[i].iov_len);

		done += part;
		if (part == iov[i].iov_len)
			continue;
		socket->no_space = true;
		break;
	}
	if (done > 0 && socket->peer)
		rig_peer_poke(socket->peer);
	if (done > 0 && socket->other)
		rig_socket_wake(socket->other);
	return done > 0 || rig_iov_size(iov, count) == 0 ? (ssize_t)done : -EAGAIN;
}

void rig_host_keep_alive(struct host *host, struct host_socket *owner)
{
	(void)rig_socket_of(rig_host_of(host), owner); /* it is open; peers here never vanish */
}

int rig_host_finish(struct host *host, struct host_socket *owner)
{
	struct rig_socket *socket = rig_socket_of(rig_host_of(host), owner);

	if (socket->state != RIG_STREAM_CONNECTED)
		return -ENOTCONN;
	socket->finished = true;
	if (socket->peer) {
		socket->peer->engine_finished = true;
		rig_peer_poke(socket->peer);
	}
	if (socket->other) {
		socket->other->ended = true;
		rig_socket_wake(socket->other);
	}
	if (socket->ended)
		rig_socket_wake(socket); /* EPOLLHUP */
	return 0;
}

int rig_host_stream_pair(struct host *host, struct host_socket *a, struct host_socket *b)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_socket *first;
	struct rig_socket *second;
	int rc = rig_socket_new(rig, a, RIG_SOCKET_PAIR, &first);

	if (rc < 0)
		return rc;
	rc = rig_socket_new(rig, b, RIG_SOCKET_PAIR, &second);
	if (rc < 0) {
		rig_socket_free(first);
		return rc;
	}
	rig_stream_join(first, second);
	return 0;
}
