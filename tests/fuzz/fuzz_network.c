/*
 * What guests, the world and time can do to a whole network. The input's first byte chooses the
 * network (network_world.h), the rest is a row of steps, each of a kind, an argument, a size (two
 * bytes) and that many bytes:
 *
 *     0  a frame as it is, by guest ARGUMENT % 4 (3: as guest 0)
 *     1  a frame with addresses, sizes and checksums put right; bits 2 to 5 of the argument are
 *        FRAME_REPAIR_KEEP_*
 *     2  time passes: ARGUMENT & 31 of a unit chosen by the rest
 *     3  a TCP segment of conversation ARGUMENT & 7: flags, what to add to the sequence number and to
 *        the acknowledgement (signed bytes), window / 256, options, then payload; with bit 3 it has
 *        the marks of a super-frame
 *     4  a UDP datagram: the argument chooses guest, source port and destination; with bit 7 it is a
 *        super-frame, or, where it is too short for one, waits for the end of a batch
 *     5  a datagram from the world to the socket that sent one last: from its peer, the resolver
 *        (with the query's id), a stranger, or to the forward; with bit 3 it is several in one
 *     6  how servers answer from now on: accepted, refused, silent; what they say and how they end
 *     7  a client connects to the forward, or what it does next
 *     8  what the server connected last does: says more, ends, resets
 *     9  ports: detached, attached, full, drained
 *    10  forwards are added and removed
 *    11  how datagrams are answered, the path's MTU, hops, file descriptors
 *    12  the network is told to stop: no new flows
 */

#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "frame_repair.h"
#include "network_world.h"
#include "wire/frame_segment.h"
#include "wire/packet_build.h"
#include "wire/reader.h"
#include "wire/tcp.h"

#define TIME_MOST_NS  (2 * 3600 * NS_PER_S) /* in one input, so that none takes minutes */
#define SUPER_SEGMENT 100
#define PEERS_MOST    256 /* each keeps its buffers to the end */

struct step {
	uint8_t argument;
	const uint8_t *bytes;
	size_t size;
};

static void send_raw(struct world *world, const struct step *step)
{
	unsigned guest = (step->argument & 3) % WORLD_GUESTS;

	world_send(world, guest, step->bytes, step->size);
	world_flush(world, guest);
}

static void send_repaired(struct world *world, const struct step *step)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	unsigned guest = (step->argument & 3) % WORLD_GUESTS;
	const struct frame_repair repair = {
		.keep = step->argument >> 2 & 15,
		.mac = world_guest_mac(guest),
		.gateway = step->argument & 64 ? world_guest_mac(1) : world_gateway_mac,
		.addr = world_guest_addr(guest),
	};
	size_t size = step->size < sizeof(bytes) ? step->size : sizeof(bytes);

	if (size > 0)
		memcpy(bytes, step->bytes, size);
	frame_repair(&repair, bytes, size);
	world_send(world, guest, bytes, size);
	world_flush(world, guest);
}

static void pass_time(struct world *world, const struct step *step)
{
	static const uint64_t units[] = {
		NS_PER_MS, 10 * NS_PER_MS, 100 * NS_PER_MS, NS_PER_S,
		NS_PER_S,  10 * NS_PER_S,  60 * NS_PER_S,   40 * NS_PER_MS,
	};
	static const uint64_t start_ns = 1000 * NS_PER_S;
	uint64_t duration_ns = (step->argument & 31) * units[step->argument >> 5];

	if (world->time.now_ns - start_ns + duration_ns < TIME_MOST_NS)
		rig_time_run(&world->time, duration_ns);
}

/* A frame that we built leaves the guest: as bytes, or with its marks as it is. */
static void send_built(struct world *world, unsigned guest, struct frame *frame, bool marked)
{
	static uint8_t bytes[FRAME_MAX_SIZE];

	if (marked) {
		world_push(world, guest, frame);
	} else {
		FUZZ_CHECK(frame_complete_checksum(frame));
		size_t size = frame_copy(frame, bytes, sizeof(bytes));
		world_send(world, guest, bytes, size);
	}
	world_flush(world, guest);
}

static struct packet_link link_of(unsigned guest, uint8_t ttl)
{
	return (struct packet_link){
		.source = world_guest_mac(guest),
		.destination = world_gateway_mac,
		.ttl = ttl,
	};
}

/* -128 to 127, on the circle of sequence numbers. */
static uint32_t read_step(struct reader *reader)
{
	return (reader_u8(reader) ^ 0x80U) - 0x80U;
}

static void set_options(struct tcp_header *header, uint8_t options)
{
	header->has_mss = (options & 1) != 0;
	header->mss = options & 2 ? 1460 : 100;
	header->has_window_scale = (options & 4) != 0;
	header->window_scale = options >> 5;
	header->sack_permitted = (options & 8) != 0;
	header->has_timestamps = (options & 16) != 0;
}

static void send_segment(struct world *world, const struct step *step)
{
	const struct world_talk *talk = &world->talks[step->argument & 7];
	const struct packet_link link = link_of(talk->guest, 64);
	const struct ip_endpoint from = { world_guest_addr(talk->guest), talk->port };
	struct reader reader = reader_of(step->bytes, step->size);
	bool marked = (step->argument & 8) != 0;
	struct tcp_header header = { .acknowledgement = talk->acknowledge };
	struct frame frame;

	header.flags = reader_u8(&reader);
	header.sequence = talk->next + read_step(&reader);
	header.acknowledgement += read_step(&reader);
	header.window = (uint16_t)(reader_u8(&reader) << 8);
	set_options(&header, reader_u8(&reader));
	if (!reader_ok(&reader))
		return;
	const struct iovec payload = {
		.iov_base = (void *)(uintptr_t)(step->bytes + reader.position),
		.iov_len = reader_left(&reader),
	};
	if (packet_build_tcp(&frame, &link, &from, &talk->remote, &header, &payload, 1,
			     marked ? 500 : 0))
		send_built(world, talk->guest, &frame, marked);
}

static void send_udp(struct world *world, const struct step *step)
{
	static const uint32_t addrs[] = { WORLD_ADDR_SERVER, WORLD_ADDR_GATEWAY, WORLD_ADDR_HOST,
					  WORLD_ADDR_CLIENT };
	static const uint16_t ports[] = { 53, 4000, WORLD_FORWARD_UDP, 68 };
	unsigned guest = step->argument & 1;
	const struct packet_link link = link_of(guest, step->argument & 2 ? 2 : 64);
	const struct ip_endpoint from = { world_guest_addr(guest),
					  step->argument & 4 ? WORLD_GUEST_UDP : 5000 };
	const struct ip_endpoint to = { ip_addr_from_v4(addrs[step->argument >> 3 & 3]),
					ports[step->argument >> 5 & 3] };
	const struct iovec payload = { .iov_base = (void *)(uintptr_t)step->bytes,
				       .iov_len = step->size };
	struct frame frame;

	if (!(step->argument & 128)) {
		if (packet_build_udp(&frame, &link, &from, &to, &payload, 1))
			send_built(world, guest, &frame, false);
	} else if (packet_build_udp_partial(&frame, &link, &from, &to, &payload, 1,
					    SUPER_SEGMENT)) {
		world_push(world, guest, &frame);
		if (frame.offload.gso != FRAME_GSO_NONE)
			world_flush(world, guest);
	}
}

static void receive_datagram(struct world *world, const struct step *step)
{
	static uint8_t bytes[UINT16_MAX];
	const struct ip_endpoint client = { ip_addr_from_v4(WORLD_ADDR_CLIENT),
					    (uint16_t)(7000 + (step->argument >> 4)) };
	const struct ip_endpoint forward = { ip_addr_from_v4(WORLD_ADDR_HOST), WORLD_FORWARD_UDP };
	struct rig_host *host = &world->host;
	uint16_t each =
		step->argument & 8 && step->size > SUPER_SEGMENT ? (uint16_t)SUPER_SEGMENT : 0;

	if (step->size > 0)
		memcpy(bytes, step->bytes, step->size);
	switch (step->argument & 3) {
	case 0:
		if (world->has_datagram)
			(void)rig_host_datagrams(host, &world->datagram_to, &world->datagram_from,
						 bytes, step->size, each);
		break;
	case 1:
		if (!world->has_query)
			break;
		if (step->size >= sizeof(world->query_id) && !(step->argument & 4))
			memcpy(bytes, world->query_id, sizeof(world->query_id));
		(void)rig_host_datagram(host, &world->query_to, &world->query_from, bytes,
					step->size);
		break;
	case 2:
		if (world->has_datagram)
			(void)rig_host_datagrams(host, &client, &world->datagram_from, bytes,
						 step->size, each);
		break;
	default:
		(void)rig_host_datagrams(host, &client, &forward, bytes, step->size, each);
	}
	rig_time_settle(&world->time);
}

/* How servers answer, and what the far end of a stream has to say. */
static void read_plan(struct rig_peer_plan *plan, const struct step *step)
{
	struct reader reader = reader_of(step->bytes, step->size);
	struct rig_app_plan *app = &plan->app;
	uint8_t marks = reader_u8(&reader);

	app->end = (enum rig_app_end)((marks & 3) % 3);
	app->echo = (marks & 4) != 0;
	app->interval_ns = marks & 8 ? NS_PER_S : 0;
	app->send_chunk = marks & 16 ? 700 : 0;
	app->read_chunk = marks & 32 ? 700 : 0;
	app->send_size = reader_u16(&reader);
	app->reset_after_heard = reader_u16(&reader);
	app->reset_after_sent = reader_u16(&reader);
}

static void set_servers(struct world *world, const struct step *step)
{
	static const int errors[] = { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH,	 ETIMEDOUT,
				      EACCES,	    EMFILE,	  EADDRNOTAVAIL, ENETDOWN };
	struct rig_server *server = &world->server;

	server->answer = (enum rig_answer)((step->argument & 3) % 3);
	server->delay_ns = step->argument & 4 ? 0 : NS_PER_MS;
	if (step->argument & 8)
		server->delay_ns = 3 * NS_PER_S;
	server->error = errors[step->argument >> 4 & 7];
	read_plan(&server->plan, step);
}

static size_t count_peers(const struct world *world)
{
	size_t count = 0;

	for (struct list *node = world->host.peers.next; node != &world->host.peers;
	     node = node->next)
		count++;
	return count;
}

/* What the far end of a stream does now. */
static void act(struct rig_peer *peer, unsigned action, size_t more)
{
	/* One that is not connected yet does nothing. */
	if (!peer || peer->refused || peer->reset || peer->app.heard_reset ||
	    (peer->socket && peer->socket->state == RIG_STREAM_CONNECTING))
		return;
	switch (action & 3) {
	case 0:
		rig_peer_reset(peer);
		break;
	case 1:
		if (peer->finished || peer->app.plan.echo)
			break;
		peer->app.plan.send_size += more;
		peer->app.ready += more;
		peer->app.kick(&peer->app);
		break;
	case 2:
		peer->app.plan.end = RIG_APP_END_AFTER_SENT;
		peer->app.kick(&peer->app);
		break;
	default: /* reads again */
		peer->app.allowance = RIG_NEVER;
		peer->app.plan.read_chunk = 0;
		peer->app.kick(&peer->app);
	}
}

static void connect_client(struct world *world, const struct step *step)
{
	static const uint8_t outside[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 };
	static const uint8_t inside[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	static const uint32_t clients[] = { WORLD_ADDR_CLIENT, INADDR_LOOPBACK, WORLD_ADDR_HOST,
					    WORLD_ADDR_GUEST + 1 };
	bool v6 = (step->argument & 32) != 0;
	struct ip_endpoint from = { ip_addr_from_v4(clients[step->argument >> 2 & 3]),
				    (uint16_t)(5000 + (step->argument >> 6)) };
	struct ip_endpoint to = { ip_addr_from_v4(WORLD_ADDR_HOST), WORLD_FORWARD_TCP };
	struct rig_peer_plan plan = world->server.plan;

	if (step->argument & 16) {
		act(world->client, step->argument, step->size * 16);
	} else if (count_peers(world) < PEERS_MOST) {
		if (v6) {
			from.addr = ip_addr_from_v6(outside);
			to.addr = ip_addr_from_v6(inside);
		}
		read_plan(&plan, step);
		world->client = rig_host_client(&world->host, &from, &to, &plan);
	}
	rig_time_settle(&world->time);
}

static void act_server(struct world *world, const struct step *step)
{
	act(world->server.last, step->argument, step->size * 16);
	rig_time_settle(&world->time);
}

static void change_port(struct world *world, const struct step *step)
{
	unsigned guest = (step->argument >> 2) % WORLD_GUESTS;

	switch (step->argument & 3) {
	case 0:
		world_detach(world, guest);
		break;
	case 1:
		world_attach(world, guest);
		break;
	case 2:
		world_set_full(world, guest, true);
		break;
	default:
		world_set_full(world, guest, false);
	}
	rig_time_settle(&world->time);
}

static bool forward_is_there(const struct world *world, const struct ip_endpoint *external)
{
	struct nat_forward forwards[16];
	size_t count = nat_forwards(world->nat, forwards, ARRAY_COUNT(forwards));

	for (size_t i = 0; i < count && i < ARRAY_COUNT(forwards); i++) {
		if (ip_endpoint_equal(&forwards[i].external, external))
			return true;
	}
	return false;
}

static void change_forwards(struct world *world, const struct step *step)
{
	struct nat_forward forward = {
		.protocol = step->argument & 2 ? NAT_PROTOCOL_UDP : NAT_PROTOCOL_TCP,
		.external = { ip_addr_from_v4(step->argument & 4 ? WORLD_ADDR_HOST : INADDR_ANY),
			      (uint16_t)(step->argument & 8 ? 3333 : WORLD_FORWARD_TCP) },
		.internal = { world_guest_addr(step->argument >> 4 & 1),
			      step->argument & 2 ? WORLD_GUEST_UDP : WORLD_GUEST_TCP },
	};
	struct ip_endpoint bound;

	if ((step->argument & 2) && !(step->argument & 8))
		forward.external.port = WORLD_FORWARD_UDP;
	if (step->argument & 1) {
		int status = nat_forward_add(world->nat, &forward, &bound);

		FUZZ_CHECK(status == 0 || status == -EADDRINUSE || status == -EEXIST ||
			   status == -EMFILE);
		FUZZ_CHECK(status < 0 || forward_is_there(world, &bound));
	} else {
		int status = nat_forward_remove(world->nat, forward.protocol, &forward.external);

		FUZZ_CHECK(status == 0 || status == -ENOENT);
	}
	rig_time_settle(&world->time);
}

static void set_datagrams(struct world *world, const struct step *step)
{
	static const int errors[] = { ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH };
	struct rig_udp_server *server = &world->udp_server;
	struct reader reader = reader_of(step->bytes, step->size);

	if (step->argument & 1)
		server = &world->resolver;
	server->echo = (step->argument & 2) != 0;
	server->icmp_type = step->argument & 4 ? reader_u8(&reader) : -1;
	server->icmp_code = reader_u8(&reader);
	server->error = errors[step->argument >> 3 & 3];
	server->delay_ns = reader_u8(&reader) * NS_PER_MS;
	world->host.path_mtu = step->argument & 32 ? 600 : 0;
	world->host.echo_silent = (step->argument & 64) != 0;
	world->host.hop_count = reader_u8(&reader) & 3;
	for (size_t i = 0; i < world->host.hop_count; i++)
		world->host.hop[i] = ip_addr_from_v4(UINT32_C(0x0a630001) + (uint32_t)i);
	world->host.sockets_max = step->argument & 128 ? reader_u8(&reader) : 0;
}

static void drain(struct world *world, const struct step *step)
{
	(void)step;
	nat_drain(world->nat);
}

static void run_step(struct world *world, uint8_t kind, const struct step *step)
{
	typedef void run_kind(struct world * world, const struct step *step);
	static run_kind *const kinds[] = {
		send_raw,	  send_repaired, pass_time,	 send_segment, send_udp,
		receive_datagram, set_servers,	 connect_client, act_server,   change_port,
		change_forwards,  set_datagrams, drain,
	};

	if (kinds[kind % ARRAY_COUNT(kinds)] == send_segment && count_peers(world) >= PEERS_MOST)
		return;
	kinds[kind % ARRAY_COUNT(kinds)](world, step);
	/* What the fake host has to say comes with the time, as from a real one. */
	if (kind % ARRAY_COUNT(kinds) != 2)
		rig_time_settle(&world->time);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	static struct world world; /* large */

	world_start(&world, reader_u8(&reader));
	while (reader_left(&reader) >= 4) {
		uint8_t kind = reader_u8(&reader);
		struct step step = { .argument = reader_u8(&reader) };

		step.size = reader_u16(&reader);
		if (step.size > reader_left(&reader))
			step.size = reader_left(&reader);
		step.bytes = reader_take(&reader, step.size);
		run_step(&world, kind, &step);
	}
	world_end(&world);
	return 0;
}
