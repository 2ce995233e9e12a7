/* What can be asked of a live network. */

#include <stdlib.h>
#include <string.h>

#include "network/network_internal.h"

static void inspect_mac(const struct mac_addr *mac, ether_addr_t *ret_mac)
{
	memcpy(ret_mac->ether_addr_octet, mac->octet, sizeof(mac->octet));
}

void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet,
				   struct in_addr *mask)
{
	if (subnet)
		subnet->s_addr = htonl(ip_prefix_first_v4(&network->subnet));
	if (mask)
		mask->s_addr = htonl(ip_length_to_mask(network->subnet.length));
}

void vmnet_network_get_gateway(vmnet_network_ref network, struct in_addr *address,
			       ether_addr_t *mac)
{
	if (address)
		address->s_addr = htonl(ip_addr_to_v4(&network->gateway_addr));
	if (mac)
		inspect_mac(&network->gateway_mac, mac);
}

vmnet_return_t vmnet_network_get_reservation(vmnet_network_ref network, const ether_addr_t *client,
					     struct in_addr *address)
{
	struct mac_addr mac = configuration_mac(client);

	for (uint32_t i = 0; i < network->reservation_count; i++) {
		if (!mac_addr_equal(&network->reservations[i].mac, &mac))
			continue;
		address->s_addr = htonl(ip_addr_to_v4(&network->reservations[i].addr));
		return VMNET_SUCCESS;
	}
	return VMNET_INVALID_ARGUMENT;
}

struct inspect_statistics_call {
	struct vmnet_network *network;
	struct vmnet_statistics *statistics;
	struct drop_counters drops;
};

static void inspect_statistics_in_thread(void *context)
{
	struct inspect_statistics_call *call = context;
	struct vmnet_network *network = call->network;
	struct vmnet_statistics *statistics = call->statistics;
	struct bridge_counters bridge;
	struct nat_statistics nat;

	call->drops = network->drops;
	if (!statistics)
		return;
	bridge_get_counters(network->bridge, &bridge);
	nat_get_statistics(network->nat, &nat);
	*statistics = (struct vmnet_statistics){
		.frames_from_guests = bridge.frames_from_guests,
		.bytes_from_guests = bridge.bytes_from_guests,
		.frames_to_guests = bridge.frames_to_guests,
		.bytes_to_guests = bridge.bytes_to_guests,
		.ports = bridge_port_count(network->bridge),
		.tcp_flows = nat.tcp_flows,
		.udp_flows = nat.udp_flows,
		.icmp_flows = nat.icmp_flows,
	};
	for (size_t i = 0; i < DROP_REASON_COUNT; i++)
		statistics->dropped += i == DROP_UNSENT_BYTES ? 0 : network->drops.count[i];
}

void vmnet_network_get_statistics(vmnet_network_ref network, struct vmnet_statistics *statistics)
{
	struct inspect_statistics_call call = { .network = network, .statistics = statistics };

	if (network_run(network, inspect_statistics_in_thread, &call) < 0)
		*statistics = (struct vmnet_statistics){};
}

void vmnet_network_visit_drops(vmnet_network_ref network,
			       void (*visit)(void *context, const char *name, uint64_t count),
			       void *context)
{
	struct inspect_statistics_call call = { .network = network };

	if (network_run(network, inspect_statistics_in_thread, &call) < 0)
		return;
	for (enum drop_reason reason = 0; reason < DROP_REASON_COUNT; reason++)
		visit(context, drop_reason_name(reason), call.drops.count[reason]);
}

struct inspect_neighbours_call {
	struct vmnet_network *network;
	struct gateway_neighbour *neighbours;
	size_t capacity;
	size_t count;
};

static void inspect_neighbours_in_thread(void *context)
{
	struct inspect_neighbours_call *call = context;

	call->count = gateway_neighbours(call->network->gateway, call->neighbours, call->capacity);
}

size_t vmnet_network_get_neighbours(vmnet_network_ref network, struct vmnet_neighbour *neighbours,
				    size_t capacity)
{
	struct inspect_neighbours_call call = { .network = network, .capacity = capacity };

	call.neighbours = capacity > 0 ? calloc(capacity, sizeof(*call.neighbours)) : NULL;
	if ((capacity > 0 && !call.neighbours) ||
	    network_run(network, inspect_neighbours_in_thread, &call) < 0) {
		free(call.neighbours);
		return 0;
	}
	for (size_t i = 0; i < call.count && i < capacity; i++) {
		const struct gateway_neighbour *from = &call.neighbours[i];

		inspect_mac(&from->mac, &neighbours[i].mac);
		neighbours[i].address.s_addr = htonl(ip_addr_to_v4(&from->addr));
		neighbours[i].leased = from->leased;
		neighbours[i].lease_left_s = from->lease_left_s;
	}
	free(call.neighbours);
	return call.count;
}

const char *vmnet_return_name(vmnet_return_t status)
{
	switch (status) {
#define INSPECT_NAME(value)                                                                        \
	case value:                                                                                \
		return #value
		INSPECT_NAME(VMNET_SUCCESS);
		INSPECT_NAME(VMNET_FAILURE);
		INSPECT_NAME(VMNET_MEM_FAILURE);
		INSPECT_NAME(VMNET_INVALID_ARGUMENT);
		INSPECT_NAME(VMNET_SETUP_INCOMPLETE);
		INSPECT_NAME(VMNET_INVALID_ACCESS);
		INSPECT_NAME(VMNET_PACKET_TOO_BIG);
		INSPECT_NAME(VMNET_BUFFER_EXHAUSTED);
		INSPECT_NAME(VMNET_TOO_MANY_PACKETS);
		INSPECT_NAME(VMNET_SHARING_SERVICE_BUSY);
		INSPECT_NAME(VMNET_NOT_AUTHORIZED);
#undef INSPECT_NAME
	}
	return "unknown";
}
