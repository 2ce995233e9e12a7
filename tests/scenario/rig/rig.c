#include "rig/rig.h"

#include <assert.h>
#include <stdlib.h>

#include "wire/packet_build.h"

#define RIG_FLOWS     256
#define RIG_HALF_OPEN 64
#define RIG_PORTS     8

static void rig_log(void *context, enum log_level level, const char *line)
{
	(void)level;
	(void)line;
	((struct rig *)context)->log_lines++;
}

/* What the gateway does for NAT when it is there: judges the frame as a whole. */
static void rig_up(void *context, const uint8_t *bytes, size_t size)
{
	struct rig *rig = context;
	enum drop_reason reason;

	if (!frame_from_bytes(&rig->frame, bytes, size, rig->guest_port, &reason)) {
		drop_count(&rig->drops, reason);
		return;
	}
	if (rig->config.whole) {
		frame_sink_push(rig->ingress, &rig->frame);
		frame_sink_flush(rig->ingress);
		return;
	}
	if (rig->frame.packet.ip_protocol != PACKET_IP_PROTOCOL_TCP &&
	    !frame_verify_checksum(&rig->frame)) {
		drop_count(&rig->drops, DROP_BAD_L4_CHECKSUM);
		return;
	}
	frame_sink_push(nat_guest_side(rig->nat), &rig->frame);
	frame_sink_flush(nat_guest_side(rig->nat));
}

static void rig_port_is_ready(void *context)
{
	const struct rig *rig = context;

	nat_port_ready(rig->nat, rig->guest_port);
}

static void rig_make_world(struct rig *rig)
{
	struct ip_addr guest = ip_addr_from_v4(RIG_ADDR_GUEST);

	rig_link_init(&rig->up, &rig->time, &rig->random.random, &rig->config.up);
	rig_link_init(&rig->down, &rig->time, &rig->random.random, &rig->config.down);
	rig->up.deliver = rig_up;
	rig->up.context = rig;
	rig_guest_init(&rig->guest, &rig->time, &rig->random.random, &guest, &rig->up);
	rig_port_init(&rig->port, &rig->guest, &rig->down);
	rig->port.ready = rig_port_is_ready;
	rig->port.context = rig;
	rig_host_init(&rig->host, &rig->time, &rig->random.random);
	rig->host.local[0] = ip_addr_from_v4(RIG_ADDR_HOST);
	rig->host.local_count = 1;
	rig->host.has_default_source = true;
	rig->host.default_source = rig->host.local[0];
}

/* As network/policy.c joins them. */
static bool rig_address_of(void *context, const struct mac_addr *mac, struct ip_addr *ret_addr,
			   uint64_t *ret_until_ns)
{
	const struct rig *rig = context;

	if (!gateway_address_of(rig->gateway, mac, ret_addr, ret_until_ns)) {
		*ret_addr = (struct ip_addr){ .family = IP_FAMILY_NONE };
		*ret_until_ns = UINT64_MAX;
	}
	return true;
}

static uint32_t rig_address_changes(void *context)
{
	const struct rig *rig = context;

	return gateway_address_changes(rig->gateway);
}

static bool rig_admits(void *context, const struct nat_question *question)
{
	const struct rig *rig = context;
	const struct filter_question asked = {
		.direction = question->from_guest ? FILTER_OUT : FILTER_IN,
		.protocol = question->protocol,
		.remote = question->remote.addr,
		.port = question->remote.port,
		.to_host = question->to_host,
	};

	return filter_admits(rig->filter, &asked);
}

static void rig_make_filter(struct rig *rig)
{
	const struct filter_config config = {
		.gateway = ip_addr_from_v4(RIG_ADDR_GATEWAY),
		.port_capacity = RIG_PORTS,
		.address_of = rig_address_of,
		.address_changes = rig_address_changes,
		.context = rig,
		.loop = rig->time.loop,
	};
	int rc = filter_new(&config, rig->config.policy, &rig->drops, &rig->filter);

	assert(rc == 0);
	(void)rc;
	rig->ingress = filter_port_add(rig->filter, rig->guest_port, rig->ingress);
	rig->config.admits = rig_admits;
	rig->config.admits_context = rig;
}

/* As network/stages.c joins them. */
static void rig_make_front(struct rig *rig)
{
	const struct bridge_config bridge = {
		.gateway_mac = rig->guest.gateway_mac,
		.gateway_addr = ip_addr_from_v4(RIG_ADDR_GATEWAY),
		.port_capacity = RIG_PORTS,
		.mtu = rig->config.mtu,
	};
	int rc =
		bridge_new(&bridge, rig->time.loop, &rig->random.random, &rig->drops, &rig->bridge);
	assert(rc == 0);
	rc = bridge_port_add(rig->bridge, &rig->port.sink, &rig->guest_port, &rig->ingress);
	assert(rc == 0);
	struct gateway_config *config = calloc(1, sizeof(*config));
	assert(config);
	config->mac = bridge.gateway_mac;
	config->addr = bridge.gateway_addr;
	config->subnet = (struct ip_prefix){ ip_addr_from_v4(RIG_ADDR_GATEWAY - 1), 30 };
	config->mtu = rig->config.mtu;
	config->dhcp = config->dns = true;
	config->route = !rig->config.host_only;
	config->local_names_only = rig->config.host_only;
	config->reservations[0] =
		(struct gateway_reservation){ .mac = rig->guest.mac, .addr = rig->guest.addr };
	config->reservation_count = 1;
	const struct gateway_context context = {
		.loop = rig->time.loop,
		.random = &rig->random.random,
		.log = &rig->log,
		.drops = &rig->drops,
		.host = &rig->host.host,
		.to_bridge = bridge_gateway_side(rig->bridge),
	};
	rc = gateway_new(config, &context, &rig->gateway);
	assert(rc == 0);
	(void)rc;
	free(config);
	rig->port.keeps_macs = true;
	bridge_set_gateway(rig->bridge, gateway_guest_side(rig->gateway));
	if (rig->config.policy)
		rig_make_filter(rig);
}

static void rig_make_nat(struct rig *rig)
{
	const struct rig_config *config = &rig->config;
	const struct nat_config nat_config = {
		.mac = rig->guest.gateway_mac,
		.addr = ip_addr_from_v4(RIG_ADDR_GATEWAY),
		.subnet = { ip_addr_from_v4(RIG_ADDR_GATEWAY - 1), 30 },
		.mtu = config->mtu,
		.outbound = !config->host_only,
		.host_access = config->host_access,
		.udp_endpoint_independent_filtering = config->endpoint_independent,
		.backlog = config->backlog,
		.flow_capacity = config->flow_capacity > 0 ? config->flow_capacity : RIG_FLOWS,
		.half_open_capacity =
			config->half_open_capacity > 0 ? config->half_open_capacity : RIG_HALF_OPEN,
		.udp_socket_capacity =
			config->flow_capacity > 0 ? config->flow_capacity : RIG_FLOWS,
		.port_capacity = RIG_PORTS,
		.admits = config->admits,
		.admits_context = config->admits_context,
	};
	const struct nat_context context = {
		.loop = rig->time.loop,
		.random = &rig->random.random,
		.log = &rig->log,
		.drops = &rig->drops,
		.host = &rig->host.host,
		.to_guest = rig->gateway ? gateway_nat_side(rig->gateway) : &rig->port.sink,
		.dns_stream = rig->gateway ? gateway_dns_stream(rig->gateway) : NULL,
		.documents = rig->gateway ? gateway_documents(rig->gateway) : NULL,
	};
	int rc = nat_new(&nat_config, &context, &rig->nat);

	assert(rc == 0);
	(void)rc;
	if (rig->gateway)
		gateway_set_nat(rig->gateway, nat_guest_side(rig->nat));
}

struct rig *rig_new(const struct rig_config *config)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert(rig);
	rig->config = *config;
	if (rig->config.mtu == 0)
		rig->config.mtu = 1500;
	rig_time_init(&rig->time);
	random_seeded_init(&rig->random, config->seed);
	rig->log = (struct log){ .write = rig_log, .context = rig, .most = LOG_LEVEL_DEBUG };
	rig_make_world(rig);
	if (config->whole)
		rig_make_front(rig);
	else
		rig->guest_port = RIG_PORTS - 1;
	rig_make_nat(rig);
	rig->sockets_at_start = rig->host.sockets_open;
	return rig;
}

void rig_send_udp_super(struct rig *rig, const struct ip_endpoint *from,
			const struct ip_endpoint *to, const void *payload, size_t size,
			uint16_t gso_size)
{
	const struct packet_link link = { .source = rig->guest.mac,
					  .destination = rig->guest.gateway_mac,
					  .id = rig->guest.id++,
					  .dont_fragment = true };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };
	struct frame_sink *sink = rig->config.whole ? rig->ingress : nat_guest_side(rig->nat);
	bool built = packet_build_udp_partial(&rig->frame, &link, from, to, &iov, 1, gso_size);

	assert(built);
	(void)built;
	rig->frame.port = rig->guest_port;
	frame_sink_push(sink, &rig->frame);
	frame_sink_flush(sink);
}

void rig_port_gone(struct rig *rig)
{
	nat_port_gone(rig->nat, rig->guest_port);
	if (!rig->config.whole)
		return;
	gateway_port_gone(rig->gateway, rig->guest_port);
	bridge_port_remove(rig->bridge, rig->guest_port);
}

void rig_free(struct rig *rig)
{
	rig_guest_forget(&rig->guest);
	rig->nat = nat_free(rig->nat);
	rig->gateway = gateway_free(rig->gateway);
	rig->bridge = bridge_free(rig->bridge);
	rig->filter = filter_free(rig->filter);
	rig_link_done(&rig->up);
	rig_link_done(&rig->down);
	rig_host_done(&rig->host);
	rig_time_done(&rig->time);
	free(rig);
}

struct tcp_table *rig_tcp_table(const struct rig *rig)
{
	return tcp_table_of(rig->nat);
}

const char *rig_what_is_left(const struct rig *rig)
{
	const struct tcp_table *table = rig_tcp_table(rig);
	struct nat_statistics statistics;

	nat_get_statistics(rig->nat, &statistics);
	if (statistics.tcp_flows > 0)
		return "a TCP flow";
	if (statistics.udp_flows > 0 || statistics.icmp_flows > 0)
		return "a UDP or ICMP flow";
	if (rig->nat->budget.used > 0)
		return "budget of a flow";
	if (table->half_open_budget.used > 0)
		return "budget of a half-open connection";
	if (table->pool.used > 0)
		return "a block of the pool";
	if (table->time_wait_count > 0)
		return "a flow in TIME_WAIT";
	if (rig->host.sockets_open > rig->sockets_at_start + nat_forwards(rig->nat, NULL, 0))
		return "a host socket";
	return NULL;
}

bool rig_is_clean(const struct rig *rig)
{
	return !rig_what_is_left(rig);
}

struct ip_endpoint rig_endpoint(uint32_t addr, uint16_t port)
{
	return (struct ip_endpoint){ ip_addr_from_v4(addr), port };
}

struct ip_endpoint rig_guest_endpoint(const struct rig *rig, uint16_t port)
{
	return (struct ip_endpoint){ rig->guest.addr, port };
}

void rig_forward(struct rig *rig, uint16_t external, uint16_t internal)
{
	struct nat_forward forward = {
		.protocol = NAT_PROTOCOL_TCP,
		.external = rig_endpoint(0, external),
		.internal = rig_guest_endpoint(rig, internal),
	};
	struct ip_endpoint bound;
	int rc = nat_forward_add(rig->nat, &forward, &bound);

	assert(rc == 0);
	(void)rc;
}
