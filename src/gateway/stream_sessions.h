#pragma once
/*
 * Sessions of the gateway's services over TCP: NAT connects a guest's flow to one by a socket pair. This is what
 * they have in common: the guest's socket, a time limit, and who ends when all are in use.
 *
 * Sessions are few, and each port has its share of them: all of them, divided by the ports that have
 * any. Where some are free, a port may have more; once all are in use, what is beyond a share gives
 * way to a port that has less, those between two requests first. What is within a port's share ends
 * only by its guest, its time, or the port's own next session while it is idle; where the ports are
 * more than the sessions, also an idle one of another port for a port's first.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/drop.h"
#include "host/host.h"
#include "loop/timer.h"

struct gateway;
struct stream_sessions;

#define STREAM_SESSIONS 32

/* Embedded in the service's own. */
struct stream_session {
	struct stream_sessions *all;
	struct host_socket guest;
	struct timer timer;
	uint32_t port;	    /* the guest's */
	uint64_t active_ns; /* when the wait for the guest began */
	bool is_open;
};

struct stream_session_ops {
	/* It is open, and the guest is awaited. */
	void (*opened)(struct stream_session *session);
	void (*guest_ready)(struct stream_session *session);
	/* Closes it, or sets the timer again. */
	void (*timed_out)(struct stream_session *session);
	/* It is closed: so is what belongs to it. */
	void (*closed)(struct stream_session *session);
	/* Between two requests. */
	bool (*is_idle)(struct stream_session *session);
};

struct stream_sessions {
	struct host_stream_service service;
	struct gateway *gateway;
	const struct stream_session_ops *ops;
	uint32_t most_per_port; /* whatever is free */
	uint64_t idle_ns;
	enum drop_reason limit; /* counts those that could not be opened */
	/* The service's; untouched until it is opened for the first time: until then it costs no memory. */
	struct stream_session *sessions[STREAM_SESSIONS];
};

/* Of a `sessions` whose fields from .gateway on are set; the sessions are all zero. */
void stream_sessions_init(struct stream_sessions *sessions);
void stream_sessions_port_gone(struct stream_sessions *sessions, uint32_t port);
void stream_sessions_close(struct stream_sessions *sessions);

/* From now on the guest has the idle time. */
void stream_session_await_guest(struct stream_session *session);
void stream_session_set_timer(struct stream_session *session, uint64_t deadline_ns);
/* May be called again. */
void stream_session_close(struct stream_session *session);
