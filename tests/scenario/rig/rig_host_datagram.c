#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "rig/rig_host_internal.h"
#include "wire/icmp.h"

#define RIG_QUEUE_MAX	  212992 /* bytes that a socket holds: the kernel's default */
#define RIG_HEADERS	  28	 /* IPv4 and UDP or ICMP */
#define RIG_COALESCED_MAX 65507

/* A datagram, or an ICMP error, on its way to a socket or waiting in it. */
struct rig_flight {
	struct list node;
	struct timer timer;
	struct rig_host *host;
	struct host_socket *owner; /* where to; NULL = it was closed meanwhile */
	uint64_t number;	   /* in the order they left */
	uint64_t due_ns;
	bool is_error;
	struct host_datagram datagram;
	struct host_icmp_error error;
	uint16_t sequence;
	size_t size;
	uint8_t bytes[];
};

void rig_datagram_init(struct rig_socket *socket)
{
	list_init(&socket->datagrams);
	list_init(&socket->errors);
}

static void rig_flight_free(struct rig_flight *flight)
{
	timer_clear(rig_host_timers(flight->host), &flight->timer);
	list_remove(&flight->node);
	free(flight);
}

static void rig_flights_free(struct list *flights)
{
	list_for_each_safe(node, next, flights)
		rig_flight_free(container_of(node, struct rig_flight, node));
}

void rig_datagram_close(struct rig_socket *socket)
{
	struct rig_host *host = socket->host;

	rig_flights_free(&socket->datagrams);
	rig_flights_free(&socket->errors);
	list_for_each_safe(node, next, &host->flights)
	{
		struct rig_flight *flight = container_of(node, struct rig_flight, node);

		if (flight->owner == socket->owner)
			flight->owner = NULL;
	}
}

void rig_datagram_land(struct rig_host *host)
{
	rig_flights_free(&host->flights);
}

uint32_t rig_datagram_events(const struct rig_socket *socket)
{
	uint32_t events = 0;

	if (!list_is_empty(&socket->datagrams))
		events |= EPOLLIN;
	if (socket->error || !list_is_empty(&socket->errors))
		events |= EPOLLERR;
	return events;
}

/* Timers that are due together run in any order, but what left first does not arrive last. */
static void rig_flight_queue(struct list *queue, struct rig_flight *flight)
{
	struct list *behind = queue;

	while (behind->previous != queue) {
		const struct rig_flight *before =
			container_of(behind->previous, struct rig_flight, node);

		if (before->due_ns != flight->due_ns || before->number < flight->number)
			break;
		behind = behind->previous;
	}
	list_insert_before(behind, &flight->node);
}

static void rig_flight_arrived(struct timer *timer, uint64_t now_ns)
{
	struct rig_flight *flight = container_of(timer, struct rig_flight, timer);
	struct rig_socket *socket;

	(void)now_ns;
	list_remove(&flight->node);
	if (!flight->owner) {
		rig_flight_free(flight);
		return;
	}
	socket = rig_socket_of(flight->host, flight->owner);
	if (flight->is_error) {
		socket->error = flight->error.error;
		list_append(&socket->errors, &flight->node);
	} else if (socket->datagram_bytes + flight->size > RIG_QUEUE_MAX) {
		rig_flight_free(flight);
		return;
	} else {
		socket->datagram_bytes += flight->size;
		rig_flight_queue(&socket->datagrams, flight);
	}
	rig_socket_wake(socket);
}

static struct rig_flight *rig_flight_new(struct rig_socket *socket, const struct iovec *iov,
					 size_t count, uint64_t delay_ns)
{
	struct rig_flight *flight;
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += iov[i].iov_len;
	flight = calloc(1, sizeof(*flight) + size);
	assert(flight);
	for (size_t i = 0; i < count; i++) {
		if (iov[i].iov_len > 0)
			memcpy(flight->bytes + flight->size, iov[i].iov_base, iov[i].iov_len);
		flight->size += iov[i].iov_len;
	}
	flight->host = socket->host;
	flight->owner = socket->owner;
	flight->number = socket->host->flight_count++;
	flight->due_ns = socket->host->time->now_ns + delay_ns;
	timer_init(&flight->timer, rig_flight_arrived);
	list_init(&flight->node);
	list_append(&socket->host->flights, &flight->node);
	rig_time_after(socket->host->time, &flight->timer, delay_ns);
	return flight;
}

static int rig_datagram_take_error(struct rig_socket *socket)
{
	int error = socket->error;

	socket->error = 0;
	return -error;
}

static struct rig_socket *rig_host_find_udp(struct rig_host *host, const struct ip_endpoint *to)
{
	for (size_t i = 0, seen = 0; seen < host->sockets_open; i++) {
		struct rig_socket *socket = host->sockets[i];

		seen += socket ? 1 : 0;
		if (socket && socket->kind == RIG_SOCKET_UDP &&
		    socket->at.addr.family == to->addr.family &&
		    rig_host_endpoint_matches(&socket->at, to))
			return socket;
	}
	return NULL;
}

int rig_host_udp_open(struct host *host, struct host_socket *owner, const struct ip_endpoint *at,
		      struct ip_endpoint *ret_bound)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_socket *socket;
	int rc;

	if (at->port != 0 && rig_host_find_udp(rig, at))
		return -EADDRINUSE;
	rc = rig_socket_new(rig, owner, RIG_SOCKET_UDP, &socket);
	if (rc < 0)
		return rc;
	socket->at = *at;
	if (socket->at.port == 0)
		socket->at.port = rig_host_free_port(rig);
	if (ret_bound)
		*ret_bound = socket->at;
	return 0;
}

/* A router on the way, or the path's MTU, ends the datagram: the error comes back. True then. */
static bool rig_datagram_dies(struct rig_socket *socket, const struct host_datagram *datagram,
			      uint16_t sequence, const struct iovec *iov, size_t count)
{
	struct rig_host *host = socket->host;
	struct rig_flight *flight;

	if (datagram->ttl == 0 || datagram->ttl > host->hop_count)
		return false;
	flight = rig_flight_new(socket, iov, count, host->echo_delay_ns);
	flight->is_error = true;
	flight->sequence = sequence;
	flight->error = (struct host_icmp_error){
		.remote = datagram->remote,
		.origin = host->hop[datagram->ttl - 1],
		.type = 11,
		.error = EHOSTUNREACH,
		.payload_size = flight->size,
	};
	return true;
}

/* The kernel knows the path's MTU: the call fails, and the error queue tells it. True then. */
static bool rig_datagram_is_too_big(struct rig_socket *socket, const struct host_datagram *datagram,
				    uint16_t sequence, const struct iovec *iov, size_t count,
				    size_t size)
{
	struct rig_host *host = socket->host;
	struct rig_flight *flight;

	if (host->path_mtu == 0 || !datagram->dont_fragment || size + RIG_HEADERS <= host->path_mtu)
		return false;
	flight = rig_flight_new(socket, iov, count, 0);
	flight->is_error = true;
	flight->sequence = sequence;
	flight->error = (struct host_icmp_error){
		.remote = datagram->remote,
		.error = EMSGSIZE,
		.mtu = host->path_mtu,
	};
	timer_clear(rig_host_timers(host), &flight->timer);
	list_remove(&flight->node);
	list_append(&socket->errors, &flight->node);
	rig_socket_wake(socket);
	return true;
}

static struct rig_udp_server *rig_host_find_udp_server(struct rig_host *host,
						       const struct ip_endpoint *to)
{
	for (struct list *node = host->udp_servers.next; node != &host->udp_servers;
	     node = node->next) {
		struct rig_udp_server *server = container_of(node, struct rig_udp_server, node);

		if (rig_host_endpoint_matches(&server->at, to))
			return server;
	}
	return NULL;
}

static void rig_udp_answer(struct rig_socket *socket, struct rig_udp_server *server,
			   const struct host_datagram *datagram, const struct iovec *iov,
			   size_t count)
{
	struct rig_host *host = socket->host;
	struct ip_endpoint from = socket->at;
	struct rig_flight *flight;

	if (ip_addr_is_unspecified(&from.addr))
		from.addr = host->default_source;
	flight = rig_flight_new(socket, iov, count, server->delay_ns);
	server->datagrams++;
	server->last_from = from;
	if (server->heard)
		server->heard(server, &from, datagram, flight->bytes, flight->size);
	if (server->icmp_type >= 0 && server->error != 0) {
		flight->is_error = true;
		flight->error = (struct host_icmp_error){
			.remote = datagram->remote,
			.origin = datagram->remote.addr,
			.type = (uint8_t)server->icmp_type,
			.code = (uint8_t)server->icmp_code,
			.error = server->error,
			.payload_size = flight->size,
		};
	} else if (server->echo) {
		flight->datagram = (struct host_datagram){
			.remote = datagram->remote,
			.local = from.addr,
			.ttl = 60,
			.size = flight->size,
		};
	} else {
		rig_flight_free(flight);
	}
}

ssize_t rig_host_udp_send(struct host *host, struct host_socket *owner,
			  const struct host_datagram *datagram, const struct iovec *iov,
			  size_t count)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_socket *socket = rig_socket_of(rig, owner);
	struct rig_udp_server *server = rig_host_find_udp_server(rig, &datagram->remote);
	size_t size = 0;

	if (socket->error)
		return rig_datagram_take_error(socket);
	for (size_t i = 0; i < count; i++)
		size += iov[i].iov_len;
	if (rig_datagram_is_too_big(socket, datagram, 0, iov, count, size))
		return -EMSGSIZE;
	if (!rig_datagram_dies(socket, datagram, 0, iov, count) && server)
		rig_udp_answer(socket, server, datagram, iov, count);
	return (ssize_t)size;
}

size_t rig_host_udp_send_batch(struct host *host, struct host_socket *owner,
			       const struct host_outgoing *batch, size_t count, int *ret_error)
{
	for (size_t i = 0; i < count; i++) {
		bool pending = rig_socket_of(rig_host_of(host), owner)->error != 0;
		ssize_t sent = rig_host_udp_send(host, owner, batch[i].datagram, batch[i].iov,
						 batch[i].count);

		/* Another datagram's error: the real host tries once more. */
		if (sent < 0 && pending)
			sent = rig_host_udp_send(host, owner, batch[i].datagram, batch[i].iov,
						 batch[i].count);
		if (sent < 0) {
			*ret_error = (int)sent;
			return i;
		}
	}
	return count;
}

static ssize_t rig_datagram_receive(struct rig_socket *socket, struct host_datagram *ret_datagram,
				    uint16_t *ret_sequence, void *buffer, size_t size)
{
	struct list *node = list_first(&socket->datagrams);

	if (socket->error)
		return rig_datagram_take_error(socket);
	if (!node)
		return -EAGAIN;
	struct rig_flight *flight = container_of(node, struct rig_flight, node);
	size_t copied = flight->size < size ? flight->size : size;
	memcpy(buffer, flight->bytes, copied);
	*ret_datagram = flight->datagram;
	if (ret_sequence)
		*ret_sequence = flight->sequence;
	socket->datagram_bytes -= flight->size;
	rig_flight_free(flight);
	return (ssize_t)copied;
}

ssize_t rig_host_udp_receive(struct host *host, struct host_socket *owner,
			     struct host_datagram *ret_datagram, void *buffer, size_t size)
{
	return rig_datagram_receive(rig_socket_of(rig_host_of(host), owner), ret_datagram, NULL,
				    buffer, size);
}

/* What a kernel would put behind a datagram that was received; false where the next one is another's. */
static bool rig_datagram_join(struct rig_socket *socket, struct host_datagram *datagram,
			      uint8_t *buffer)
{
	struct list *node = list_first(&socket->datagrams);
	size_t each = datagram->segment_size > 0 ? datagram->segment_size : datagram->size;
	struct host_datagram next;

	if (!node || socket->error || each == 0 || datagram->size % each != 0)
		return false;
	const struct rig_flight *flight = container_of(node, struct rig_flight, node);
	const struct host_datagram *other = &flight->datagram;
	if (other->segment_size > 0 || flight->size == 0 || flight->size > each ||
	    datagram->size + flight->size > RIG_COALESCED_MAX || other->ttl != datagram->ttl ||
	    other->tos != datagram->tos || !ip_endpoint_equal(&other->remote, &datagram->remote) ||
	    !ip_addr_equal(&other->local, &datagram->local))
		return false;
	ssize_t got = rig_datagram_receive(socket, &next, NULL, buffer + datagram->size,
					   HOST_DATAGRAM_MAX - datagram->size);
	assert(got > 0);
	datagram->segment_size = (uint16_t)each;
	datagram->size += (size_t)got;
	return true;
}

ssize_t rig_host_udp_receive_batch(struct host *host, struct host_socket *owner,
				   struct host_datagram *ret_datagrams, void *buffers, size_t count)
{
	struct rig_host *rig = rig_host_of(host);
	uint8_t *buffer = buffers;

	for (size_t i = 0; i < count; i++) {
		ssize_t got = rig_host_udp_receive(host, owner, &ret_datagrams[i], buffer,
						   HOST_DATAGRAM_MAX);

		/* A pending error is taken away, and the real host tries again. */
		if (got < 0 && got != -EAGAIN)
			got = rig_host_udp_receive(host, owner, &ret_datagrams[i], buffer,
						   HOST_DATAGRAM_MAX);
		if (got < 0)
			return i > 0 ? (ssize_t)i : got;
		while (rig->coalesces &&
		       rig_datagram_join(rig_socket_of(rig, owner), &ret_datagrams[i], buffer))
			continue;
		rig->messages++;
		buffer += HOST_DATAGRAM_MAX;
	}
	return (ssize_t)count;
}

int rig_host_echo_open(struct host *host, struct host_socket *owner, enum ip_family family,
		       uint16_t *ret_ident)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_socket *socket;
	int rc;

	if (rig->no_echo)
		return -EACCES;
	rc = rig_socket_new(rig, owner, RIG_SOCKET_ECHO, &socket);
	if (rc < 0)
		return rc;
	socket->family = family;
	socket->ident = rig_host_free_port(rig);
	*ret_ident = socket->ident;
	return 0;
}

ssize_t rig_host_echo_send(struct host *host, struct host_socket *owner,
			   const struct host_datagram *datagram, uint16_t sequence,
			   const struct iovec *iov, size_t count)
{
	struct rig_host *rig = rig_host_of(host);
	struct rig_socket *socket = rig_socket_of(rig, owner);
	struct rig_flight *flight;
	size_t size = 0;

	if (socket->error)
		return rig_datagram_take_error(socket);
	for (size_t i = 0; i < count; i++)
		size += iov[i].iov_len;
	if (rig_datagram_is_too_big(socket, datagram, sequence, iov, count, size))
		return -EMSGSIZE;
	if (rig->echo_silent || rig_datagram_dies(socket, datagram, sequence, iov, count))
		return (ssize_t)size;
	flight = rig_flight_new(socket, iov, count, rig->echo_delay_ns);
	flight->sequence = sequence;
	flight->datagram = (struct host_datagram){
		.remote = { datagram->remote.addr, 0 },
		.local = rig->default_source,
		.ttl = 60,
		.size = size,
	};
	return (ssize_t)size;
}

ssize_t rig_host_echo_receive(struct host *host, struct host_socket *owner,
			      struct host_datagram *ret_datagram, uint16_t *ret_sequence,
			      void *buffer, size_t size)
{
	return rig_datagram_receive(rig_socket_of(rig_host_of(host), owner), ret_datagram,
				    ret_sequence, buffer, size);
}

int rig_host_error_receive(struct host *host, struct host_socket *owner,
			   struct host_icmp_error *ret_error, uint16_t *ret_sequence, void *buffer,
			   size_t size)
{
	struct rig_socket *socket = rig_socket_of(rig_host_of(host), owner);
	struct list *node = list_first(&socket->errors);

	socket->error = 0;
	if (!node)
		return -EAGAIN;
	struct rig_flight *flight = container_of(node, struct rig_flight, node);
	memcpy(buffer, flight->bytes, flight->size < size ? flight->size : size);
	*ret_error = flight->error;
	if (ret_sequence)
		*ret_sequence = flight->sequence;
	rig_flight_free(flight);
	return 0;
}

bool rig_host_datagram(struct rig_host *host, const struct ip_endpoint *from,
		       const struct ip_endpoint *to, const void *bytes, size_t size)
{
	return rig_host_datagrams(host, from, to, bytes, size, 0);
}

bool rig_host_datagrams(struct rig_host *host, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const void *bytes, size_t size,
			uint16_t segment_size)
{
	struct rig_socket *socket = rig_host_find_udp(host, to);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	struct rig_flight *flight;

	if (!socket)
		return false;
	flight = rig_flight_new(socket, &iov, 1, 0);
	flight->datagram = (struct host_datagram){
		.remote = *from,
		.local = to->addr,
		.ttl = 60,
		.size = size,
		.segment_size = segment_size,
	};
	return true;
}
