#include "gateway/document_server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway_internal.h"
#include "gateway/stream_sessions.h"
#include "wire/http.h"

/* Of an answer: its head, and the line that a refusal has for content. */
#define ANSWER_SIZE 512

/*
 * State     waits for                        leaves by
 * READ      a whole request                  -> WRITE; end, idle: closed
 * WRITE     room in the guest's socket       -> READ, LINGER after a refusal; after the last answer, by an
 *                                               error, idle: closed
 * LINGER    the guest's end, throwing away   closed, also when its time is over
 *
 * LINGER, because a socket that is closed with bytes unread resets the connection, and the guest might
 * never see why it was refused.
 */
enum session_state {
	SESSION_READ,
	SESSION_WRITE,
	SESSION_LINGER,
};

struct session {
	struct stream_session stream;
	enum session_state state;
	bool keeps_alive;
	bool lingers;
	size_t in_size;
	size_t answer_size; /* what is in `answer`, then what is in `content` */
	const uint8_t *content;
	size_t content_size;
	size_t sent;
	uint8_t in[HTTP_HEAD_MOST];
	uint8_t answer[ANSWER_SIZE];
};

struct document_server {
	struct stream_sessions streams;
	struct gateway_document *documents;
	uint8_t *memory; /* their paths and bytes */
	size_t document_count;
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

static void drop(const struct session *session, enum drop_reason reason)
{
	gateway_drop(gateway_of(session), reason);
}

static void session_close(struct session *session)
{
	stream_session_close(&session->stream);
}

static const struct gateway_document *find(struct stream_sessions *streams, struct text_view path)
{
	const struct document_server *server =
		container_of(streams, struct document_server, streams);

	for (size_t i = 0; i < server->document_count; i++) {
		if (text_view_equal(path, server->documents[i].path))
			return &server->documents[i];
	}
	return NULL;
}

static void begin_write(struct session *session, struct writer *writer)
{
	assert(writer_ok(writer)); /* of one line each, that fit */
	session->answer_size = writer->position;
	session->sent = 0;
	session->state = SESSION_WRITE;
	stream_session_await_guest(&session->stream);
}

static void answer_document(struct session *session, const struct gateway_document *document,
			    bool is_head)
{
	struct writer writer = writer_of(session->answer, sizeof(session->answer));

	http_build_answer(&writer, HTTP_STATUS_OK, document->size, session->keeps_alive);
	session->content = document->bytes;
	session->content_size = is_head ? 0 : document->size;
	begin_write(session, &writer);
}

/* With its own name as content, for whoever looks. */
static void answer_status(struct session *session, enum http_status status, bool is_head)
{
	struct writer writer = writer_of(session->answer, sizeof(session->answer));
	const char *reason = http_status_reason(status);

	http_build_answer(&writer, status, strlen(reason) + 1, session->keeps_alive);
	if (!is_head) {
		writer_bytes(&writer, reason, strlen(reason));
		writer_u8(&writer, '\n');
	}
	session->content_size = 0;
	begin_write(session, &writer);
}

static void refuse(struct session *session, enum http_status status)
{
	drop(session, DROP_BAD_HTTP);
	session->keeps_alive = false;
	session->lingers = true;
	answer_status(session, status, false);
}

static void begin_answer(struct session *session, const struct http_request *request)
{
	const struct gateway_document *document = find(session->stream.all, request->path);

	session->keeps_alive = request->keeps_alive;
	if (document)
		answer_document(session, document, request->is_head);
	else
		answer_status(session, HTTP_STATUS_NOT_FOUND, request->is_head);
	session->in_size -= request->size;
	memmove(session->in, session->in + request->size, session->in_size);
}

/* Each step returns true when the next state may go on at once, false when it has to wait. */
static bool step_read(struct session *session)
{
	struct http_request request;
	enum http_status status;
	struct iovec iov;
	ssize_t size;

	for (;;) {
		switch (http_parse_request(session->in, session->in_size, &request, &status)) {
		case HTTP_REQUEST:
			begin_answer(session, &request);
			return true;
		case HTTP_REFUSED:
			refuse(session, status);
			return true;
		case HTTP_MORE: /* so there is room: a head that fills it is refused */
			break;
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
		/* A request has the idle time as a whole: a byte now and then holds no session. */
		if (session->in_size == 0)
			stream_session_await_guest(&session->stream);
		session->in_size += (size_t)size;
	}
}

static void end_write(struct session *session)
{
	if (session->lingers) {
		session->state = SESSION_LINGER;
		(void)host_call(host_of(session), finish,
				&session->stream.guest); /* reading tells */
		stream_session_set_timer(&session->stream, gateway_now(gateway_of(session)) +
								   DOCUMENT_LINGER_MS * NS_PER_MS);
	} else if (session->keeps_alive) {
		session->state = SESSION_READ;
		stream_session_await_guest(&session->stream);
	} else {
		session_close(session);
	}
}

static bool step_write(struct session *session)
{
	bool in_answer = session->sent < session->answer_size;
	size_t done = in_answer ? session->sent : session->sent - session->answer_size;
	const uint8_t *bytes = in_answer ? session->answer : session->content;
	size_t left = (in_answer ? session->answer_size : session->content_size) - done;
	/* Sending only reads it, but an iovec knows no const. */
	struct iovec iov = { (void *)(uintptr_t)(left > 0 ? bytes + done : session->answer), left };
	ssize_t size =
		left > 0 ? host_call(host_of(session), send, &session->stream.guest, &iov, 1) : 0;

	if (size == -EAGAIN)
		return false;
	if (size < 0 && size != -EINTR) {
		session_close(session);
		return false;
	}
	if (size > 0) {
		session->sent += (size_t)size;
		stream_session_await_guest(&session->stream);
	}
	if (session->sent == session->answer_size + session->content_size)
		end_write(session);
	return session->stream.is_open;
}

static bool step_linger(struct session *session)
{
	struct iovec iov = { session->in, sizeof(session->in) };
	ssize_t size = host_call(host_of(session), receive, &session->stream.guest, &iov, 1);

	if (size == -EAGAIN)
		return false;
	if (size <= 0 && size != -EINTR) {
		session_close(session);
		return false;
	}
	return true;
}

static bool session_step(struct session *session)
{
	if (!session->stream.is_open)
		return false;
	switch (session->state) {
	case SESSION_READ:
		return step_read(session);
	case SESSION_WRITE:
		return step_write(session);
	case SESSION_LINGER:
		return step_linger(session);
	}
	return false;
}

/* Ends, because each round takes bytes out of a socket or puts some in. */
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
	session_run(session_of(stream));
}

static void opened(struct stream_session *stream)
{
	struct session *session = session_of(stream);

	session->in_size = 0;
	session->lingers = false;
	session->state = SESSION_READ;
}

static void closed(struct stream_session *stream)
{
	(void)stream; /* it has nothing else */
}

static bool is_idle(struct stream_session *stream)
{
	const struct session *session = session_of(stream);

	return session->state == SESSION_READ && session->in_size == 0;
}

static const struct stream_session_ops session_ops = { opened, guest_ready, stream_session_close,
						       closed, is_idle };

struct host_stream_service *document_server_service(struct document_server *server)
{
	return &server->streams.service;
}

void document_server_port_gone(struct document_server *server, uint32_t port)
{
	stream_sessions_port_gone(&server->streams, port);
}

static int copy_documents(struct document_server *server, const struct gateway_document *documents,
			  size_t count)
{
	size_t size = 0;
	struct writer writer;

	if (count == 0)
		return -EINVAL;

	for (size_t i = 0; i < count; i++)
		size += strlen(documents[i].path) + 1 + documents[i].size;
	server->documents = calloc(count, sizeof(*server->documents));
	server->memory = malloc(size);
	if (!server->documents || !server->memory)
		return -ENOMEM;
	writer = writer_of(server->memory, size);
	for (size_t i = 0; i < count; i++) {
		struct gateway_document *copy = &server->documents[i];

		copy->path = (const char *)writer.data + writer.position;
		writer_bytes(&writer, documents[i].path, strlen(documents[i].path) + 1);
		copy->bytes = writer.data + writer.position;
		copy->size = documents[i].size;
		writer_bytes(&writer, documents[i].bytes, documents[i].size);
	}
	server->document_count = count;
	return 0;
}

int document_server_new(struct gateway *gateway, struct document_server **ret_server)
{
	struct document_server *server = calloc(1, sizeof(*server));
	int rc;

	if (!server)
		return -ENOMEM;
	server->streams = (struct stream_sessions){
		.gateway = gateway,
		.ops = &session_ops,
		.most_per_port = DOCUMENT_SESSIONS_PER_PORT,
		.idle_ns = DOCUMENT_IDLE_MS * NS_PER_MS,
		.limit = DROP_HTTP_LIMIT,
	};
	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		server->streams.sessions[i] = &server->sessions[i].stream;
	stream_sessions_init(&server->streams);
	rc = copy_documents(server, gateway->config.documents, gateway->config.document_count);
	if (rc < 0) {
		document_server_free(server);
		return rc;
	}
	*ret_server = server;
	return 0;
}

struct document_server *document_server_free(struct document_server *server)
{
	if (!server)
		return NULL;
	stream_sessions_close(&server->streams);
	free(server->documents);
	free(server->memory);
	free(server);
	return NULL;
}
