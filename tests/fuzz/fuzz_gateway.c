/*
 * What guests, resolvers and time can do to a gateway. The input is a row of steps, each of a kind,
 * an argument, a size (two bytes) and that many bytes:
 *
 *     0  a frame as it is, by port ARGUMENT % 4
 *     1  a UDP datagram with these bytes; the argument's bits choose source, destination and ports
 *     2  ARGUMENT * 100 ms pass
 *     3  a datagram from the resolver to the socket opened last, or bytes where it is a stream;
 *        with an even argument the query's id is put in
 *     4  bytes on a new DNS stream
 *     5  a fragment of UDP with these bytes: offset ARGUMENT / 2 * 8, more to come when odd
 *
 * Whatever comes: frames for guests are whole, from us and within the MTU; frames for NAT are
 * complete IPv4 packets from a guest's address; no socket is left open at the end. A gateway that has local
 * names alone, which gets the same, asks nobody.
 */

#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "fake_host.h"
#include "gateway/gateway.h"
#include "wire/ether.h"
#include "wire/frame.h"
#include "wire/ipv4.h"
#include "wire/packet_build.h"
#include "wire/reader.h"

#define FLOWS_MAX 8

struct rig {
	struct clock clock;
	uint64_t now_ns;
	struct loop *loop;
	struct random_seeded random;
	struct drop_counters drops;
	struct fake_host host;
	struct frame_sink to_bridge;
	struct frame_sink to_nat;
	struct gateway_config config;
	struct gateway *gateway;
	struct host_socket flows[FLOWS_MAX];
	size_t flow_count;
};

static uint64_t rig_now(const struct clock *clock)
{
	return ((const struct rig *)(const void *)clock)->now_ns;
}

static void bridge_push(struct frame_sink *sink, struct frame *frame)
{
	const struct rig *rig = container_of(sink, struct rig, to_bridge);
	static uint8_t bytes[FRAME_MAX_SIZE];
	size_t size = frame_copy(frame, bytes, sizeof(bytes));
	enum drop_reason reason;
	struct frame again;

	FUZZ_CHECK(size > 0 && size <= rig->config.mtu + FRAME_ETHERNET_SIZE);
	FUZZ_CHECK(frame_from_bytes(&again, bytes, size, FRAME_PORT_NONE, &reason));
	FUZZ_CHECK(mac_addr_equal(&again.packet.mac_source, &rig->config.mac));
	FUZZ_CHECK(!again.packet.has_l4 || frame_verify_checksum(&again));
}

static void nat_push(struct frame_sink *sink, struct frame *frame)
{
	const struct rig *rig = container_of(sink, struct rig, to_nat);
	const struct packet *packet = &frame->packet;

	FUZZ_CHECK(packet->kind == PACKET_IPV4 && packet->has_l4 && !packet->ip_is_fragment);
	FUZZ_CHECK(!packet->ip_has_options);
	FUZZ_CHECK(ip_prefix_contains(&rig->config.subnet, &packet->ip_source));
	FUZZ_CHECK(!ip_addr_equal(&packet->ip_source, &rig->config.addr));
	FUZZ_CHECK(!ip_addr_is_multicast(&packet->ip_destination));
}

static void sink_flush(struct frame_sink *sink)
{
	(void)sink;
}

static size_t sink_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return SIZE_MAX;
}

static const struct frame_sink_ops bridge_ops = {
	.push = bridge_push,
	.flush = sink_flush,
	.room = sink_room,
};
static const struct frame_sink_ops nat_ops = {
	.push = nat_push,
	.flush = sink_flush,
	.room = sink_room,
};

static struct mac_addr guest_mac(uint8_t number)
{
	return (struct mac_addr){ { 2, 0, 0, 0, 0, number } };
}

static struct ip_addr subnet_addr(uint32_t number)
{
	return ip_addr_from_v4(UINT32_C(0xac100900) + number);
}

static void send_bytes(struct rig *rig, uint32_t port, const uint8_t *bytes, size_t size)
{
	enum drop_reason reason;
	struct frame frame;

	if (frame_from_bytes(&frame, bytes, size, port, &reason))
		frame_sink_push(gateway_guest_side(rig->gateway), &frame);
}

static void send_udp(struct rig *rig, uint8_t choice, const uint8_t *bytes, size_t size)
{
	static const uint16_t ports[] = { 53, 67, 68, 4000 };
	uint8_t number = choice & 1 ? 2 : 9;
	bool is_dhcp = (choice & 2) != 0;
	const struct packet_link link = {
		.source = guest_mac(number),
		.destination = is_dhcp ? mac_addr_broadcast : rig->config.mac,
	};
	const struct ip_endpoint from = {
		is_dhcp ? ip_addr_from_v4(0) : subnet_addr(number),
		is_dhcp ? 68 : ports[choice >> 4 & 3],
	};
	const struct ip_endpoint to = {
		is_dhcp ? ip_addr_from_v4(INADDR_BROADCAST) : subnet_addr(choice & 4 ? 1 : 200),
		is_dhcp ? 67 : ports[choice >> 6 & 3],
	};
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	struct frame frame;

	if (!packet_build_udp(&frame, &link, &from, &to, &iov, 1))
		return;
	frame.port = number;
	frame.offload.checksum_valid = (choice & 8) == 0;
	frame_sink_push(gateway_guest_side(rig->gateway), &frame);
}

static void send_fragment(struct rig *rig, uint8_t argument, const uint8_t *bytes, size_t size)
{
	static uint8_t packet[FRAME_MAX_SIZE];
	struct writer writer = writer_of(packet, sizeof(packet));
	const struct ether_header ether = {
		.destination = rig->config.mac,
		.source = guest_mac(2),
		.type = ETHER_TYPE_IPV4,
	};
	const struct ipv4_header ip = {
		.total_size = (uint16_t)(IPV4_HEADER_SIZE + size),
		.more_fragments = argument & 1,
		.fragment_offset = (uint16_t)(argument / 2 * 8),
		.ttl = 64,
		.protocol = PACKET_IP_PROTOCOL_UDP,
		.source = subnet_addr(2),
		.destination = rig->config.addr,
	};

	if (size > IPV4_PACKET_MAX - IPV4_HEADER_SIZE)
		return;
	ether_build(&writer, &ether);
	ipv4_build(&writer, &ip);
	writer_bytes(&writer, bytes, size);
	send_bytes(rig, 0, packet, writer.position);
}

static void flow_ready(struct host_socket *socket, uint32_t events)
{
	(void)socket;
	(void)events;
}

static void answer_stream(struct rig *rig, int fd, bool use_id, uint8_t *bytes, size_t size)
{
	struct fake_socket *socket = &rig->host.sockets[fd];
	const struct host_socket *owner = socket->owner;
	const struct fake_socket *peer;

	if (owner->ready == flow_ready || socket->peer == -1)
		return;
	socket->connect_result = size % 7 == 6 ? -ECONNREFUSED : 0;
	fake_host_ready(&rig->host, fd, EPOLLOUT);
	if (socket->owner != owner || socket->peer == -1) /* closed by that */
		return;
	peer = &rig->host.sockets[socket->peer];
	if (use_id && peer->size >= 4 && size >= 4)
		memcpy(bytes + 2, peer->data + 2, 2);
	if (socket->size + size <= FAKE_STREAM_SIZE)
		fake_host_stream_write(&rig->host, fd, bytes, size);
}

static void answer(struct rig *rig, uint8_t argument, const uint8_t *data, size_t size)
{
	static uint8_t bytes[UINT16_MAX];
	int fd = rig->host.last_opened;
	struct fake_socket *socket;
	struct ip_endpoint remote;

	if (fd < 0 || !rig->host.sockets[fd].used || !rig->host.sockets[fd].owner)
		return;
	socket = &rig->host.sockets[fd];
	if (size > 0)
		memcpy(bytes, data, size);
	if (socket->is_stream) {
		answer_stream(rig, fd, argument % 2 == 0, bytes, size);
		return;
	}
	remote = socket->remote;
	if (argument % 2 == 0 && size >= 2)
		memcpy(bytes, socket->sent.bytes, 2);
	if (size <= FAKE_DATAGRAM_MAX)
		fake_host_deliver(&rig->host, fd, &remote, bytes, size);
}

static void open_stream(struct rig *rig, bool documents, uint32_t port, const uint8_t *bytes,
			size_t size)
{
	struct host_stream_service *service =
		documents ? gateway_documents(rig->gateway) : gateway_dns_stream(rig->gateway);
	struct host_socket *flow = &rig->flows[rig->flow_count % FLOWS_MAX];
	int session;

	if (rig->flow_count >= FLOWS_MAX)
		host_call(&rig->host.host, close, flow);
	host_socket_init(flow, flow_ready);
	rig->flow_count++;
	if (service->open(service, flow, port) < 0)
		return;
	session = rig->host.sockets[flow->fd].peer;
	if (size <= FAKE_STREAM_SIZE)
		fake_host_stream_write(&rig->host, session, bytes, size);
}

static void pass_time(struct rig *rig, uint8_t tenths)
{
	rig->now_ns += tenths * 100 * NS_PER_MS;
	FUZZ_CHECK(loop_run_once(rig->loop, 0) == 0);
}

static void run_step(struct rig *rig, uint8_t kind, uint8_t argument, const uint8_t *bytes,
		     size_t size)
{
	switch (kind % 6) {
	case 0:
		send_bytes(rig, argument % 4, bytes, size);
		break;
	case 1:
		send_udp(rig, argument, bytes, size);
		break;
	case 2:
		pass_time(rig, argument);
		break;
	case 3:
		answer(rig, argument, bytes, size);
		break;
	case 4:
		open_stream(rig, argument & 4, argument % 4, bytes, size);
		break;
	default:
		send_fragment(rig, argument, bytes, size);
	}
}

static void rig_start(struct rig *rig, bool local_names_only)
{
	struct gateway_context context = {
		.random = &rig->random.random,
		.drops = &rig->drops,
		.host = &rig->host.host,
		.to_bridge = &rig->to_bridge,
	};

	rig->clock.now_ns = rig_now;
	rig->now_ns = NS_PER_S;
	rig->flow_count = 0;
	memset(&rig->drops, 0, sizeof(rig->drops));
	random_seeded_init(&rig->random, 1);
	fake_host_init(&rig->host);
	fake_host_add_resolver(&rig->host, "192.0.2.53");
	fake_host_add_resolver(&rig->host, "2001:db8::53");
	fake_host_add_name(&rig->host, "db.corp", "10.1.2.3");
	rig->to_bridge.ops = &bridge_ops;
	rig->to_nat.ops = &nat_ops;
	static const struct gateway_document document = { "/d", (const uint8_t *)"text", 4 };

	rig->config = (struct gateway_config){
		.mac = { { 2, 0xff, 0, 0, 0, 1 } },
		.addr = subnet_addr(1),
		.subnet = { .addr = subnet_addr(0), .length = 24 },
		.mtu = 1500,
		.dhcp = true,
		.dns = true,
		.local_names_only = local_names_only,
		.route = !local_names_only,
		.hostname = "box",
		.domain = "test",
		.reservations = { { .mac = guest_mac(2), .addr = subnet_addr(2) } },
		.reservation_count = 1,
		.documents = &document,
		.document_count = 1,
	};
	FUZZ_CHECK(loop_new(&rig->clock, &rig->loop) == 0);
	context.loop = rig->loop;
	FUZZ_CHECK(gateway_new(&rig->config, &context, &rig->gateway) == 0);
	gateway_set_nat(rig->gateway, &rig->to_nat);
}

static void run(const uint8_t *data, size_t size, bool local_names_only)
{
	struct reader reader = reader_of(data, size);
	static struct rig once; /* large: its sockets are all free again after each input */
	struct rig *rig = &once;

	rig_start(rig, local_names_only);
	while (reader_left(&reader) >= 4) {
		uint8_t kind = reader_u8(&reader);
		uint8_t argument = reader_u8(&reader);
		size_t step_size = reader_u16(&reader);

		if (step_size > reader_left(&reader))
			step_size = reader_left(&reader);
		run_step(rig, kind, argument, reader_take(&reader, step_size), step_size);
	}
	pass_time(rig, 60);
	rig->gateway = gateway_free(rig->gateway);
	for (size_t i = 0; i < FLOWS_MAX && i < rig->flow_count; i++)
		host_call(&rig->host.host, close, &rig->flows[i]);
	FUZZ_CHECK(fake_host_open_now(&rig->host) == 0);
	FUZZ_CHECK(!local_names_only || rig->host.outward == 0);
	fake_host_done(&rig->host);
	loop_free(rig->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	run(data, size, false);
	run(data, size, true);
	return 0;
}
