/*
 * Theory of operation
 *
 * Echo: a flow is (guest address, identifier); each has an echo socket, which may talk to any number
 * of hosts, as ping(8) does from one socket. The kernel gives the socket an identifier of its own,
 * so the guest's is put back into replies. A reply passes when its sequence number and address are
 * among the last requests. Errors (time exceeded from a router, unreachable) come by the error queue
 * and go to the guest with its own packet as quote, which is what traceroute needs.
 */

#include "nat/icmp_flow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/index.h"
#include "nat/icmp_error.h"
#include "nat/port_lists.h"
#include "wire/icmp.h"
#include "wire/packet_build.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define ICMP_IDLE_NS (60 * NS_PER_S) /* RFC 5508 3.2 */
/* Echo flows are short and few: a share of the flow table is enough. */
#define ICMP_CAPACITY_MOST 1024
#define ICMP_RECEIVE_MOST  1024
#define ICMP_ERRORS_MOST   64
/* Requests whose answers are awaited; a flood's older ones are forgotten. */
#define ICMP_REQUESTS 32

struct icmp_request {
	struct ip_addr seen;
	struct ip_addr real; /* family NONE = unused */
	uint16_t sequence;
	uint32_t review; /* the number of the last one that it passed */
};

struct icmp_flow {
	struct nat *nat;
	struct host_socket socket;
	struct ip_addr guest;
	uint16_t identifier;
	uint32_t port;
	struct list node; /* in the port's list of `used`, or in `unused` */
	struct timer expiry;
	struct icmp_request requests[ICMP_REQUESTS];
	uint32_t next_request;
};

struct icmp_table {
	struct nat *nat;
	struct icmp_flow *flows;
	uint32_t capacity;
	uint32_t count;
	uint32_t fresh;		/* from here on never used */
	struct budget budget;	/* each port's share of them */
	struct port_lists used; /* least recently used first */
	struct list unused;
	struct index by_guest;
	uint16_t next_id;
	struct icmp_error_limit *error_limits; /* [port_capacity + 1] */
	uint8_t buffer[65536];
};

struct icmp_key {
	const struct ip_addr *guest;
	uint16_t identifier;
};

static uint32_t icmp_hash(const struct icmp_table *table, const struct icmp_key *of)
{
	uint8_t key[sizeof(struct ip_addr) + 2];

	memcpy(key, of->guest, sizeof(*of->guest));
	key[sizeof(struct ip_addr)] = (uint8_t)(of->identifier >> 8);
	key[sizeof(struct ip_addr) + 1] = (uint8_t)of->identifier;
	return index_hash(&table->by_guest, key, sizeof(key));
}

static bool icmp_match(const void *context, uint32_t entry, const void *key)
{
	const struct icmp_table *table = context;
	const struct icmp_key *of = key;

	return table->flows[entry].identifier == of->identifier &&
	       ip_addr_equal(&table->flows[entry].guest, of->guest);
}

static void icmp_flow_free(struct icmp_flow *flow)
{
	struct nat *nat = flow->nat;
	struct icmp_table *table = nat->shard.icmp;
	const struct icmp_key key = { &flow->guest, flow->identifier };

	timer_clear(nat_timers(nat), &flow->expiry);
	host_call(nat->context.host, close, &flow->socket);
	index_remove(&table->by_guest, icmp_hash(table, &key), (uint32_t)(flow - table->flows));
	budget_give(&table->budget, flow->port);
	budget_give(&nat->budget, flow->port);
	list_remove(&flow->node);
	list_prepend(&table->unused, &flow->node);
	table->count--;
}

static void icmp_flow_expired(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	icmp_flow_free(container_of(timer, struct icmp_flow, expiry));
}

static void icmp_flow_touch(struct icmp_flow *flow)
{
	struct nat *nat = flow->nat;

	list_remove(&flow->node);
	list_append(port_lists_of(&nat->shard.icmp->used, flow->port), &flow->node);
	timer_set(nat_timers(nat), &flow->expiry, nat_now(nat) + ICMP_IDLE_NS);
}

/* --- replies and errors ------------------------------------------------------------------- */

/* Answers to what may not be asked any more are not expected. There is nothing else to end. */
static bool icmp_request_passes(const struct nat *nat, struct icmp_request *request)
{
	const struct ip_endpoint seen = { request->seen, 0 };

	if (request->review == nat->review.number)
		return true;
	if (policy_may_go_on(nat, PACKET_IP_PROTOCOL_ICMP, &seen, true)) {
		request->review = nat->review.number;
		return true;
	}
	request->real.family = IP_FAMILY_NONE;
	nat_drop(nat, DROP_FILTERED);
	return false;
}

static const struct icmp_request *icmp_request_find(struct icmp_flow *flow,
						    const struct ip_addr *real, uint16_t sequence)
{
	for (uint32_t i = 0; i < ICMP_REQUESTS; i++) {
		struct icmp_request *request = &flow->requests[i];

		if (request->sequence == sequence && ip_addr_equal(&request->real, real))
			return icmp_request_passes(flow->nat, request) ? request : NULL;
	}
	return NULL;
}

static void icmp_deliver(struct icmp_flow *flow, const struct icmp_request *request,
			 const struct host_datagram *datagram, size_t size)
{
	struct nat *nat = flow->nat;
	struct icmp_table *table = nat->shard.icmp;
	struct iovec payload = { table->buffer, size };
	const struct packet_link link = {
		.source = nat->config.mac,
		.tos = datagram->tos,
		.ttl = datagram->ttl,
		.id = table->next_id++,
	};
	const struct icmp_header header = {
		.type = ICMP_TYPE_ECHO_REPLY,
		.identifier = flow->identifier,
		.sequence = request->sequence,
	};
	struct frame frame;

	if (datagram->size > size ||
	    !packet_build_icmp(&frame, &link, &request->seen, &flow->guest, &header, &payload, 1) ||
	    !nat_push_datagram(nat, &frame))
		nat_drop(nat, DROP_LONG_FRAME);
}

static void icmp_receive(struct icmp_flow *flow)
{
	struct nat *nat = flow->nat;
	struct icmp_table *table = nat->shard.icmp;

	/* The kernel delivers only answers to our identifier, so few wait; the bound is for a host
	 * that answers one request many times, whose rest is lost. */
	for (unsigned i = 0; i < ICMP_RECEIVE_MOST; i++) {
		struct host_datagram datagram;
		uint16_t sequence;
		ssize_t size = host_call(nat->context.host, echo_receive, &flow->socket, &datagram,
					 &sequence, table->buffer, sizeof(table->buffer));

		if (size == -EAGAIN)
			return;
		if (size < 0)
			continue;
		const struct icmp_request *request =
			icmp_request_find(flow, &datagram.remote.addr, sequence);
		if (request)
			icmp_deliver(flow, request, &datagram, (size_t)size);
		else
			nat_drop(nat, DROP_NO_FLOW);
	}
}

static void icmp_report_error(struct icmp_flow *flow, const struct host_icmp_error *error,
			      uint16_t sequence, size_t size)
{
	struct nat *nat = flow->nat;
	const struct icmp_table *table = nat->shard.icmp;
	const struct icmp_request *request = icmp_request_find(flow, &error->remote.addr, sequence);
	const struct icmp_header header = {
		.type = ICMP_TYPE_ECHO_REQUEST,
		.identifier = flow->identifier,
		.sequence = sequence,
	};
	uint8_t quote[ICMP_QUOTE_MAX];
	struct writer writer = writer_of(quote, sizeof(quote));

	if (!request)
		return;
	struct ip_addr origin =
		icmp_error_origin(nat, &error->origin, &request->real, &request->seen);
	icmp_build(&writer, &header);
	writer_bytes(&writer, table->buffer,
		     size < writer_left(&writer) ? size : writer_left(&writer));
	icmp_send_error(nat, flow->port, &origin, &flow->guest, &request->seen,
			PACKET_IP_PROTOCOL_ICMP, error->type, error->code, error->mtu, quote,
			ICMP_HEADER_SIZE + size);
}

/* Returns the MTU that the host itself named for a request it did not take, 0 when there was none:
 * such an entry does not say which request. */
static uint32_t icmp_drain_errors(struct icmp_flow *flow)
{
	struct nat *nat = flow->nat;
	struct icmp_table *table = nat->shard.icmp;
	uint32_t local_mtu = 0;

	for (unsigned i = 0; i < ICMP_ERRORS_MOST; i++) {
		struct host_icmp_error error;
		uint16_t sequence = 0;
		int status = host_call(nat->context.host, error_receive, &flow->socket, &error,
				       &sequence, table->buffer, sizeof(table->buffer));

		if (status < 0)
			break;
		if (!ip_addr_is_v4(&error.origin)) {
			if (error.error == EMSGSIZE)
				local_mtu = error.mtu;
			continue;
		}
		size_t size = error.payload_size < sizeof(table->buffer) ? error.payload_size
									 : sizeof(table->buffer);
		icmp_report_error(flow, &error, sequence, size);
	}
	return local_mtu;
}

static void icmp_ready(struct host_socket *socket, uint32_t events)
{
	struct icmp_flow *flow = container_of(socket, struct icmp_flow, socket);

	if (events & EPOLLERR)
		(void)icmp_drain_errors(flow); /* told when it was sent */
	if (events & EPOLLIN)
		icmp_receive(flow);
}

/* --- requests ----------------------------------------------------------------------------- */

static bool icmp_flow_charge(struct nat *nat, uint32_t port)
{
	struct icmp_table *table = nat->shard.icmp;

	if (!budget_take(&table->budget, port))
		return false;
	if (budget_take(&nat->budget, port))
		return true;
	budget_give(&table->budget, port);
	return false;
}

/* Where the port's share is used up, its own flow that rests longest gives way. */
static bool icmp_flow_make_room(struct nat *nat, uint32_t port)
{
	struct list *first = list_first(port_lists_of(&nat->shard.icmp->used, port));

	if (icmp_flow_charge(nat, port))
		return true;
	nat_drop(nat, DROP_FLOW_LIMIT);
	if (!first)
		return false;
	icmp_flow_free(container_of(first, struct icmp_flow, node));
	return icmp_flow_charge(nat, port);
}

/* There is one: the table's budget is as large as the table. */
static struct icmp_flow *icmp_flow_take(struct icmp_table *table)
{
	struct list *node = list_first(&table->unused);

	if (node) {
		list_remove(node);
		return container_of(node, struct icmp_flow, node);
	}
	assert(table->fresh < table->capacity);
	struct icmp_flow *flow = &table->flows[table->fresh++];
	list_init(&flow->node);
	return flow;
}

static struct icmp_flow *icmp_flow_new(struct nat *nat, const struct icmp_key *key, uint32_t port)
{
	struct icmp_table *table = nat->shard.icmp;
	uint16_t host_identifier;

	if (nat->draining) {
		nat_drop(nat, DROP_NAT_OFF);
		return NULL;
	}
	if (!icmp_flow_make_room(nat, port))
		return NULL;
	struct icmp_flow *flow = icmp_flow_take(table);
	*flow = (struct icmp_flow){
		.nat = nat,
		.guest = *key->guest,
		.identifier = key->identifier,
		.port = port,
	};
	list_init(&flow->node);
	timer_init(&flow->expiry, icmp_flow_expired);
	host_socket_init(&flow->socket, icmp_ready);
	int status = host_call(nat->context.host, echo_open, &flow->socket, IP_FAMILY_V4,
			       &host_identifier);
	if (status < 0) {
		nat_drop(nat, status == -EACCES ? DROP_PING_OFF : DROP_SOCKET_LIMIT);
		budget_give(&table->budget, port);
		budget_give(&nat->budget, port);
		list_prepend(&table->unused, &flow->node);
		return NULL;
	}
	bool ok = index_insert(&table->by_guest, icmp_hash(table, key),
			       (uint32_t)(flow - table->flows));
	assert(ok);
	table->count++;
	list_append(port_lists_of(&table->used, port), &flow->node);
	return flow;
}

static void icmp_request_remember(struct icmp_flow *flow, const struct ip_addr *seen,
				  const struct ip_addr *real, uint16_t sequence)
{
	flow->requests[flow->next_request] =
		(struct icmp_request){ .seen = *seen,
				       .real = *real,
				       .sequence = sequence,
				       .review = flow->nat->review.number };
	flow->next_request = (flow->next_request + 1) % ICMP_REQUESTS;
}

static void icmp_send_request(struct icmp_flow *flow, struct frame *frame,
			      const struct ip_addr *real, uint16_t sequence)
{
	struct nat *nat = flow->nat;
	const struct packet *packet = &frame->packet;
	const struct host_datagram datagram = {
		.remote = { *real, 0 },
		.ttl = (uint8_t)(packet->ip_ttl > 0 ? packet->ip_ttl - 1 : 0),
		.tos = packet->ip_tos,
		.dont_fragment = packet->ip_dont_fragment,
		.size = frame->payload_size,
	};
	ssize_t sent = host_call(nat->context.host, echo_send, &flow->socket, &datagram, sequence,
				 frame->payload, frame->payload_count);

	if (sent < 0)
		icmp_refuse_unsent(nat, frame, (int)-sent,
				   sent == -EMSGSIZE ? icmp_drain_errors(flow) : 0);
}

void icmp_input(struct nat *nat, struct frame *frame)
{
	struct icmp_table *table = nat->shard.icmp;
	const struct packet *packet = &frame->packet;
	const struct ip_endpoint seen = { packet->ip_destination, 0 };
	struct reader reader = reader_of(frame->header, frame->header_size);
	enum drop_reason reason;
	struct icmp_header header;
	struct ip_endpoint real;

	reader_skip(&reader, packet->l4_offset);
	if (!icmp_parse(&reader, &header)) {
		nat_drop(nat, DROP_BAD_L4_HEADER);
		return;
	}
	if (header.type != ICMP_TYPE_ECHO_REQUEST) {
		nat_drop(nat, DROP_ICMP_TYPE);
		return;
	}
	if (!policy_resolve(nat, PACKET_IP_PROTOCOL_ICMP, &seen, &real, &reason)) {
		nat_drop(nat, reason);
		icmp_refuse(nat, frame, ICMP_CODE_ADMIN_PROHIBITED, 0);
		return;
	}
	const struct icmp_key key = { &packet->ip_source, header.identifier };
	uint32_t entry =
		index_find(&table->by_guest, icmp_hash(table, &key), icmp_match, table, &key);
	struct icmp_flow *flow =
		entry != INDEX_NONE ? &table->flows[entry] : icmp_flow_new(nat, &key, frame->port);
	if (!flow)
		return;
	icmp_flow_touch(flow);
	icmp_request_remember(flow, &seen.addr, &real.addr, header.sequence);
	icmp_send_request(flow, frame, &real.addr, header.sequence);
}

/* --- the table ---------------------------------------------------------------------------- */

void nat_try_ping(struct nat *nat)
{
	struct host_socket socket;
	uint16_t identifier;

	if (!nat->config.outbound)
		return;
	host_socket_init(&socket, NULL);
	if (host_call(nat->context.host, echo_open, &socket, IP_FAMILY_V4, &identifier) == 0)
		host_call(nat->context.host, close, &socket);
}

struct icmp_table *icmp_table_free(struct icmp_table *table)
{
	if (!table)
		return NULL;
	for (uint32_t i = 0; i < table->used.count; i++) {
		list_for_each_safe(node, next, &table->used.lists[i])
			icmp_flow_free(container_of(node, struct icmp_flow, node));
	}
	budget_done(&table->budget);
	port_lists_done(&table->used);
	index_done(&table->by_guest);
	free(table->error_limits);
	free(table->flows);
	free(table);
	return NULL;
}

int icmp_table_new(struct nat *nat, struct icmp_table **ret_table)
{
	struct icmp_table *table = calloc(1, sizeof(*table));
	uint32_t capacity = nat->config.flow_capacity;

	if (!table)
		return -ENOMEM;
	table->nat = nat;
	table->capacity = capacity < ICMP_CAPACITY_MOST ? capacity : ICMP_CAPACITY_MOST;
	list_init(&table->unused);
	table->flows = calloc(table->capacity, sizeof(*table->flows));
	table->error_limits =
		calloc((size_t)nat->config.port_capacity + 1, sizeof(*table->error_limits));
	if (!table->flows || !table->error_limits ||
	    port_lists_init(&table->used, nat->config.port_capacity) < 0 ||
	    budget_init(&table->budget, table->capacity, nat->config.port_capacity) < 0 ||
	    index_init(&table->by_guest, table->capacity, nat->context.random) < 0) {
		icmp_table_free(table);
		return -ENOMEM;
	}
	budget_keep_back(&table->budget);
	*ret_table = table;
	return 0;
}

void icmp_port_gone(struct nat *nat, uint32_t port)
{
	list_for_each_safe(node, next, port_lists_of(&nat->shard.icmp->used, port))
		icmp_flow_free(container_of(node, struct icmp_flow, node));
}

uint32_t icmp_flow_count(const struct nat *nat)
{
	return nat->shard.icmp->count;
}

struct icmp_error_limit *icmp_error_limit_of(struct nat *nat, uint32_t port)
{
	uint32_t most = nat->config.port_capacity;

	return &nat->shard.icmp->error_limits[port < most ? port : most];
}
