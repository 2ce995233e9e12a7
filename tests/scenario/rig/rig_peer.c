#include <assert.h>
#include <stdlib.h>

#include "rig/rig_host_internal.h"

#define RIG_PEER_CHUNK	8192
#define RIG_PEER_BUFFER 65536

void rig_peer_poke(struct rig_peer *peer)
{
	if (!timer_is_set(&peer->pump))
		rig_time_after(peer->host->time, &peer->pump, peer->plan.delay_ns);
}

static void rig_peer_kick(struct rig_app *app)
{
	rig_peer_poke(container_of(app, struct rig_peer, app));
}

void rig_peer_reset(struct rig_peer *peer)
{
	if (peer->reset)
		return;
	peer->reset = true;
	rig_app_done(&peer->app);
	rig_bytes_drop(&peer->to_peer, SIZE_MAX);
	if (peer->socket)
		rig_stream_broken(peer->socket, peer->finished ? EPIPE : ECONNRESET);
}

static void rig_peer_hears_reset(struct rig_peer *peer)
{
	peer->app.heard_reset = true;
	rig_app_done(&peer->app);
}

/* From the socket to the peer's kernel, and from there to its app. True when bytes moved. */
static bool rig_peer_receive(struct rig_peer *peer)
{
	uint8_t bytes[RIG_PEER_CHUNK];
	size_t room = peer->plan.receive_capacity - peer->unread;
	size_t size = rig_bytes_peek(&peer->to_peer, 0, bytes,
				     room < sizeof(bytes) ? room : sizeof(bytes));
	uint64_t read;

	rig_app_check(&peer->app, peer->arrived, bytes, size);
	peer->arrived += size;
	peer->unread += size;
	rig_bytes_drop(&peer->to_peer, size);
	read = rig_app_read(&peer->app, peer->unread);
	peer->unread -= (size_t)read;
	if (size > 0 && peer->socket)
		rig_stream_drained(peer->socket);
	return size > 0 || read > 0;
}

/* What the app has to say, as far as the socket has room. True when bytes moved. */
static bool rig_peer_send(struct rig_peer *peer)
{
	uint8_t bytes[RIG_PEER_CHUNK];
	uint64_t left = peer->app.ready - peer->app.sent;
	size_t size = rig_bytes_room(&peer->to_engine);

	if (size > left)
		size = (size_t)left;
	if (size > sizeof(bytes))
		size = sizeof(bytes);
	if (size == 0)
		return false;
	if (peer->engine_closed) { /* nobody is there: the host's kernel answers with RST */
		rig_peer_hears_reset(peer);
		return false;
	}
	rig_app_fill(&peer->app, peer->app.sent, bytes, size);
	peer->app.sent += rig_bytes_put(&peer->to_engine, bytes, size);
	if (peer->socket)
		rig_socket_wake(peer->socket);
	return true;
}

static void rig_peer_finish(struct rig_peer *peer)
{
	if (peer->finished || !rig_app_wants_end(&peer->app, peer->app.sent))
		return;
	peer->finished = true;
	if (!peer->socket)
		return;
	peer->socket->ended = true;
	rig_socket_wake(peer->socket);
}

static void rig_peer_pump(struct timer *timer, uint64_t now_ns)
{
	struct rig_peer *peer = container_of(timer, struct rig_peer, pump);
	bool moved = true;

	(void)now_ns;
	if (peer->engine_reset)
		rig_peer_hears_reset(peer);
	while (moved && !peer->reset && !peer->app.heard_reset) {
		moved = rig_peer_receive(peer);
		if (peer->to_peer.size == 0 && peer->unread == 0 && peer->engine_finished)
			peer->app.heard_end = true;
		if (!peer->finished)
			moved |= rig_peer_send(peer);
		if (rig_app_wants_reset(&peer->app))
			rig_peer_reset(peer);
	}
	if (!peer->reset && !peer->app.heard_reset)
		rig_peer_finish(peer);
}

struct rig_peer *rig_peer_new(struct rig_host *host, const struct ip_endpoint *local,
			      const struct ip_endpoint *remote, const struct rig_peer_plan *plan)
{
	struct rig_peer *peer = calloc(1, sizeof(*peer));

	assert(peer);
	peer->host = host;
	peer->local = *local;
	peer->remote = *remote;
	peer->plan = *plan;
	if (peer->plan.receive_capacity == 0)
		peer->plan.receive_capacity = RIG_PEER_BUFFER;
	rig_bytes_init(&peer->to_engine,
		       plan->receive_buffer > 0 ? plan->receive_buffer : RIG_PEER_BUFFER);
	rig_bytes_init(&peer->to_peer, plan->send_buffer > 0 ? plan->send_buffer : RIG_PEER_BUFFER);
	rig_app_init(&peer->app, host->time, &plan->app, rig_peer_kick);
	timer_init(&peer->pump, rig_peer_pump);
	list_init(&peer->wait_node);
	list_init(&peer->node);
	list_append(&host->peers, &peer->node);
	return peer;
}

void rig_peer_free(struct rig_peer *peer)
{
	rig_app_done(&peer->app);
	timer_clear(rig_host_timers(peer->host), &peer->pump);
	list_remove(&peer->node);
	rig_bytes_done(&peer->to_engine);
	rig_bytes_done(&peer->to_peer);
	free(peer);
}

void rig_peer_start(struct rig_peer *peer)
{
	rig_app_start(&peer->app);
	rig_peer_poke(peer);
}

void rig_peer_closed(struct rig_peer *peer, bool reset)
{
	/* Bytes that nobody read: the kernel says RST, not FIN (RFC 2525 2.17). */
	if (peer->to_engine.size > 0)
		reset = true;
	peer->socket = NULL;
	peer->engine_closed = true;
	peer->engine_finished = true;
	if (reset) {
		peer->engine_reset = true;
		rig_bytes_drop(&peer->to_peer, SIZE_MAX);
	}
	rig_peer_poke(peer);
}

bool rig_peer_is_content(const struct rig_peer *peer)
{
	return peer->finished && !peer->reset && rig_app_is_content(&peer->app);
}

bool rig_peer_is_over(const struct rig_peer *peer)
{
	return peer->refused || peer->reset || peer->app.heard_reset ||
	       (peer->finished && peer->app.heard_end);
}
