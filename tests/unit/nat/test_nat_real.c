/*
 * NAT over the kernel's sockets, each test in a network namespace of its own:
 *
 *     guest 10.0.0.2 --frames--> [ nat 10.0.0.1 ] --> lo 127.0.0.1
 *                                                 --> d0 198.51.100.1/24, MTU 1280, default route
 */
#include "../host/host_rig.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "nat/nat.h"
#include "wire/frame_segment.h"
#include "wire/icmp.h"
#include "wire/packet_build.h"

#define GATEWAY UINT32_C(0x0a000001)
#define GUEST	UINT32_C(0x0a000002)
#define HOST	UINT32_C(0xc6336401)
#define REMOTE	UINT32_C(0xcb007105)

struct scene {
	struct rig rig;
	struct drop_counters drops;
	struct frame_sink to_guest;
	struct nat *nat;
	unsigned pushed;     /* frames, before they are cut */
	size_t payload_size; /* of all that was heard */
	/* The last frame that the guest heard. */
	unsigned heard;
	struct frame frame;
	uint8_t bytes[FRAME_MAX_SIZE];
};

static struct scene scene;

static void sink_emit(void *context, const struct frame *frame)
{
	enum drop_reason reason;

	(void)context;
	size_t size = frame_copy(frame, scene.bytes, sizeof(scene.bytes));
	CHECK(size > 0 && frame_from_bytes(&scene.frame, scene.bytes, size, 0, &reason));
	CHECK(frame_verify_checksum(&scene.frame));
	scene.payload_size += scene.frame.payload_size;
	scene.heard++;
}

static void sink_push(struct frame_sink *sink, struct frame *frame)
{
	(void)sink;
	scene.pushed++;
	CHECK(frame_segment(frame, sink_emit, NULL) > 0);
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

static void scene_init(enum nat_host_access access)
{
	static const struct frame_sink_ops ops = {
		.push = sink_push,
		.flush = sink_flush,
		.room = sink_room,
	};
	const struct nat_config config = {
		.addr = ip_addr_from_v4(GATEWAY),
		.subnet = { ip_addr_from_v4(GATEWAY - 1), 24 },
		.mtu = 1500,
		.outbound = true,
		.host_access = access,
		.flow_capacity = 64,
		.half_open_capacity = 16,
		.udp_socket_capacity = 64,
		.port_capacity = 1,
	};

	rig_ip("link add d0 type veth peer name d1");
	rig_ip("link set d1 up");
	rig_ip("link set d0 mtu 1280 up");
	rig_ip("addr add 198.51.100.1/24 dev d0");
	rig_ip("route add default via 198.51.100.2");
	rig_init(&scene.rig);
	scene.to_guest.ops = &ops;
	const struct nat_context context = {
		.loop = scene.rig.loop,
		.random = &random_system,
		.drops = &scene.drops,
		.host = scene.rig.host,
		.to_guest = &scene.to_guest,
	};
	CHECK(nat_new(&config, &context, &scene.nat) == 0);
}

static void scene_done(void)
{
	nat_free(scene.nat);
	rig_done(&scene.rig);
}

static struct ip_endpoint at(uint32_t addr, uint16_t port)
{
	return (struct ip_endpoint){ ip_addr_from_v4(addr), port };
}

static void guest_udp(struct ip_endpoint from, struct ip_endpoint to, size_t size, bool df)
{
	static char bytes[65536];
	const struct packet_link link = { .dont_fragment = df };
	struct iovec payload = { bytes, size };
	struct frame frame;

	memset(bytes, 'g', sizeof(bytes));
	CHECK(packet_build_udp(&frame, &link, &from, &to, &payload, 1));
	frame.port = 0;
	frame_sink_push(nat_guest_side(scene.nat), &frame);
	frame_sink_flush(nat_guest_side(scene.nat));
}

static void guest_echo(uint32_t to, uint16_t ident, uint16_t sequence, size_t size, bool df)
{
	static char bytes[65536];
	const struct packet_link link = { .dont_fragment = df };
	const struct icmp_header header = { .type = ICMP_TYPE_ECHO_REQUEST,
					    .identifier = ident,
					    .sequence = sequence };
	const struct ip_addr from = ip_addr_from_v4(GUEST);
	const struct ip_addr destination = ip_addr_from_v4(to);
	struct iovec payload = { bytes, size };
	struct frame frame;

	memset(bytes, 'e', sizeof(bytes));
	CHECK(packet_build_icmp(&frame, &link, &from, &destination, &header, &payload, 1));
	frame.port = 0;
	frame_sink_push(nat_guest_side(scene.nat), &frame);
	frame_sink_flush(nat_guest_side(scene.nat));
}

/* Runs the loop until the guest heard one more. */
static void wait_heard(unsigned before)
{
	uint64_t end_ns = clock_now(&clock_boottime) + 5 * NS_PER_S;

	while (scene.heard == before) {
		CHECK(clock_now(&clock_boottime) < end_ns);
		CHECK(loop_run_once(scene.rig.loop, 1000) == 0);
	}
}

static int udp_socket(uint32_t addr, uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr) };
	struct sockaddr_storage bound = { 0 };
	socklen_t size = sizeof(in);
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
	CHECK(bind(fd, (const struct sockaddr *)&in, sizeof(in)) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&bound, &size) == 0);
	memcpy(&in, &bound, sizeof(in));
	*port = ntohs(in.sin_port);
	return fd;
}

/* Returns who sent it. */
static struct ip_endpoint udp_take(int fd, size_t wanted)
{
	static char bytes[65536];
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);
	struct ip_endpoint sender;

	CHECK(recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size) ==
	      (ssize_t)wanted);
	CHECK(ip_endpoint_from_sockaddr(&from, &sender));
	return sender;
}

static void udp_give(int fd, const struct ip_endpoint *to, const char *text)
{
	struct sockaddr_storage sockaddr;
	socklen_t size = ip_endpoint_to_sockaddr(to, &sockaddr);

	CHECK(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&sockaddr, size) ==
	      (ssize_t)strlen(text));
}

static void expect_unreachable(uint8_t code, uint32_t seen, uint8_t protocol,
			       struct icmp_header *ret_header)
{
	struct reader reader = reader_of(scene.bytes, frame_size(&scene.frame));
	struct icmp_quote quote;

	CHECK(scene.frame.packet.ip_protocol == PACKET_IP_PROTOCOL_ICMP);
	reader_skip(&reader, scene.frame.packet.l4_offset);
	CHECK(icmp_parse(&reader, ret_header));
	CHECK(ret_header->type == ICMP_TYPE_UNREACHABLE);
	CHECK(ret_header->code == code);
	CHECK(icmp_parse_quote(&reader, &quote));
	CHECK(quote.ip.protocol == protocol);
	CHECK(ip_addr_to_v4(&quote.ip.source) == GUEST);
	CHECK(ip_addr_to_v4(&quote.ip.destination) == seen);
}

static void udp_to_a_server_of_the_host(void)
{
	uint16_t port;

	scene_init(NAT_HOST_ACCESS_LOOPBACK);
	int server = udp_socket(INADDR_LOOPBACK, &port);
	guest_udp(at(GUEST, 5000), at(GATEWAY, port), 100, false);
	struct ip_endpoint seen = udp_take(server, 100);
	unsigned before = scene.heard;
	udp_give(server, &seen, "answer");
	wait_heard(before);
	CHECK(scene.frame.packet.port_source == port);
	CHECK(scene.frame.packet.port_destination == 5000);
	CHECK(ip_addr_to_v4(&scene.frame.packet.ip_source) == GATEWAY);
	CHECK(scene.frame.payload_size == 6);

	/* Nobody there any more: the kernel's own word, with the guest's packet. */
	struct icmp_header header;
	fd_close(server);
	before = scene.heard;
	guest_udp(at(GUEST, 5000), at(GATEWAY, port), 100, false);
	wait_heard(before);
	expect_unreachable(ICMP_CODE_PORT_UNREACHABLE, GATEWAY, PACKET_IP_PROTOCOL_UDP, &header);
	scene_done();
}

/* 60 datagrams in a frame leave as 60; what comes back as many, cut by the sender's kernel or put
 * together by ours, arrives as many. */
static void super_frames(void)
{
	static uint8_t bytes[60 * 1000];
	const struct packet_link link = { .dont_fragment = true };
	const struct ip_endpoint from = at(GUEST, 5000);
	struct iovec payload = { bytes, sizeof(bytes) };
	int segment_size = 1000;
	struct ip_endpoint seen;
	struct frame frame;
	uint16_t port;

	scene_init(NAT_HOST_ACCESS_LOOPBACK);
	int server = udp_socket(INADDR_LOOPBACK, &port);
	const struct ip_endpoint to = at(GATEWAY, port);
	CHECK(packet_build_udp_partial(&frame, &link, &from, &to, &payload, 1, 1000));
	frame.port = 0;
	frame_sink_push(nat_guest_side(scene.nat), &frame);
	frame_sink_flush(nat_guest_side(scene.nat));
	for (unsigned i = 0; i < 60; i++)
		seen = udp_take(server, 1000);
	CHECK(setsockopt(server, IPPROTO_UDP, UDP_SEGMENT, &segment_size, sizeof(segment_size)) ==
	      0);
	/* Singly at first, on a busy machine perhaps more than once; at last all in one. */
	unsigned pushed = 0;
	for (unsigned round = 1; pushed != 1; round++) {
		struct sockaddr_storage sockaddr;
		socklen_t size = ip_endpoint_to_sockaddr(&seen, &sockaddr);
		unsigned before = scene.pushed;

		CHECK(round < 100);
		CHECK(sendto(server, bytes, sizeof(bytes), 0, (struct sockaddr *)&sockaddr, size) ==
		      (ssize_t)sizeof(bytes));
		while (scene.heard < 60 * round)
			wait_heard(scene.heard);
		CHECK(scene.heard == 60 * round);
		CHECK(scene.payload_size == round * sizeof(bytes));
		CHECK(scene.frame.payload_size == 1000);
		pushed = scene.pushed - before;
	}
	fd_close(server);
	scene_done();
}

static void forward_answers_from_the_address_asked(void)
{
	const struct nat_forward rule = { NAT_PROTOCOL_UDP, at(INADDR_ANY, 0), at(GUEST, 53) };
	static const uint32_t asked[] = { 0x7f000001, 0x7f000002, HOST };
	struct ip_endpoint bound;
	uint16_t port;

	scene_init(NAT_HOST_ACCESS_NONE);
	CHECK(nat_forward_add(scene.nat, &rule, &bound) == 0);
	int client = udp_socket(INADDR_ANY, &port);
	for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
		struct ip_endpoint to = at(asked[i], bound.port);
		unsigned before = scene.heard;

		udp_give(client, &to, "ask");
		wait_heard(before);
		CHECK(ip_addr_to_v4(&scene.frame.packet.ip_source) == GATEWAY);
		CHECK(scene.frame.packet.port_destination == 53);
		struct ip_endpoint seen = at(GATEWAY, scene.frame.packet.port_source);
		guest_udp(at(GUEST, 53), seen, 3, false);
		struct ip_endpoint from = udp_take(client, 3);
		CHECK(ip_endpoint_equal(&from, &to));
	}
	fd_close(client);
	scene_done();
}

static void hairpin(void)
{
	const struct nat_forward rule = { NAT_PROTOCOL_UDP, at(INADDR_ANY, 0), at(GUEST, 53) };
	static const uint32_t names[] = { GATEWAY, HOST };
	struct ip_endpoint bound;

	scene_init(NAT_HOST_ACCESS_NONE);
	CHECK(nat_forward_add(scene.nat, &rule, &bound) == 0);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		unsigned before = scene.heard;

		guest_udp(at(GUEST, 6000), at(names[i], bound.port), 10, false);
		wait_heard(before);
		CHECK(scene.frame.packet.port_destination == 53);
		before = scene.heard;
		guest_udp(at(GUEST, 53), at(GATEWAY, scene.frame.packet.port_source), 20, false);
		wait_heard(before);
		CHECK(ip_addr_to_v4(&scene.frame.packet.ip_source) == names[i]);
		CHECK(scene.frame.packet.port_source == bound.port);
		CHECK(scene.frame.packet.port_destination == 6000);
		CHECK(scene.frame.payload_size == 20);
	}
	scene_done();
}

static void path_mtu(void)
{
	struct icmp_header header;

	scene_init(NAT_HOST_ACCESS_NONE);
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), 1400, true);
	wait_heard(0);
	expect_unreachable(ICMP_CODE_FRAGMENTATION_NEEDED, REMOTE, PACKET_IP_PROTOCOL_UDP, &header);
	CHECK(header.mtu == 1280);
	CHECK(loop_run_once(scene.rig.loop, 0) == 0);
	CHECK(scene.heard == 1);
	guest_echo(REMOTE, 77, 1, 1400, true);
	wait_heard(1);
	expect_unreachable(ICMP_CODE_FRAGMENTATION_NEEDED, REMOTE, PACKET_IP_PROTOCOL_ICMP,
			   &header);
	CHECK(header.mtu == 1280);
	CHECK(loop_run_once(scene.rig.loop, 0) == 0);
	CHECK(scene.heard == 2);
	/* Without DF the host cuts it. */
	guest_udp(at(GUEST, 5000), at(REMOTE, 7), 1400, false);
	guest_echo(REMOTE, 77, 2, 1400, false);
	CHECK(loop_run_once(scene.rig.loop, 0) == 0);
	CHECK(scene.heard == 2);
	scene_done();
}

static void echo_to_the_host(void)
{
	scene_init(NAT_HOST_ACCESS_LAN);
	guest_echo(HOST, 77, 5, 56, false);
	wait_heard(0);
	struct reader reader = frame_l4_reader(&scene.frame);
	struct icmp_header header;
	CHECK(icmp_parse(&reader, &header));
	CHECK(header.type == ICMP_TYPE_ECHO_REPLY);
	CHECK(header.identifier == 77);
	CHECK(header.sequence == 5);
	CHECK(scene.frame.payload_size == 56);
	CHECK(ip_addr_to_v4(&scene.frame.packet.ip_source) == HOST);
	scene_done();
}

/* By the other kind of socket, where the first is not allowed. */
static void echo_by_ping_socket(void)
{
	CHECK(rig_write_proc("/proc/sys/net/ipv4/ping_group_range", "0 0"));
	echo_to_the_host();
}

#define IN_NAMESPACE(function)                                                                     \
	static void test_##function(void **state)                                                  \
	{                                                                                          \
		(void)state;                                                                       \
		rig_in_namespace(function);                                                        \
	}

IN_NAMESPACE(udp_to_a_server_of_the_host)
IN_NAMESPACE(super_frames)
IN_NAMESPACE(forward_answers_from_the_address_asked)
IN_NAMESPACE(hairpin)
IN_NAMESPACE(path_mtu)
IN_NAMESPACE(echo_to_the_host)
IN_NAMESPACE(echo_by_ping_socket)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_to_a_server_of_the_host),
		cmocka_unit_test(test_super_frames),
		cmocka_unit_test(test_forward_answers_from_the_address_asked),
		cmocka_unit_test(test_hairpin),
		cmocka_unit_test(test_path_mtu),
		cmocka_unit_test(test_echo_to_the_host),
		cmocka_unit_test(test_echo_by_ping_socket),
	};

	return cmocka_run_group_tests_name("nat_real", tests, NULL, NULL);
}
