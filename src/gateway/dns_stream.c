#include "gateway/dns_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/dns_answer.h"
#include "gateway/gateway_internal.h"
#include "gateway/stream_sessions.h"
#include "wire/dns.h"

#define LENGTH_SIZE   2
#define MESSAGE_MAX   65535
#define RESOLVERS_MAX 8

/*
 * State          waits for                        leaves by
 * READ           a whole query from the guest     -> WRITE (answered here), CONNECT; end, idle: closed
 * CONNECT        the resolver's connection        -> ASK; refused, time -> next resolver or WRITE
 * ASK            room in the resolver's socket    -> ANSWER
 * ANSWER         the whole answer                 -> WRITE; closed, time -> next resolver or WRITE
 * WRITE          room in the guest's socket       -> READ; error, idle: closed
 */
enum session_state {
	SESSION_READ,
	SESSION_CONNECT,
	SESSION_ASK,
	SESSION_ANSWER,
	SESSION_WRITE,
};

struct session {
	struct stream_session stream;
	struct host_socket resolver;
	enum session_state state;
	uint64_t query_ns; /* when the query was complete */
	uint32_t asked;	   /* resolvers, for this query */
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
	struct stream_sessions streams;
	struct session sessions[STREAM_SESSIONS];
};

static struct gateway *gateway_of(const struct session *session)
{
	return session->stream.all->gateway;
}

static struct host *host_of(const struct session *session)
{
	return gateway_of(session)->context.host;
}

static uint64_t now_of(const struct session *session)
{
	return gateway_now(gateway_of(session));
}

static void drop(const struct session *session, enum drop_reason reason)
{
	gateway_drop(gateway_of(session), reason);
}

static void session_close(struct session *session)
{
	stream_session_close(&session->stream);
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
	stream_session_await_guest(&session->stream);
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
		stream_session_set_timer(&session->stream, now_ns + share_ns < give_up_ns
								   ? now_ns + share_ns
								   : give_up_ns);
		return;
	}
	(void)begin_failure(session); /* a closed session is seen by its state */
}

/* A whole query is in. Closes the session when it is none. */
static void begin_query(struct session *session)
{
	struct gateway *gateway = gateway_of(session);
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
	stream_session_await_guest(&session->stream);
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
		size = host_call(host_of(session), receive, &session->stream.guest, &iov, 1);
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
			stream_session_await_guest(&session->stream);
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
	ssize_t size = host_call(host_of(session), send, &session->stream.guest, &iov, 1);

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
	if (!session->stream.is_open)
		return false;
	switch (session->state) {
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

static struct session *session_of(struct stream_session *stream)
{
	return container_of(stream, struct session, stream);
}

static void guest_ready(struct stream_session *stream)
{
	struct session *session = session_of(stream);

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

static void timed_out(struct stream_session *stream)
{
	struct session *session = session_of(stream);

	if (session->state == SESSION_READ || session->state == SESSION_WRITE) {
		session_close(session);
		return;
	}
	ask_next(session);
	session_run(session);
}

static void opened(struct stream_session *stream)
{
	struct session *session = session_of(stream);

	host_socket_init(&session->resolver, resolver_ready);
	session->in_size = 0;
	session->query_size = 0;
	session->state = SESSION_READ;
}

static void closed(struct stream_session *stream)
{
	struct session *session = session_of(stream);

	host_call(host_of(session), close, &session->resolver);
}

static bool is_idle(struct stream_session *stream)
{
	const struct session *session = session_of(stream);

	return session->state == SESSION_READ && session->in_size == 0;
}

static const struct stream_session_ops session_ops = { opened, guest_ready, timed_out, closed,
						       is_idle };

struct host_stream_service *dns_stream_service(struct dns_stream *stream)
{
	return &stream->streams.service;
}

void dns_stream_port_gone(struct dns_stream *stream, uint32_t port)
{
	stream_sessions_port_gone(&stream->streams, port);
}

int dns_stream_new(struct gateway *gateway, struct dns_stream **ret_stream)
{
	struct dns_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->streams = (struct stream_sessions){
		.gateway = gateway,
		.ops = &session_ops,
		.most_per_port = UINT32_MAX, /* its share is the limit */
		.idle_ns = DNS_STREAM_IDLE_MS * NS_PER_MS,
		.limit = DROP_DNS_LIMIT,
	};
	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		stream->streams.sessions[i] = &stream->sessions[i].stream;
	stream_sessions_init(&stream->streams);
	*ret_stream = stream;
	return 0;
}

struct dns_stream *dns_stream_free(struct dns_stream *stream)
{
	if (!stream)
		return NULL;
	stream_sessions_close(&stream->streams);
	free(stream);
	return NULL;
}
