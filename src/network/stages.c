/* The composition root: which stage pushes into which, in one short function. */

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "host/host_real.h"
#include "host/local_ports.h"
#include "network/network_internal.h"

/* What the limit of open files must leave for everything that is not a flow. */
#define STAGES_FILE_RESERVE 512
#define STAGES_FLOWS_MOST   131072 /* an eighth is kept back (nat/budget.h): 114,688 for one guest */
#define STAGES_FLOWS_LEAST  64
#define STAGES_HALF_OPEN    1024
/* Of the ports that the host's programs share, a network's UDP has at most one in so many. */
#define STAGES_LOCAL_PORTS_PART 4

/* A forward keeps its sockets as long as it lasts. Those that are added later live from the reserve. */
static uint32_t stages_flow_capacity(uint32_t forward_sockets)
{
	const rlim_t kept = STAGES_FILE_RESERVE + forward_sockets;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return STAGES_FLOWS_MOST;
	if (limit.rlim_cur < kept + STAGES_FLOWS_LEAST)
		return STAGES_FLOWS_LEAST;
	rlim_t left = limit.rlim_cur - kept;
	return left < STAGES_FLOWS_MOST ? (uint32_t)left : STAGES_FLOWS_MOST;
}

/* At least one: a range may be that short. */
static uint32_t stages_udp_socket_capacity(void)
{
	uint32_t part = local_ports_count() / STAGES_LOCAL_PORTS_PART;

	return part > 0 ? part : 1;
}

static int stages_new_gateway(struct vmnet_network *network,
			      const struct vmnet_network_configuration *asked)
{
	const struct vmnet_network_configuration *config = &network->config;
	struct gateway_config *gateway = calloc(1, sizeof(*gateway));
	const struct gateway_context context = {
		.loop = network->loop,
		.random = &random_system,
		.log = &network->log,
		.drops = &network->drops,
		.host = network->host,
		.to_bridge = bridge_gateway_side(network->bridge),
	};

	if (!gateway)
		return -ENOMEM;
	gateway->mac = network->gateway_mac;
	gateway->addr = network->gateway_addr;
	gateway->subnet = network->subnet;
	gateway->mtu = config->mtu;
	gateway->dhcp = config->dhcp;
	gateway->dns = config->dns;
	gateway->local_names_only = config->mode == VMNET_HOST_MODE;
	gateway->route = config->nat;
	memcpy(gateway->hostname, config->hostname, sizeof(gateway->hostname));
	memcpy(gateway->domain, "internal", sizeof("internal"));
	memcpy(gateway->reservations, network->reservations, sizeof(gateway->reservations));
	gateway->reservation_count = network->reservation_count;
	gateway->documents = asked->documents;
	gateway->document_count = asked->document_count;
	if (network->filter) {
		gateway->admits = network_admits_service;
		gateway->admits_context = network;
	}
	int status = gateway_new(gateway, &context, &network->gateway);
	free(gateway);
	return status;
}

/* Asked at each new flow to a private address, so as often as a guest likes: see registry.h. */
static bool stages_belongs_to_other(void *context, const struct ip_addr *addr)
{
	const struct vmnet_network *network = context;
	const struct ip_prefix one = { *addr, 32 };
	uint64_t now_ns = loop_now(network->loop);

	if (!ip_prefix_is_rfc1918(&one))
		return false;
	return network->informant ? informant_client_is_held(network->informant, addr, now_ns)
				  : registry_is_held_by_other(network->holding, addr, now_ns);
}

static int stages_new_nat(struct vmnet_network *network)
{
	const struct vmnet_network_configuration *config = &network->config;
	const struct nat_config nat = {
		.mac = network->gateway_mac,
		.addr = network->gateway_addr,
		.subnet = network->subnet,
		.mtu = config->mtu,
		.outbound = config->nat,
		.host_access = network_host_access(network),
		.allow_metadata = config->allow_metadata,
		.udp_endpoint_independent_filtering = config->udp_endpoint_independent_filtering,
		.backlog = NAT_BACKLOG_KEPT, /* network_attach() says what a port has */
		.flow_capacity = stages_flow_capacity(network->forward_sockets),
		.half_open_capacity = STAGES_HALF_OPEN,
		.udp_socket_capacity = stages_udp_socket_capacity(),
		.port_capacity = network->port_capacity,
		.belongs_to_other = stages_belongs_to_other,
		.belongs_context = network,
		.admits = network->filter ? network_admits_flow : NULL,
		.admits_context = network,
	};
	const struct nat_context context = {
		.loop = network->loop,
		.random = &random_system,
		.log = &network->log,
		.drops = &network->drops,
		.host = network->host,
		.to_guest = gateway_nat_side(network->gateway),
		.dns_stream = gateway_dns_stream(network->gateway),
		.documents = gateway_documents(network->gateway),
	};

	return nat_new(&nat, &context, &network->nat);
}

/* Guest addresses: all but network, gateway and broadcast. */
static uint32_t stages_port_capacity(const struct ip_prefix *subnet)
{
	uint32_t addresses = ip_prefix_last_v4(subnet) - ip_prefix_first_v4(subnet) - 2;

	return addresses < NETWORK_MAX_PORTS ? addresses : NETWORK_MAX_PORTS;
}

/* With a single processor, looking would only keep away whoever is to answer. */
static bool stages_may_poll_busily(void)
{
	cpu_set_t processors;

	return sched_getaffinity(0, sizeof(processors), &processors) == 0 &&
	       CPU_COUNT(&processors) > 1;
}

/* Guests that are kept apart by rules must not meet at the bridge. */
static bool network_isolates(const struct vmnet_network *network)
{
	return network->filter && filter_policy_isolates(filter_policy_of(network->filter));
}

int network_stages_new(struct vmnet_network *network,
		       const struct vmnet_network_configuration *asked, struct error *err)
{
	int status = loop_new(&clock_boottime, &network->loop);

	if (status == 0 && stages_may_poll_busily())
		loop_set_busy_poll(network->loop, network->config.busy_poll_us * NS_PER_US);
	network->port_capacity = stages_port_capacity(&network->subnet);
	network->ports = calloc(network->port_capacity, sizeof(*network->ports));
	loop_deferred_init(&network->reap, network_reap_ports);
	if (status == 0 && !network->ports)
		status = -ENOMEM;
	if (status == 0)
		status = host_real_new(
			network->loop, &network->log,
			network->informant ? informant_client_files(network->informant) : NULL,
			&network->host, err);
	if (status == 0 && asked->rules.given)
		status = network_new_filter(network, asked, err);
	if (status == 0) {
		const struct bridge_config bridge = { .gateway_mac = network->gateway_mac,
						      .gateway_addr = network->gateway_addr,
						      .port_capacity = network->port_capacity,
						      .mtu = network->config.mtu,
						      .isolated = network_isolates(network) };

		status = bridge_new(&bridge, network->loop, &random_system, &network->drops,
				    &network->bridge);
	}
	if (status == 0)
		status = stages_new_gateway(network, asked);
	if (status == 0)
		status = stages_new_nat(network);
	if (status == 0 && asked->capture_fd >= 0)
		status = capture_new(asked->capture_fd, network_name(network), &network->capture,
				     err);
	if (status < 0) {
		if (err && err->text[0] == '\0')
			error_set(err, "cannot start the network: %s", strerror(-status));
		return status;
	}
	bridge_set_gateway(network->bridge, gateway_guest_side(network->gateway));
	gateway_set_nat(network->gateway, nat_guest_side(network->nat));
	if (network->capture)
		bridge_set_capture(network->bridge, capture_sink(network->capture));
	return 0;
}

/* From the outside in: nobody is called by a stage that is gone. */
void network_stages_free(struct vmnet_network *network)
{
	if (!network->loop) { /* failed before the first stage */
		free(network->ports);
		return;
	}
	if (network->ports)
		network_remove_all_ports(network);
	loop_deferred_cancel(&network->reap);
	network->nat = nat_free(network->nat);
	network->gateway = gateway_free(network->gateway);
	network->bridge = bridge_free(network->bridge);
	network->filter = filter_free(network->filter);
	network->capture = capture_free(network->capture);
	network->host = host_real_free(network->host);
	network->loop = loop_free(network->loop);
	free(network->ports);
	network->ports = NULL;
}
