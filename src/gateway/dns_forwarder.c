#include "gateway/dns_forwarder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "gateway/dns_answer.h"
#include "gateway/gateway_internal.h"
#include "wire/dns.h"

#define IP_AND_UDP_SIZE 28
#define ANSWER_MAX	65535
/* Datagrams (and errors) read in one go from the socket of one try: more is a flood. */
#define READS_MAX 16

struct dns_try {
	struct host_socket socket;
	struct ip_endpoint resolver;
	uint16_t id;
	struct dns_query *query;
};

struct dns_query {
	struct dns_forwarder *owner;
	struct list node; /* in flight, oldest first; or free */
	struct timer timer;
	uint64_t started_ns;
	struct ip_endpoint client;
	struct mac_addr client_mac;
	uint32_t port;
	uint16_t client_id;
	uint16_t client_size; /* the longest answer that the client takes */
	struct dns_try tries[DNS_FORWARDER_TRIES];
	uint32_t tried;
	uint16_t size;
	uint8_t bytes[DNS_FORWARDER_QUERY_MAX];
};

struct dns_forwarder {
	struct gateway *gateway;
	struct log_limit log_limit;
	struct list in_flight;
	struct list free;
	size_t touched; /* queries below were used at least once: the rest costs no memory */
	struct dns_query queries[DNS_FORWARDER_QUERIES];
	uint8_t answer[ANSWER_MAX];
	uint8_t built[ANSWER_MAX];
};

static struct host *host_of(const struct dns_query *query)
{
	return query->owner->gateway->context.host;
}

static struct timers *timers_of(const struct dns_query *query)
{
	return loop_timers(query->owner->gateway->context.loop);
}

static void drop(const struct dns_forwarder *forwarder, enum drop_reason reason)
{
	gateway_drop(forwarder->gateway, reason);
}

static void try_close(struct dns_try *try)
{
	host_call(try->query->owner->gateway->context.host, close, &try->socket);
}

static void query_end(struct dns_query *query)
{
	for (uint32_t i = 0; i < DNS_FORWARDER_TRIES; i++)
		try_close(&query->tries[i]);
	timer_clear(timers_of(query), &query->timer);
	list_remove(&query->node);
	list_append(&query->owner->free, &query->node);
}

static void send_to_client(struct dns_forwarder *forwarder, const struct mac_addr *mac,
			   const struct ip_endpoint *client, const void *bytes, size_t size)
{
	gateway_send_udp(forwarder->gateway, DNS_PORT, mac, client, bytes, size);
}

/* The tries have different ids, but the question is everywhere the client's own. */
static void query_fail(struct dns_query *query)
{
	struct dns_forwarder *forwarder = query->owner;
	struct writer writer = writer_of(forwarder->built, DNS_UDP_SIZE_DEFAULT);
	struct dns_message message;

	drop(forwarder, DROP_DNS_NO_ANSWER);
	log_write_limited(forwarder->gateway->context.log, &forwarder->log_limit,
			  gateway_now(forwarder->gateway), LOG_LEVEL_WARNING,
			  "dns: no resolver of the host answers");
	if (dns_parse(query->bytes, query->size, &message)) {
		message.id = query->client_id;
		if (dns_build_status(&writer, &message, DNS_RCODE_SERVFAIL))
			send_to_client(forwarder, &query->client_mac, &query->client, writer.data,
				       writer.position);
	}
	query_end(query);
}

static void try_ready(struct host_socket *socket, uint32_t events);

/* Sends to one resolver. False: the host would not. */
static bool try_start(struct dns_try *try, const struct ip_endpoint *resolver)
{
	struct dns_query *query = try->query;
	const struct ip_endpoint any = { .addr = { .family = resolver->addr.family } };
	const struct host_datagram datagram = { .remote = *resolver };
	const struct iovec iov = { .iov_base = query->bytes, .iov_len = query->size };
	struct ip_endpoint bound;
	ssize_t sent;

	host_socket_init(&try->socket, try_ready);
	if (host_call(host_of(query), udp_open, &try->socket, &any, &bound) < 0) {
		drop(query->owner, DROP_SOCKET_LIMIT);
		return false;
	}
	try->resolver = *resolver;
	try->id = (uint16_t)random_u32(query->owner->gateway->context.random);
	dns_set_id(query->bytes, try->id);
	sent = host_call(host_of(query), udp_send, &try->socket, &datagram, &iov, 1);
	if (sent < 0) {
		try_close(try);
		return false;
	}
	return true;
}

static bool any_try_open(const struct dns_query *query)
{
	for (uint32_t i = 0; i < query->tried; i++) {
		if (query->tries[i].socket.fd != -1)
			return true;
	}
	return false;
}

/* The next resolver in turn; what cannot be asked is passed over. Ends the query when nobody is
 * left to wait for. */
static void query_next(struct dns_query *query)
{
	struct ip_endpoint resolvers[DNS_FORWARDER_RESOLVERS];
	size_t count = host_call(host_of(query), resolvers, resolvers, DNS_FORWARDER_RESOLVERS);
	uint64_t give_up_ns = query->started_ns + DNS_FORWARDER_GIVE_UP_MS * NS_PER_MS;
	uint64_t next_ns = gateway_now(query->owner->gateway) + DNS_FORWARDER_NEXT_MS * NS_PER_MS;
	bool started = false;

	if (count > DNS_FORWARDER_RESOLVERS)
		count = DNS_FORWARDER_RESOLVERS;
	while (!started && count > 0 && query->tried < DNS_FORWARDER_TRIES) {
		struct dns_try *try = &query->tries[query->tried];

		started = try_start(try, &resolvers[query->tried % count]);
		query->tried++;
	}
	if (!any_try_open(query)) {
		query_fail(query);
		return;
	}
	if (query->tried == DNS_FORWARDER_TRIES || next_ns > give_up_ns)
		next_ns = give_up_ns;
	timer_set(timers_of(query), &query->timer, next_ns);
}

static void query_timer(struct timer *timer, uint64_t now_ns)
{
	struct dns_query *query = container_of(timer, struct dns_query, timer);

	if (now_ns >= query->started_ns + DNS_FORWARDER_GIVE_UP_MS * NS_PER_MS)
		query_fail(query);
	else
		query_next(query);
}

/* Has every resolver of the host had its turn? Then there is no better answer to hope for. */
static bool all_were_asked(const struct dns_query *query)
{
	struct ip_endpoint resolvers[DNS_FORWARDER_RESOLVERS];
	size_t count = host_call(host_of(query), resolvers, resolvers, DNS_FORWARDER_RESOLVERS);

	return query->tried >= count || query->tried >= DNS_FORWARDER_TRIES;
}

/* A resolver cannot help: the next at once, or the end when it was the last one. */
static void try_failed(struct dns_try *try)
{
	struct dns_query *query = try->query;

	try_close(try);
	if (!all_were_asked(query))
		query_next(query);
	else if (!any_try_open(query))
		query_fail(query);
}

static void answer_client(struct dns_query *query, const struct dns_message *reply, size_t size)
{
	struct dns_forwarder *forwarder = query->owner;
	struct writer writer = writer_of(forwarder->built, query->client_size);

	if (size <= query->client_size) {
		dns_set_id(forwarder->answer, query->client_id);
		send_to_client(forwarder, &query->client_mac, &query->client, forwarder->answer,
			       size);
	} else if (dns_build_truncated(&writer, reply, forwarder->answer, size)) {
		dns_set_id(writer.data, query->client_id);
		send_to_client(forwarder, &query->client_mac, &query->client, writer.data,
			       writer.position);
	} else {
		drop(forwarder, DROP_BAD_DNS);
	}
	query_end(query);
}

static bool is_answer(const struct dns_try *try, const struct host_datagram *datagram, size_t size,
		      struct dns_message *ret_reply)
{
	const struct dns_query *query = try->query;
	struct dns_message asked;

	return ip_endpoint_equal(&datagram->remote, &try->resolver) &&
	       dns_parse(query->owner->answer, size, ret_reply) && ret_reply->response &&
	       ret_reply->id == try->id && ret_reply->opcode == 0 &&
	       dns_parse(query->bytes, query->size, &asked) &&
	       dns_question_equal(&asked.question, &ret_reply->question);
}

/* One datagram. True: the query (or this try) is over, the socket closed. */
static bool take_datagram(struct dns_try *try, const struct host_datagram *datagram, size_t size)
{
	struct dns_query *query = try->query;
	struct dns_message reply;

	if (datagram->size > size || !is_answer(try, datagram, size, &reply)) {
		drop(query->owner, DROP_BAD_DNS); /* forged, late or broken: go on waiting */
		return false;
	}
	if ((reply.rcode == DNS_RCODE_SERVFAIL || reply.rcode == DNS_RCODE_REFUSED) &&
	    !all_were_asked(query)) {
		try_failed(try);
		return true;
	}
	answer_client(query, &reply, size);
	return true;
}

/* An ICMP error of what we sent: nobody listens there. */
static bool read_errors(struct dns_try *try)
{
	struct host_icmp_error error;
	uint8_t quote[64];
	bool any = false;

	for (int i = 0; i < READS_MAX; i++) {
		if (host_call(host_of(try->query), error_receive, &try->socket, &error, NULL, quote,
			      sizeof(quote)) < 0)
			break;
		any = true;
	}
	return any;
}

static void try_ready(struct host_socket *socket, uint32_t events)
{
	struct dns_try *try = container_of(socket, struct dns_try, socket);
	struct dns_forwarder *forwarder = try->query->owner;
	struct host *host = forwarder->gateway->context.host;
	struct host_datagram datagram;

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t size = host_call(host, udp_receive, socket, &datagram, forwarder->answer,
					 sizeof(forwarder->answer));

		if (size == -EINTR)
			continue;
		if (size == -EAGAIN)
			break;
		if (size < 0) {
			try_failed(try);
			return;
		}
		if (take_datagram(try, &datagram, (size_t)size))
			return;
		if (i == READS_MAX - 1) { /* edge-triggered: nobody would tell us of the rest */
			try_failed(try);
			return;
		}
	}
	if ((events & EPOLLERR) && read_errors(try))
		try_failed(try);
}

/* The same question again while we are asking: the client repeats itself, one answer is enough. */
static bool is_repeated(struct dns_forwarder *forwarder, const struct ip_endpoint *client,
			const struct dns_message *message, const uint8_t *bytes, size_t size)
{
	list_for_each_safe(node, following, &forwarder->in_flight)
	{
		const struct dns_query *query = container_of(node, struct dns_query, node);

		/* The id in query->bytes is that of the last try. */
		if (query->size == size && query->client_id == message->id &&
		    ip_endpoint_equal(&query->client, client) &&
		    memcmp(query->bytes + 2, bytes + 2, size - 2) == 0)
			return true;
	}
	return false;
}

/* A query that was given back, else one that was never used. */
static struct dns_query *query_make_ready(struct dns_forwarder *forwarder)
{
	struct list *node = list_first(&forwarder->free);
	struct dns_query *query;

	if (node) {
		list_remove(node);
		return container_of(node, struct dns_query, node);
	}
	if (forwarder->touched == DNS_FORWARDER_QUERIES)
		return NULL;
	query = &forwarder->queries[forwarder->touched++];
	query->owner = forwarder;
	list_init(&query->node);
	timer_init(&query->timer, query_timer);
	for (size_t i = 0; i < DNS_FORWARDER_TRIES; i++) {
		host_socket_init(&query->tries[i].socket, try_ready);
		query->tries[i].query = query;
	}
	return query;
}

/* NULL: none left, or none left for this port. */
static struct dns_query *query_take(struct dns_forwarder *forwarder, uint32_t port)
{
	struct dns_query *query;
	uint32_t held = 0;

	list_for_each_safe(node, following, &forwarder->in_flight) held +=
		container_of(node, struct dns_query, node)->port == port;
	query = held < DNS_FORWARDER_PORT_SHARE ? query_make_ready(forwarder) : NULL;
	if (!query)
		return NULL;
	list_append(&forwarder->in_flight, &query->node);
	return query;
}

static uint16_t client_size(const struct gateway *gateway, const struct dns_message *message)
{
	size_t size = message->has_edns ? message->edns_udp_size : DNS_UDP_SIZE_DEFAULT;
	size_t most = gateway->config.mtu - IP_AND_UDP_SIZE;

	return (uint16_t)(size < most ? size : most);
}

static void forward(struct dns_forwarder *forwarder, const struct frame *frame,
		    const struct ip_endpoint *client, const struct dns_message *message,
		    const uint8_t *bytes, size_t size)
{
	struct dns_query *query;

	if (is_repeated(forwarder, client, message, bytes, size))
		return;
	query = query_take(forwarder, frame->port);
	if (!query) {
		drop(forwarder, DROP_DNS_LIMIT);
		return;
	}
	query->started_ns = gateway_now(forwarder->gateway);
	query->client = *client;
	query->client_mac = frame->packet.mac_source;
	query->port = frame->port;
	query->client_id = message->id;
	query->client_size = client_size(forwarder->gateway, message);
	query->tried = 0;
	query->size = (uint16_t)size;
	memcpy(query->bytes, bytes, size);
	query_next(query);
}

void dns_forwarder_input(struct dns_forwarder *forwarder, const struct frame *frame)
{
	const struct ip_endpoint client = { frame->packet.ip_source, frame->packet.port_source };
	struct dns_message message;
	uint8_t bytes[DNS_FORWARDER_QUERY_MAX];
	size_t size = frame->payload_size;

	/* Port 0 cannot be answered (RFC 768). */
	if (size > sizeof(bytes) || client.port == 0) {
		drop(forwarder, DROP_BAD_DNS);
		return;
	}
	frame_copy_payload(frame, 0, bytes, size);
	if (!dns_parse(bytes, size, &message) || message.response) {
		drop(forwarder, DROP_BAD_DNS);
		return;
	}
	struct writer writer =
		writer_of(forwarder->built, client_size(forwarder->gateway, &message));
	switch (dns_answer(forwarder->gateway, &message, &writer)) {
	case DNS_ANSWER_HERE:
		send_to_client(forwarder, &frame->packet.mac_source, &client, writer.data,
			       writer.position);
		break;
	case DNS_ANSWER_OUTSIDE:
		forward(forwarder, frame, &client, &message, bytes, size);
		break;
	case DNS_ANSWER_NONE:
		break;
	}
}

void dns_forwarder_port_gone(struct dns_forwarder *forwarder, uint32_t port)
{
	list_for_each_safe(node, following, &forwarder->in_flight)
	{
		struct dns_query *query = container_of(node, struct dns_query, node);

		if (query->port == port)
			query_end(query);
	}
}

int dns_forwarder_new(struct gateway *gateway, struct dns_forwarder **ret_forwarder)
{
	struct dns_forwarder *forwarder = calloc(1, sizeof(*forwarder));

	if (!forwarder)
		return -ENOMEM;
	forwarder->gateway = gateway;
	list_init(&forwarder->in_flight);
	list_init(&forwarder->free);
	*ret_forwarder = forwarder;
	return 0;
}

struct dns_forwarder *dns_forwarder_free(struct dns_forwarder *forwarder)
{
	if (!forwarder)
		return NULL;
	list_for_each_safe(node, following, &forwarder->in_flight)
		query_end(container_of(node, struct dns_query, node));
	free(forwarder);
	return NULL;
}
