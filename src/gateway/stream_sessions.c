#include "gateway/stream_sessions.h"

#include <errno.h>

#include "base/list.h"
#include "gateway/gateway_internal.h"

static struct host *host_of(const struct stream_sessions *sessions)
{
	return sessions->gateway->context.host;
}

static struct timers *timers_of(const struct stream_sessions *sessions)
{
	return loop_timers(sessions->gateway->context.loop);
}

void stream_session_set_timer(struct stream_session *session, uint64_t deadline_ns)
{
	timer_set(timers_of(session->all), &session->timer, deadline_ns);
}

void stream_session_await_guest(struct stream_session *session)
{
	session->active_ns = gateway_now(session->all->gateway);
	stream_session_set_timer(session, session->active_ns + session->all->idle_ns);
}

void stream_session_close(struct stream_session *session)
{
	if (!session->is_open)
		return;
	session->is_open = false;
	host_call(host_of(session->all), close, &session->guest);
	timer_clear(timers_of(session->all), &session->timer);
	session->all->ops->closed(session);
}

static void guest_ready(struct host_socket *socket, uint32_t events)
{
	struct stream_session *session = container_of(socket, struct stream_session, guest);

	if (events & EPOLLERR)
		stream_session_close(session);
	else
		session->all->ops->guest_ready(session);
}

static void timer_expired(struct timer *timer, uint64_t now_ns)
{
	struct stream_session *session = container_of(timer, struct stream_session, timer);

	(void)now_ns;
	session->all->ops->timed_out(session);
}

static uint32_t sessions_of(const struct stream_sessions *sessions, uint32_t port)
{
	uint32_t held = 0;

	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		held += sessions->sessions[i]->is_open && sessions->sessions[i]->port == port;
	return held;
}

/* What each port may have that has sessions or, as this one, asks for its first. */
static uint32_t share_of_ports(const struct stream_sessions *sessions, uint32_t asking)
{
	uint32_t ports = sessions_of(sessions, asking) == 0 ? 1 : 0;
	uint32_t share;

	for (size_t i = 0; i < STREAM_SESSIONS; i++) {
		bool is_first = sessions->sessions[i]->is_open;

		for (size_t j = 0; j < i && is_first; j++)
			is_first = !sessions->sessions[j]->is_open ||
				   sessions->sessions[j]->port != sessions->sessions[i]->port;
		ports += is_first ? 1 : 0;
	}
	share = STREAM_SESSIONS / ports;
	return share > 0 ? share : 1;
}

/* Between two requests, and since before this batch: what was just opened has not been heard yet. */
static bool session_is_idle(struct stream_session *session)
{
	return session->all->ops->is_idle(session) &&
	       session->active_ns < gateway_now(session->all->gateway);
}

/* Idle ones first, then those that have been at it for the longest. */
static bool gives_way_before(struct stream_session *session, struct stream_session *other)
{
	bool is_idle = session_is_idle(session);

	if (!other || is_idle != session_is_idle(other))
		return !other || is_idle;
	return session->active_ns < other->active_ns;
}

/* All are in use: which one ends for a session of that port, if any? */
static struct stream_session *session_that_gives_way(const struct stream_sessions *sessions,
						     uint32_t port)
{
	uint32_t share = share_of_ports(sessions, port);
	bool has_share = sessions_of(sessions, port) >= share;
	struct stream_session *borrowed = NULL;
	struct stream_session *idle = NULL;

	for (size_t i = 0; i < STREAM_SESSIONS; i++) {
		struct stream_session *session = sessions->sessions[i];

		if (has_share && session->port != port)
			continue;
		if (session_is_idle(session) && gives_way_before(session, idle))
			idle = session;
		if (!has_share && sessions_of(sessions, session->port) > share &&
		    gives_way_before(session, borrowed))
			borrowed = session;
	}
	/* Nobody has borrowed where the ports are more than the sessions. */
	return borrowed ? borrowed : idle;
}

static struct stream_session *session_choose(const struct stream_sessions *sessions, uint32_t port)
{
	struct stream_session *chosen;

	if (sessions_of(sessions, port) >= sessions->most_per_port)
		return NULL;
	for (size_t i = 0; i < STREAM_SESSIONS; i++) {
		if (!sessions->sessions[i]->is_open)
			return sessions->sessions[i];
	}
	chosen = session_that_gives_way(sessions, port);
	if (chosen)
		stream_session_close(chosen);
	return chosen;
}

static int session_open(struct host_stream_service *service, struct host_socket *flow_side,
			uint32_t port)
{
	struct stream_sessions *sessions = container_of(service, struct stream_sessions, service);
	struct stream_session *session = session_choose(sessions, port);
	int rc;

	if (!session) {
		gateway_drop(sessions->gateway, sessions->limit);
		return -EBUSY;
	}
	session->all = sessions;
	timer_init(&session->timer, timer_expired);
	host_socket_init(&session->guest, guest_ready);
	rc = host_call(host_of(sessions), stream_pair, &session->guest, flow_side);
	if (rc < 0)
		return rc;
	session->port = port;
	session->is_open = true;
	stream_session_await_guest(session);
	sessions->ops->opened(session);
	return 0;
}

void stream_sessions_init(struct stream_sessions *sessions)
{
	sessions->service.open = session_open;
}

void stream_sessions_port_gone(struct stream_sessions *sessions, uint32_t port)
{
	for (size_t i = 0; i < STREAM_SESSIONS; i++) {
		if (sessions->sessions[i]->is_open && sessions->sessions[i]->port == port)
			stream_session_close(sessions->sessions[i]);
	}
}

void stream_sessions_close(struct stream_sessions *sessions)
{
	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		stream_session_close(sessions->sessions[i]);
}
