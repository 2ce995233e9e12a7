#include "gateway/dns_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "gateway/dns_answer.h"
#include "gateway/gateway_internal.h"
#include "wire/dns.h"

#define LENGTH_SIZE   2
#define MESSAGE_MAX   65535
#define RESOLVERS_MAX 8

/*
 * State          waits for                        leaves by
 * FREE           open()                           -> READ
 * READ           a whole query from the guest     -> WRITE (answered here), CONNECT; end, idle -> FREE
 * CONNECT        the resolver's connection        -> ASK; refused, time -> next resolver or WRITE
 * ASK            room in the resolver's socket    -> ANSWER
 * ANSWER         the whole answer                 -> WRITE; closed, time -> next resolver or WRITE
 * WRITE          room in the guest's socket       -> READ; error, idle -> FREE
 */
enum session_state {
	SESSION_FREE,
	SESSION_READ,
	SESSION_CONNECT,
	SESSION_ASK,
	SESSION_ANSWER,
	SESSION_WRITE,
};

struct session {
	struct dns_stream *owner;
	struct host_socket guest;
	struct host_socket resolver;
	struct timer timer;
	enum session_state state;
	uint32_t port;	    /* the guest's */
	uint64_t active_ns; /* when the wait for the guest began */
	uint64_t query_ns;  /* when the query was complete */
	uint32_t asked;	    /* resolvers, for this query */
	uint16_t guest_id;
	uint16_t id;
	size_t in_size; /* bytes in `in`; a whole query is in[0..LENGTH_SIZE + query_size) */
	size_t query_size;
	size_t asked_size; /* bytes of the query that the resolver's socket took */
	size_t out_size;
	size_t out_sent;
	uint8_t in[LENGTH_SIZE + DNS_STREAM_QUERY_MAX];
	uint8_t out[LENGTH_SIZE + MESSAGE_MAX];
};

struct dns_stream {
	struct gateway *gateway;
	struct host_stream_service service;
	struct session sessions[DNS_STREAM_SESSIONS];
};

static struct host *host_of(const struct session *session)
{
	return session->owner->gateway->context.host;
}

static uint64_t now_of(const struct session *session)
{
	return gateway_now(session->owner->gateway);
}

static void drop(const struct session *session, enum drop_reason reason)
{
	gateway_drop(session->owner->gateway, reason);
}

static void set_timer(struct session *session, uint64_t deadline_ns)
{
	timer_set(loop_timers(session->owner->gateway->context.loop), &session->timer, deadline_ns);
}

static void session_close(struct session *session)
{
	host_call(host_of(session), close, &session->guest);
	host_call(host_of(session), close, &session->resolver);
	timer_clear(loop_timers(session->owner->gateway->context.loop), &session->timer);
	session->state = SESSION_FREE;
}

static void set_idle_timer(struct session *session)
{
	session->active_ns = now_of(session);
	set_timer(session, session->active_ns + DNS_STREAM_IDLE_MS * NS_PER_MS);
}

static const uint8_t *query_of(const struct session *session)
{
	return session->in + LENGTH_SIZE;
}

/* size bytes are in out behind the length. */
static void begin_write(struct session *session, size_t size)
{
	struct writer writer = writer_of(session->out, LENGTH_SIZE);

	writer_u16(&writer, (uint16_t)size);
	session->out_size = LENGTH_SIZE + size;
	session->out_sent = 0;
	session->state = SESSION_WRITE;
	set_idle_timer(session);
}

/* To the guest: nobody could be asked. False: not even that; the session is closed. */
static bool begin_failure(struct session *session)
{
	struct writer writer = writer_of(session->out + LENGTH_SIZE, MESSAGE_MAX);
	struct dns_message query;

	host_call(host_of(session), close, &session->resolver);
	drop(session, DROP_DNS_NO_ANSWER);
	if (!dns_parse(query_of(session), session->query_size, &query)) {
		session_close(session);
		return false;
	}
	query.id = session->guest_id;
	if (!dns_build_status(&writer, &query, DNS_RCODE_SERVFAIL)) {
		session_close(session);
		return false;
	}
	begin_write(session, writer.position);
	return true;
}

static void resolver_ready(struct host_socket *socket, uint32_t events);

/* Connects to the next resolver that can be tried, or begins the answer that says that none can. */
static void ask_next(struct session *session)
{
	struct ip_endpoint resolvers[RESOLVERS_MAX];
	size_t count = host_call(host_of(session), resolvers, resolvers, RESOLVERS_MAX);
	uint64_t give_up_ns = session->query_ns + DNS_STREAM_GIVE_UP_MS * NS_PER_MS;
	uint64_t now_ns = now_of(session);
	uint64_t share_ns;

	if (count > RESOLVERS_MAX)
		count = RESOLVERS_MAX;
	host_call(host_of(session), close, &session->resolver);
	for (; session->asked < count && now_ns < give_up_ns; session->asked++) {
		host_socket_init(&session->resolver, resolver_ready);
		if (host_call(host_of(session), tcp_connect, &session->resolver,
			      &resolvers[session->asked]) < 0)
			continue;
		session->asked++;
		session->state = SESSION_CONNECT;
		share_ns = DNS_STREAM_GIVE_UP_MS * NS_PER_MS / count;
		if (share_ns < DNS_STREAM_NEXT_MS * NS_PER_MS)
			share_ns = DNS_STREAM_NEXT_MS * NS_PER_MS;
		set_timer(session, now_ns + share_ns < give_up_ns ? now_ns + share_ns : give_up_ns);
		return;
	}
	(void)begin_failure(session); /* a closed session is seen by its state */
}

/* A whole query is in. Closes the session when it is none. */
static void begin_query(struct session *session)
{
	struct gateway *gateway = session->owner->gateway;
	struct writer writer = writer_of(session->out + LENGTH_SIZE, MESSAGE_MAX);
	struct dns_message query;

	if (!dns_parse(query_of(session), session->query_size, &query) || query.response) {
		drop(session, DROP_BAD_DNS);
		session_close(session);
		return;
	}
	switch (dns_answer(gateway, &query, &writer)) {
	case DNS_ANSWER_HERE:
		begin_write(session, writer.position);
		return;
	case DNS_ANSWER_NONE:
		session_close(session);
		return;
	case DNS_ANSWER_OUTSIDE:
		break;
	}
	session->guest_id = query.id;
	session->id = (uint16_t)random_u32(gateway->context.random);
	dns_set_id(session->in + LENGTH_SIZE, session->id);
	session->query_ns = now_of(session);
	session->asked = 0;
	ask_next(session);
}

/* Takes the answered query out of `in`; what was read beyond it moves to the front. */
static void next_query(struct session *session)
{
	size_t used = LENGTH_SIZE + session->query_size;

	session->in_size -= used;
	memmove(session->in, session->in + used, session->in_size);
	session->query_size = 0;
	session->state = SESSION_READ;
	set_idle_timer(session);
}

/* True: a whole query is in. */
static bool has_query(struct session *session)
{
	struct reader reader = reader_of(session->in, session->in_size);

	session->query_size = reader_u16(&reader);
	return reader_ok(&reader) && session->in_size >= LENGTH_SIZE + session->query_size;
}

/* Each step returns true when the next state may go on at once, false when it has to wait. */
static bool step_read(struct session *session)
{
	struct iovec iov;
	ssize_t size;

	while (!has_query(session)) {
		if (session->query_size > DNS_STREAM_QUERY_MAX) {
			drop(session, DROP_BAD_DNS);
			session_close(session);
			return false;
		}
		iov.iov_base = session->in + session->in_size;
		iov.iov_len = sizeof(session->in) - session->in_size;
		size = host_call(host_of(session), receive, &session->guest, &iov, 1);
		if (size == -EAGAIN)
			return false;
		if (size == -EINTR)
			continue;
		if (size <= 0) {
			session_close(session);
			return false;
		}
		/* A query has the idle time as a whole: a byte now and then holds no session. */
		if (session->in_size == 0)
			set_idle_timer(session);
		session->in_size += (size_t)size;
	}
	begin_query(session);
	return true;
}

static bool step_connect(struct session *session)
{
	int rc = host_call(host_of(session), tcp_result, &session->resolver);

	if (rc == -EINPROGRESS)
		return false;
	if (rc < 0) {
		ask_next(session);
		return true;
	}
	session->asked_size = 0;
	session->out_size = 0;
	session->state = SESSION_ASK;
	return true;
}

static bool step_ask(struct session *session)
{
	struct iovec iov = {
		.iov_base = session->in + session->asked_size,
		.iov_len = LENGTH_SIZE + session->query_size - session->asked_size,
	};
	ssize_t size = host_call(host_of(session), send, &session->resolver, &iov, 1);

	if (size == -EAGAIN)
		return false;
	if (size < 0) {
		ask_next(session);
		return true;
	}
	session->asked_size += (size_t)size;
	if (session->asked_size == LENGTH_SIZE + session->query_size)
		session->state = SESSION_ANSWER;
	return true;
}

/* Over TCP too an answer must be one to our question (RFC 5452 4.1). */
static bool is_answer(const struct session *session, size_t size)
{
	struct dns_message query;
	struct dns_message reply;

	return dns_parse(session->out + LENGTH_SIZE, size, &reply) && reply.response &&
	       reply.id == session->id &&
	       dns_parse(query_of(session), session->query_size, &query) &&
	       dns_question_equal(&query.question, &reply.question);
}

static bool step_answer(struct session *session)
{
	size_t wanted = LENGTH_SIZE;
	struct iovec iov;
	ssize_t size;

	if (session->out_size >= LENGTH_SIZE)
		wanted += (size_t)session->out[0] << 8 | session->out[1];
	if (session->out_size < wanted) {
		iov.iov_base = session->out + session->out_size;
		iov.iov_len = wanted - session->out_size;
		size = host_call(host_of(session), receive, &session->resolver, &iov, 1);
		if (size == -EAGAIN)
			return false;
		if (size > 0)
			session->out_size += (size_t)size;
		else if (size != -EINTR)
			ask_next(session);
		return true;
	}
	if (wanted == LENGTH_SIZE || !is_answer(session, wanted - LENGTH_SIZE)) {
		drop(session, DROP_BAD_DNS);
		ask_next(session);
		return true;
	}
	host_call(host_of(session), close, &session->resolver);
	dns_set_id(session->out + LENGTH_SIZE, session->guest_id);
	begin_write(session, wanted - LENGTH_SIZE);
	return true;
}

static bool step_write(struct session *session)
{
	struct iovec iov = {
		.iov_base = session->out + session->out_sent,
		.iov_len = session->out_size - session->out_sent,
	};
	ssize_t size = host_call(host_of(session), send, &session->guest, &iov, 1);

	if (size == -EAGAIN)
		return false;
	if (size < 0 && size != -EINTR) {
		session_close(session);
		return false;
	}
	if (size > 0)
		session->out_sent += (size_t)size;
	if (session->out_sent == session->out_size)
		next_query(session);
	return true;
}

static bool session_step(struct session *session)
{
	switch (session->state) {
	case SESSION_FREE:
		return false;
	case SESSION_READ:
		return step_read(session);
	case SESSION_CONNECT:
		return step_connect(session);
	case SESSION_ASK:
		return step_ask(session);
	case SESSION_ANSWER:
		return step_answer(session);
	case SESSION_WRITE:
		return step_write(session);
	}
	return false;
}

/* Ends, because each round takes bytes out of a socket, puts some in, or uses up a resolver. */
static void session_run(struct session *session)
{
	while (session_step(session))
		;
}

static void guest_ready(struct host_socket *socket, uint32_t events)
{
	struct session *session = container_of(socket, struct session, guest);

	if (events & EPOLLERR) {
		session_close(session);
		return;
	}
	if (session->state == SESSION_READ || session->state == SESSION_WRITE)
		session_run(session);
}

static void resolver_ready(struct host_socket *socket, uint32_t events)
{
	struct session *session = container_of(socket, struct session, resolver);

	(void)events; /* the calls say what is wrong */
	if (session->state == SESSION_CONNECT || session->state == SESSION_ASK ||
	    session->state == SESSION_ANSWER)
		session_run(session);
}

static void session_timer(struct timer *timer, uint64_t now_ns)
{
	struct session *session = container_of(timer, struct session, timer);

	(void)now_ns;
	if (session->state == SESSION_READ || session->state == SESSION_WRITE) {
		session_close(session);
		return;
	}
	ask_next(session);
	session_run(session);
}

static uint32_t sessions_of(const struct dns_stream *stream, uint32_t port)
{
	uint32_t held = 0;

	for (size_t i = 0; i < DNS_STREAM_SESSIONS; i++)
		held += stream->sessions[i].state != SESSION_FREE &&
			stream->sessions[i].port == port;
	return held;
}

/* What each port may have that has sessions or, as this one, asks for its first. */
static uint32_t share_of_ports(const struct dns_stream *stream, uint32_t asking)
{
	uint32_t ports = sessions_of(stream, asking) == 0 ? 1 : 0;
	uint32_t share;

	for (size_t i = 0; i < DNS_STREAM_SESSIONS; i++) {
		bool is_first = stream->sessions[i].state != SESSION_FREE;

		for (size_t j = 0; j < i && is_first; j++)
			is_first = stream->sessions[j].state == SESSION_FREE ||
				   stream->sessions[j].port != stream->sessions[i].port;
		ports += is_first ? 1 : 0;
	}
	share = DNS_STREAM_SESSIONS / ports;
	return share > 0 ? share : 1;
}

/* Between two queries, and since before this batch: what was just opened has not been heard yet. */
static bool session_is_idle(const struct session *session)
{
	return session->state == SESSION_READ && session->in_size == 0 &&
	       session->active_ns < now_of(session);
}

/* Idle ones first, then those that have been at it for the longest. */
static bool gives_way_before(const struct session *session, const struct session *other)
{
	bool is_idle = session_is_idle(session);

	if (!other || is_idle != session_is_idle(other))
		return !other || is_idle;
	return session->active_ns < other->active_ns;
}

/* All are in use: which one ends for a session of that port, if any? */
static struct session *session_that_gives_way(struct dns_stream *stream, uint32_t port)
{
	uint32_t share = share_of_ports(stream, port);
	bool has_share = sessions_of(stream, port) >= share;
	struct session *borrowed = NULL;
	struct session *idle = NULL;

	for (size_t i = 0; i < DNS_STREAM_SESSIONS; i++) {
		struct session *session = &stream->sessions[i];

		if (has_share && session->port != port)
			continue;
		if (session_is_idle(session) && gives_way_before(session, idle))
			idle = session;
		if (!has_share && sessions_of(stream, session->port) > share &&
		    gives_way_before(session, borrowed))
			borrowed = session;
	}
	/* Nobody has borrowed where the ports are more than the sessions. */
	return borrowed ? borrowed : idle;
}

static struct session *session_choose(struct dns_stream *stream, uint32_t port)
{
	struct session *chosen;

	for (size_t i = 0; i < DNS_STREAM_SESSIONS; i++) {
		if (stream->sessions[i].state == SESSION_FREE)
			return &stream->sessions[i];
	}
	chosen = session_that_gives_way(stream, port);
	if (chosen)
		session_close(chosen);
	return chosen;
}

static int session_open(struct host_stream_service *service, struct host_socket *flow_side,
			uint32_t port)
{
	struct dns_stream *stream = container_of(service, struct dns_stream, service);
	struct session *session = session_choose(stream, port);
	int rc;

	if (!session) {
		gateway_drop(stream->gateway, DROP_DNS_LIMIT);
		return -EBUSY;
	}
	session->owner = stream;
	timer_init(&session->timer, session_timer);
	host_socket_init(&session->guest, guest_ready);
	host_socket_init(&session->resolver, resolver_ready);
	rc = host_call(host_of(session), stream_pair, &session->guest, flow_side);
	if (rc < 0)
		return rc;
	session->in_size = 0;
	session->query_size = 0;
	session->port = port;
	session->state = SESSION_READ;
	set_idle_timer(session);
	return 0;
}

struct host_stream_service *dns_stream_service(struct dns_stream *stream)
{
	return &stream->service;
}

void dns_stream_port_gone(struct dns_stream *stream, uint32_t port)
{
	for (size_t i = 0; i < DNS_STREAM_SESSIONS; i++) {
		struct session *session = &stream->sessions[i];

		if (session->state != SESSION_FREE && session->port == port)
			session_close(session);
	}
}

int dns_stream_new(struct gateway *gateway, struct dns_stream **ret_stream)
{
	struct dns_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->gateway = gateway;
	stream->service.open = session_open;
	/* Sessions are made ready when they are opened: until then they cost no memory. */
	*ret_stream = stream;
	return 0;
}

struct dns_stream *dns_stream_free(struct dns_stream *stream)
{
	if (!stream)
		return NULL;
	for (size_t i = 0; i < DNS_STREAM_SESSIONS; i++) {
		if (stream->sessions[i].state != SESSION_FREE)
			session_close(&stream->sessions[i]);
	}
	free(stream);
	return NULL;
}
