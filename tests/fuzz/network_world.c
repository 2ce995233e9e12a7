#include "network_world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "nat/tcp_flow.h"
#include "wire/frame.h"

#define WORLD_FLOWS	  96
#define WORLD_FLOWS_SMALL 12
#define WORLD_HALF_OPEN	  16
#define WORLD_POOL_BLOCKS 64
#define WORLD_DRAIN_NS	  (700 * NS_PER_S) /* longer than any flow may rest */
#define WORLD_MTU	  1500
#define WORLD_MTU_SMALL	  576
#define WORLD_MTU_LARGE	  65520
#define WORLD_PEER_BUFFER 4096

const struct mac_addr world_gateway_mac = { { 0x02, 0xff, 0, 0, 0, 1 } };

/* 64 MiB for each input would be most of its time; and few blocks run out sooner. */
int __real_tcp_pool_init(struct tcp_pool *pool, uint32_t capacity, uint32_t port_capacity);
int __wrap_tcp_pool_init(struct tcp_pool *pool, uint32_t capacity, uint32_t port_capacity);
int __wrap_tcp_pool_init(struct tcp_pool *pool, uint32_t capacity, uint32_t port_capacity)
{
	return __real_tcp_pool_init(
		pool, capacity < WORLD_POOL_BLOCKS ? capacity : WORLD_POOL_BLOCKS, port_capacity);
}

struct mac_addr world_guest_mac(unsigned guest)
{
	return (struct mac_addr){ { 0x02, 0, 0, 0, 0, (uint8_t)(guest + 2) } };
}

struct ip_addr world_guest_addr(unsigned guest)
{
	return ip_addr_from_v4(WORLD_ADDR_GUEST + guest);
}

/* --- guests ------------------------------------------------------------------------------ */

void world_attach(struct world *world, unsigned guest)
{
	if (world->ports[guest])
		return;
	/* On the heap, so that whoever still knows a port that went is seen. */
	struct world_port *port = calloc(1, sizeof(*port));
	FUZZ_CHECK(port);
	port->world = world;
	port->guest = guest;
	port->sink.ops = &world_port_ops;
	FUZZ_CHECK(bridge_port_add(world->bridge, &port->sink, &port->index, &port->ingress) == 0);
	world->ports[guest] = port;
}

/* In the order of network_remove_port(). */
void world_detach(struct world *world, unsigned guest)
{
	struct world_port *port = world->ports[guest];

	if (!port)
		return;
	world->ports[guest] = NULL;
	nat_port_gone(world->nat, port->index);
	gateway_port_gone(world->gateway, port->index);
	bridge_port_remove(world->bridge, port->index);
	free(port);
}

void world_set_full(struct world *world, unsigned guest, bool full)
{
	struct world_port *port = world->ports[guest];

	if (!port)
		return;
	port->full = full;
	if (full || !port->asked)
		return;
	port->asked = false;
	nat_port_ready(world->nat, port->index);
}

void world_send(struct world *world, unsigned guest, const uint8_t *bytes, size_t size)
{
	struct world_port *port = world->ports[guest];
	enum drop_reason reason = DROP_LONG_FRAME;
	struct frame frame;

	if (!port)
		return;
	if (size > world->mtu + FRAME_ETHERNET_SIZE + 4 ||
	    !frame_from_bytes(&frame, bytes, size, port->index, &reason)) {
		drop_count(&world->drops, reason);
		return;
	}
	frame_sink_push(port->ingress, &frame);
}

void world_push(struct world *world, unsigned guest, struct frame *frame)
{
	struct world_port *port = world->ports[guest];

	if (!port)
		return;
	frame->port = port->index;
	frame_sink_push(port->ingress, frame);
}

void world_flush(struct world *world, unsigned guest)
{
	if (world->ports[guest])
		frame_sink_flush(world->ports[guest]->ingress);
}

/* --- building and ending ----------------------------------------------------------------- */

static void note_query(struct rig_udp_server *server, const struct ip_endpoint *from,
		       const struct host_datagram *datagram, const uint8_t *bytes, size_t size)
{
	struct world *world = server->context;

	world->has_query = true;
	world->query_from = *from;
	world->query_to = datagram->remote;
	if (size >= sizeof(world->query_id))
		memcpy(world->query_id, bytes, sizeof(world->query_id));
}

static void note_datagram(struct rig_udp_server *server, const struct ip_endpoint *from,
			  const struct host_datagram *datagram, const uint8_t *bytes, size_t size)
{
	struct world *world = server->context;

	(void)bytes;
	(void)size;
	world->has_datagram = true;
	world->datagram_from = *from;
	world->datagram_to = datagram->remote;
	FUZZ_CHECK(!world->host_only || ip_addr_to_v4(&datagram->remote.addr) == WORLD_ADDR_CLIENT);
}

static void make_host(struct world *world)
{
	const struct rig_app_plan app = { .expect_size = RIG_NEVER,
					  .end = RIG_APP_END_AFTER_HEARD };

	rig_host_init(&world->host, &world->time, &world->random.random);
	world->host.local[0] = ip_addr_from_v4(WORLD_ADDR_HOST);
	world->host.local_count = 1;
	world->host.has_default_source = true;
	world->host.default_source = world->host.local[0];
	world->host.resolver[0] = (struct ip_endpoint){ ip_addr_from_v4(WORLD_ADDR_RESOLVER), 53 };
	world->host.resolver_count = 1;
	world->resolver = (struct rig_udp_server){
		.at = world->host.resolver[0],
		.icmp_type = -1,
		.heard = note_query,
		.context = world,
	};
	world->udp_server = (struct rig_udp_server){
		.echo = true,
		.icmp_type = -1,
		.heard = note_datagram,
		.context = world,
	};
	rig_host_add_udp_server(&world->host, &world->resolver);
	rig_host_add_udp_server(&world->host, &world->udp_server);
	world->server = (struct rig_server){
		.answer = RIG_ANSWER_ACCEPT,
		.delay_ns = NS_PER_MS,
		.plan = { .app = app,
			  .delay_ns = NS_PER_MS,
			  .receive_capacity = WORLD_PEER_BUFFER,
			  .send_buffer = WORLD_PEER_BUFFER,
			  .receive_buffer = WORLD_PEER_BUFFER },
	};
	rig_host_add_server(&world->host, &world->server);
}

static void make_talks(struct world *world)
{
	static const struct world_talk talks[WORLD_TALKS] = {
		{ .guest = 0, .port = 40000 }, { .guest = 0, .port = 40001 },
		{ .guest = 0, .port = 40002 }, { .guest = 0, .port = 40003 },
		{ .guest = 0, .port = 40004 }, { .guest = 1, .port = 40000 },
		{ .guest = 0, .port = 40005 }, { .guest = 0, .port = WORLD_GUEST_TCP },
	};
	static const uint32_t remotes[WORLD_TALKS][2] = {
		{ WORLD_ADDR_SERVER, 80 },
		{ WORLD_ADDR_SERVER, 443 },
		{ WORLD_ADDR_GATEWAY, 53 },
		{ WORLD_ADDR_HOST, 8080 },
		{ WORLD_ADDR_NEVER_THERE, 80 },
		{ WORLD_ADDR_SERVER, 80 },
		{ WORLD_ADDR_GATEWAY, WORLD_FORWARD_TCP },
		{ WORLD_ADDR_CLIENT, 5000 },
	};

	for (size_t i = 0; i < WORLD_TALKS; i++) {
		world->talks[i] = talks[i];
		world->talks[i].next = 1000;
		world->talks[i].remote = (struct ip_endpoint){ ip_addr_from_v4(remotes[i][0]),
							       (uint16_t)remotes[i][1] };
	}
}

static void make_gateway(struct world *world)
{
	const struct gateway_context context = {
		.loop = world->time.loop,
		.random = &world->random.random,
		.log = &world->log,
		.drops = &world->drops,
		.host = &world->host.host,
		.to_bridge = bridge_gateway_side(world->bridge),
	};
	static const struct gateway_document document = { "/d", (const uint8_t *)"text", 4 };
	static struct gateway_config config; /* large */

	config = (struct gateway_config){
		.mac = world_gateway_mac,
		.addr = ip_addr_from_v4(WORLD_ADDR_GATEWAY),
		.subnet = { ip_addr_from_v4(WORLD_ADDR_GATEWAY - 1), WORLD_PREFIX },
		.mtu = world->mtu,
		.dhcp = true,
		.dns = true,
		.local_names_only = world->host_only,
		.route = !world->host_only,
		.hostname = "box",
		.domain = "internal",
		.reservations = { { world_guest_mac(0), world_guest_addr(0) } },
		.reservation_count = 1,
		.documents = &document,
		.document_count = 1,
	};
	FUZZ_CHECK(gateway_new(&config, &context, &world->gateway) == 0);
}

static enum nat_host_access host_access(uint8_t marks)
{
	if (!(marks & WORLD_HOST_ACCESS))
		return NAT_HOST_ACCESS_NONE;
	return marks & WORLD_LOOPBACK ? NAT_HOST_ACCESS_LOOPBACK : NAT_HOST_ACCESS_LAN;
}

static void make_nat(struct world *world, uint8_t marks)
{
	const struct nat_config config = {
		.mac = world_gateway_mac,
		.addr = ip_addr_from_v4(WORLD_ADDR_GATEWAY),
		.subnet = { ip_addr_from_v4(WORLD_ADDR_GATEWAY - 1), WORLD_PREFIX },
		.mtu = world->mtu,
		.outbound = !world->host_only,
		.host_access = host_access(marks),
		.udp_endpoint_independent_filtering = (marks & WORLD_OPEN_FILTER) != 0,
		.backlog = marks & WORLD_PEEK ? NAT_BACKLOG_PEEK : NAT_BACKLOG_KEPT,
		.flow_capacity = marks & WORLD_SMALL_TABLES ? WORLD_FLOWS_SMALL : WORLD_FLOWS,
		.half_open_capacity = marks & WORLD_SMALL_TABLES ? 2 : WORLD_HALF_OPEN,
		.udp_socket_capacity = marks & WORLD_SMALL_TABLES ? 2 : WORLD_FLOWS,
		.port_capacity = WORLD_GUESTS,
	};
	const struct nat_context context = {
		.loop = world->time.loop,
		.random = &world->random.random,
		.log = &world->log,
		.drops = &world->drops,
		.host = &world->host.host,
		.to_guest = gateway_nat_side(world->gateway),
		.dns_stream = gateway_dns_stream(world->gateway),
		.documents = gateway_documents(world->gateway),
	};

	FUZZ_CHECK(nat_new(&config, &context, &world->nat) == 0);
}

static void make_forward(struct world *world, uint8_t protocol, bool v6, uint16_t external,
			 uint16_t internal)
{
	static const uint8_t any[16];
	const struct nat_forward forward = {
		.protocol = protocol,
		.external = { v6 ? ip_addr_from_v6(any) : ip_addr_from_v4(INADDR_ANY), external },
		.internal = { world_guest_addr(0), internal },
	};
	struct ip_endpoint bound;

	FUZZ_CHECK(nat_forward_add(world->nat, &forward, &bound) == 0);
}

void world_start(struct world *world, uint8_t marks)
{
	memset(world, 0, sizeof(*world));
	world->host_only = (marks & (WORLD_HOST_ACCESS | WORLD_LOOPBACK)) == WORLD_LOOPBACK;
	world->mtu = marks & WORLD_SMALL_MTU ? WORLD_MTU_SMALL : WORLD_MTU;
	if (marks & WORLD_LARGE_MTU)
		world->mtu = WORLD_MTU_LARGE;
	rig_time_init(&world->time);
	random_seeded_init(&world->random, 1);
	make_host(world);
	make_talks(world);
	const struct bridge_config bridge = {
		.gateway_mac = world_gateway_mac,
		.gateway_addr = ip_addr_from_v4(WORLD_ADDR_GATEWAY),
		.port_capacity = WORLD_GUESTS,
		.mtu = world->mtu,
	};
	FUZZ_CHECK(bridge_new(&bridge, world->time.loop, &world->random.random, &world->drops,
			      &world->bridge) == 0);
	make_gateway(world);
	make_nat(world, marks);
	bridge_set_gateway(world->bridge, gateway_guest_side(world->gateway));
	gateway_set_nat(world->gateway, nat_guest_side(world->nat));
	if (marks & WORLD_CAPTURE) {
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

		FUZZ_CHECK(fd >= 0 && capture_new(fd, "fuzz", &world->capture, NULL) == 0);
		(void)close(fd);
		bridge_set_capture(world->bridge, capture_sink(world->capture));
	}
	make_forward(world, NAT_PROTOCOL_TCP, false, WORLD_FORWARD_TCP, WORLD_GUEST_TCP);
	make_forward(world, NAT_PROTOCOL_TCP, true, WORLD_FORWARD_TCP, WORLD_GUEST_TCP);
	make_forward(world, NAT_PROTOCOL_UDP, false, WORLD_FORWARD_UDP, WORLD_GUEST_UDP);
	for (unsigned i = 0; i < WORLD_GUESTS; i++)
		world_attach(world, i);
	rig_time_settle(&world->time);
}

static void check_nothing_left(const struct world *world)
{
	const struct tcp_table *table = tcp_table_of(world->nat);
	struct nat_statistics statistics;

	nat_get_statistics(world->nat, &statistics);
	FUZZ_CHECK(statistics.tcp_flows == 0);
	FUZZ_CHECK(statistics.udp_flows == 0);
	FUZZ_CHECK(statistics.icmp_flows == 0);
	FUZZ_CHECK(world->nat->budget.used == 0);
	FUZZ_CHECK(table->half_open_budget.used == 0);
	FUZZ_CHECK(table->pool.used == 0);
	FUZZ_CHECK(table->time_wait_count == 0);
	FUZZ_CHECK(nat_is_drained(world->nat));
	FUZZ_CHECK(bridge_port_count(world->bridge) == 0);
	/* The listeners, and nothing of DNS. */
	FUZZ_CHECK(world->host.sockets_open == nat_forwards(world->nat, NULL, 0));
}

/* What `tartlet ip` would show. */
static void check_neighbours(const struct world *world)
{
	const struct ip_prefix subnet = { ip_addr_from_v4(WORLD_ADDR_GATEWAY - 1), WORLD_PREFIX };
	struct gateway_neighbour neighbours[1 << (32 - WORLD_PREFIX)];
	size_t count = gateway_neighbours(world->gateway, neighbours, ARRAY_COUNT(neighbours));

	FUZZ_CHECK(count <= ARRAY_COUNT(neighbours));
	for (size_t i = 0; i < count; i++) {
		FUZZ_CHECK(ip_prefix_contains(&subnet, &neighbours[i].addr));
		FUZZ_CHECK(ip_addr_to_v4(&neighbours[i].addr) != WORLD_ADDR_GATEWAY);
		FUZZ_CHECK(!mac_addr_equal(&neighbours[i].mac, &world_gateway_mac));
		for (size_t j = 0; j < i; j++)
			FUZZ_CHECK(!ip_addr_equal(&neighbours[i].addr, &neighbours[j].addr));
	}
}

void world_end(struct world *world)
{
	check_neighbours(world);
	for (unsigned i = 0; i < WORLD_GUESTS; i++)
		world_detach(world, i);
	rig_time_run(&world->time, WORLD_DRAIN_NS);
	check_nothing_left(world);
	FUZZ_CHECK(!world->host_only ||
		   (world->server.connections == 0 && world->resolver.datagrams == 0));
	world->nat = nat_free(world->nat);
	world->gateway = gateway_free(world->gateway);
	world->bridge = bridge_free(world->bridge);
	world->capture = capture_free(world->capture);
	rig_host_done(&world->host); /* asserts that no socket is open */
	rig_time_done(&world->time);
}
