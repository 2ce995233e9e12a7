#include "world.h"

#include "wire/frame_segment.h"
#include "wire/packet_build.h"

struct world *world;

struct ip_endpoint at(uint32_t addr, uint16_t port)
{
	return (struct ip_endpoint){ ip_addr_from_v4(addr), port };
}

struct ip_endpoint at6(const char *text, uint16_t port)
{
	struct ip_endpoint endpoint = { .port = port };

	assert_true(ip_addr_parse(text, &endpoint.addr));
	return endpoint;
}

uint64_t world_drops(enum drop_reason reason)
{
	return world->drops.count[reason];
}

void world_fill(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 251);
}

/* --- the guests' side --------------------------------------------------------------------- */

static void hear_icmp(struct world_heard *heard)
{
	struct reader reader = reader_of(heard->frame, heard->frame_size);

	reader_skip(&reader, heard->packet.l4_offset);
	assert_true(icmp_parse(&reader, &heard->icmp));
	if (icmp_is_error(heard->icmp.type))
		heard->has_quote = icmp_parse_quote(&reader, &heard->quote);
}

/* Every frame must be one that a guest takes: dissects, fits the MTU, has the right checksum. */
static void sink_emit(void *context, const struct frame *frame)
{
	(void)context;
	assert_true(world->heard_count < WORLD_HEARD);
	struct world_heard *heard = &world->heard[world->heard_count++];
	struct frame again;
	enum drop_reason reason;

	*heard = (struct world_heard){ .frame_size = frame_size(frame) };
	heard->frame = malloc(heard->frame_size);
	assert_int_equal(frame_copy(frame, heard->frame, heard->frame_size), heard->frame_size);
	assert_true(heard->frame_size <= world->config.mtu + FRAME_ETHERNET_SIZE);
	assert_true(frame_from_bytes(&again, heard->frame, heard->frame_size, 0, &reason));
	heard->packet = again.packet;
	if (!again.packet.ip_is_fragment && again.packet.ip_protocol != PACKET_IP_PROTOCOL_TCP)
		assert_true(frame_verify_checksum(&again));
	heard->payload = heard->frame + heard->packet.payload_offset;
	heard->payload_size = (size_t)heard->packet.l3_offset + heard->packet.ip_total_size -
			      heard->packet.payload_offset;
	if (heard->packet.has_l4 && heard->packet.ip_protocol == PACKET_IP_PROTOCOL_ICMP)
		hear_icmp(heard);
}

/* A port without offload. */
static void sink_push(struct frame_sink *sink, struct frame *frame)
{
	(void)sink;
	world->pushed++;
	world->super_frames += frame->offload.gso != FRAME_GSO_NONE;
	assert_true(frame_check_offload(frame));
	assert_true(frame_segment(frame, sink_emit, NULL) > 0);
}

static void sink_flush(struct frame_sink *sink)
{
	(void)sink;
	world->flushed++;
}

static size_t sink_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static const struct frame_sink_ops sink_ops = {
	.push = sink_push,
	.flush = sink_flush,
	.room = sink_room,
};

static const struct packet_link *link_of(struct world_shape shape)
{
	static struct packet_link link;

	link = (struct packet_link){
		.source = { { 2, 0, 0, 0, 0, 9 } },
		.ttl = shape.ttl,
		.tos = shape.tos,
		.dont_fragment = shape.dont_fragment,
	};
	return &link;
}

void guests_hold(void)
{
	world->holding = true;
}

void guests_flush(void)
{
	world->holding = false;
	frame_sink_flush(nat_guest_side(world->nat));
	world_run();
}

static void push(struct frame *frame, struct world_shape shape)
{
	frame->port = shape.bridge_port > 0 ? shape.bridge_port : WORLD_PORT;
	frame_sink_push(nat_guest_side(world->nat), frame);
	if (!world->holding)
		guests_flush();
}

static void send_udp(struct ip_endpoint from, struct ip_endpoint to, struct world_shape shape,
		     const void *bytes, size_t size)
{
	struct iovec payload = { (void *)(uintptr_t)bytes, size };
	struct frame frame;

	assert_true(packet_build_udp(&frame, link_of(shape), &from, &to, &payload, 1));
	push(&frame, shape);
}

void guest_udp(struct ip_endpoint from, struct ip_endpoint to, const char *text)
{
	send_udp(from, to, (struct world_shape){}, text, strlen(text));
}

void guest_udp_shaped(struct ip_endpoint from, struct ip_endpoint to, struct world_shape shape)
{
	uint8_t *bytes = malloc(shape.size + 1);

	world_fill(bytes, shape.size);
	send_udp(from, to, shape, bytes, shape.size);
	free(bytes);
}

void guest_udp_super(struct ip_endpoint from, struct ip_endpoint to, struct world_shape shape,
		     uint16_t gso_size)
{
	uint8_t *bytes = malloc(shape.size + 1);
	/* In two pieces: a guest's memory is. */
	struct iovec payload[] = { { bytes, shape.size / 3 },
				   { bytes + shape.size / 3, shape.size - shape.size / 3 } };
	struct frame frame;

	world_fill(bytes, shape.size);
	assert_true(packet_build_udp_partial(&frame, link_of(shape), &from, &to, payload,
					     ARRAY_COUNT(payload), gso_size));
	push(&frame, shape);
	free(bytes);
}

static void send_icmp(uint32_t from, uint32_t to, const struct icmp_header *header,
		      struct world_shape shape)
{
	struct ip_addr source = ip_addr_from_v4(from);
	struct ip_addr destination = ip_addr_from_v4(to);
	uint8_t *bytes = malloc(shape.size + 1);
	struct iovec payload = { bytes, shape.size };
	struct frame frame;

	world_fill(bytes, shape.size);
	assert_true(packet_build_icmp(&frame, link_of(shape), &source, &destination, header,
				      &payload, 1));
	push(&frame, shape);
	free(bytes);
}

void guest_icmp(uint32_t from, uint32_t to, const struct icmp_header *header)
{
	send_icmp(from, to, header, (struct world_shape){ .size = 40 });
}

void guest_echo_shaped(uint32_t from, uint32_t to, uint16_t ident, uint16_t sequence,
		       struct world_shape shape)
{
	const struct icmp_header header = {
		.type = ICMP_TYPE_ECHO_REQUEST,
		.identifier = ident,
		.sequence = sequence,
	};

	send_icmp(from, to, &header, shape);
}

void guest_echo(uint32_t from, uint32_t to, uint16_t ident, uint16_t sequence)
{
	guest_echo_shaped(from, to, ident, sequence, (struct world_shape){ .size = 56 });
}

void guest_syn(struct ip_endpoint from, struct ip_endpoint to)
{
	const struct tcp_header syn = { .sequence = 1000, .flags = TCP_SYN, .window = 65535 };
	struct world_shape shape = {};
	struct frame frame;

	assert_true(packet_build_tcp(&frame, link_of(shape), &from, &to, &syn, NULL, 0, 0));
	push(&frame, shape);
}

/* --- the test's hands --------------------------------------------------------------------- */

struct world_sent *next_sent(void)
{
	return world->sent_seen < world->sent_count ? &world->sent[world->sent_seen++] : NULL;
}

struct world_heard *next_heard(void)
{
	return world->heard_seen < world->heard_count ? &world->heard[world->heard_seen++] : NULL;
}

struct world_sent *must_send(void)
{
	struct world_sent *sent = next_sent();

	if (sent)
		return sent;
	fail_msg("nothing was sent");
	abort();
}

struct world_heard *must_hear(void)
{
	struct world_heard *heard = next_heard();

	if (heard)
		return heard;
	fail_msg("no guest heard anything");
	abort();
}

void forget_all(void)
{
	for (unsigned i = 0; i < world->sent_count; i++)
		free(world->sent[i].bytes);
	for (unsigned i = 0; i < world->heard_count; i++)
		free(world->heard[i].frame);
	world->sent_count = 0;
	world->sent_seen = 0;
	world->heard_count = 0;
	world->heard_seen = 0;
}

void expect_heard(struct ip_endpoint from, struct ip_endpoint to, const char *text)
{
	struct world_heard *heard = must_hear();

	assert_int_equal(heard->packet.ip_protocol, PACKET_IP_PROTOCOL_UDP);
	assert_true(ip_addr_equal(&heard->packet.ip_source, &from.addr));
	assert_int_equal(heard->packet.port_source, from.port);
	assert_true(ip_addr_equal(&heard->packet.ip_destination, &to.addr));
	assert_int_equal(heard->packet.port_destination, to.port);
	assert_int_equal(heard->payload_size, strlen(text));
	assert_memory_equal(heard->payload, text, strlen(text));
}

struct world_sent *expect_sent(struct ip_endpoint to, const char *text)
{
	struct world_sent *sent = must_send();

	assert_true(ip_endpoint_equal(&sent->datagram.remote, &to));
	assert_int_equal(sent->size, strlen(text));
	assert_memory_equal(sent->bytes, text, strlen(text));
	return sent;
}

void expect_silence(void)
{
	assert_null(next_sent());
	assert_null(next_heard());
}

struct world_heard *expect_error(uint32_t origin, uint8_t type, uint8_t code, uint32_t seen)
{
	struct world_heard *heard = must_hear();

	assert_int_equal(heard->packet.ip_protocol, PACKET_IP_PROTOCOL_ICMP);
	assert_int_equal(ip_addr_to_v4(&heard->packet.ip_source), origin);
	assert_int_equal(heard->icmp.type, type);
	assert_int_equal(heard->icmp.code, code);
	assert_true(heard->has_quote);
	assert_true(heard->quote.ip.checksum_ok);
	assert_true(ip_addr_equal(&heard->quote.ip.source, &heard->packet.ip_destination));
	assert_int_equal(ip_addr_to_v4(&heard->quote.ip.destination), seen);
	return heard;
}

int last_sender(void)
{
	return world->sent_count > 0 ? world->sent[world->sent_count - 1].socket : -1;
}

void world_arrives_bytes(int socket, const struct host_datagram *datagram, const void *bytes)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, datagram->size };
	struct world_packet *packet = world_packet_new(&iov, 1);

	packet->datagram = *datagram;
	assert_non_null(world->sockets[socket].owner);
	world_arrive(&world->sockets[socket], packet);
}

void world_arrives(int socket, struct ip_endpoint from, uint32_t local, const char *text)
{
	const struct host_datagram datagram = {
		.remote = from,
		.local = ip_addr_from_v4(local),
		.ttl = 60,
		.size = strlen(text),
	};

	world_arrives_bytes(socket, &datagram, text);
	world_run();
}

void world_echo_reply(int socket, uint32_t from, uint16_t sequence, const char *text)
{
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct world_packet *packet = world_packet_new(&iov, 1);

	packet->datagram = (struct host_datagram){
		.remote = at(from, 0),
		.local = ip_addr_from_v4(HOST_LAN),
		.ttl = 55,
		.size = packet->size,
	};
	packet->sequence = sequence;
	world_arrive(&world->sockets[socket], packet);
	world_run();
}

void world_fails(int socket, const struct host_icmp_error *error, uint16_t sequence,
		 const void *bytes, size_t size)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct world_packet *packet = world_packet_new(&iov, 1);

	packet->is_error = true;
	packet->error = *error;
	packet->sequence = sequence;
	world_arrive(&world->sockets[socket], packet);
	world_run();
}

void world_connects(int socket, struct ip_endpoint from)
{
	struct world_socket *listener = &world->sockets[socket];

	assert_int_equal(listener->kind, WORLD_LISTENER);
	assert_true(listener->waiting_count < ARRAY_COUNT(listener->waiting));
	listener->waiting[listener->waiting_count++] = from;
	listener->events |= EPOLLIN;
}

int world_bound_at(struct ip_endpoint where)
{
	for (int i = 0; i < world->socket_count; i++) {
		if (world->sockets[i].owner && ip_endpoint_equal(&world->sockets[i].at, &where))
			return i;
	}
	fail();
	return -1;
}

int world_forward(uint8_t protocol, struct ip_endpoint external, struct ip_endpoint internal)
{
	const struct nat_forward rule = {
		.protocol = protocol,
		.external = external,
		.internal = internal,
	};
	struct ip_endpoint bound;

	assert_int_equal(nat_forward_add(world->nat, &rule, &bound), 0);
	return world->socket_count - 1;
}

/* --- its life ----------------------------------------------------------------------------- */

static uint64_t world_now(const struct clock *clock)
{
	(void)clock;
	return world->now_ns;
}

/* One edge each: an event is told once, whatever the owner takes. */
static bool deliver_events(void)
{
	bool any = false;

	for (int i = 0; i < world->socket_count; i++) {
		struct world_socket *socket = &world->sockets[i];
		uint32_t events = socket->events;

		socket->events = 0;
		if (!socket->owner || events == 0 || !socket->owner->ready)
			continue;
		any = true;
		world->ready_calls++;
		socket->owner->ready(socket->owner, events);
	}
	return any;
}

void world_batch(void)
{
	(void)deliver_events();
	assert_int_equal(loop_run_once(world->loop, 0), 0);
}

void world_run(void)
{
	unsigned rounds = 0;
	unsigned quiet = 0;

	/* Deferred work and timers that are due at once take a few batches. */
	while (quiet < 3) {
		unsigned before = world->heard_count + world->sent_count;
		bool any = deliver_events();

		assert_int_equal(loop_run_once(world->loop, 0), 0);
		any = any || world->heard_count + world->sent_count != before;
		quiet = any ? 0 : quiet + 1;
		assert_true(++rounds < 10000);
	}
}

void world_pass(uint64_t duration_ns)
{
	uint64_t end_ns = world->now_ns + duration_ns;

	while (world->now_ns < end_ns) {
		uint64_t step_ns = end_ns - world->now_ns;

		world->now_ns += step_ns < NS_PER_S ? step_ns : NS_PER_S;
		world_batch();
	}
	world_run();
}

struct nat_config world_config(void)
{
	return (struct nat_config){
		.mac = { { 2, 0, 0, 0, 0, 1 } },
		.addr = ip_addr_from_v4(GATEWAY),
		.subnet = { ip_addr_from_v4(GATEWAY - 1), 24 },
		.mtu = 1500,
		.outbound = true,
		.flow_capacity = 256,
		.half_open_capacity = 64,
		.udp_socket_capacity = WORLD_SOCKETS,
		.port_capacity = 8,
	};
}

void world_start(const struct nat_config *config)
{
	world = calloc(1, sizeof(*world));
	world->clock.now_ns = world_now;
	world->now_ns = 1000 * NS_PER_S;
	world->host.ops = &world_host_ops;
	world->to_guest.ops = &sink_ops;
	world->sockets_most = WORLD_SOCKETS;
	world->next_port = 40000;
	world->config = *config;
	random_seeded_init(&world->random, 11);
	assert_int_equal(loop_new(&world->clock, &world->loop), 0);
	const struct nat_context context = {
		.loop = world->loop,
		.random = &world->random.random,
		.drops = &world->drops,
		.host = &world->host,
		.to_guest = &world->to_guest,
	};
	assert_int_equal(nat_new(config, &context, &world->nat), 0);
	world_run();
}

void world_end(void)
{
	nat_free(world->nat);
	loop_free(world->loop);
	assert_int_equal(world->sockets_open, 0);
	forget_all();
	free(world);
	world = NULL;
}

int world_setup(void **state)
{
	const struct nat_config config = world_config();

	(void)state;
	world_start(&config);
	return 0;
}

int world_teardown(void **state)
{
	(void)state;
	if (world)
		world_end();
	return 0;
}
