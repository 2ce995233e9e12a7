#include "fake_vmnet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FREE_PORT 40000

void fake_vmnet_init(struct vmnet_network *network)
{
	*network = (struct vmnet_network){ .references = 1,
					   .guest_fd = -1,
					   .lock = PTHREAD_MUTEX_INITIALIZER };
}

const char *vmnet_return_name(vmnet_return_t status)
{
	return status == VMNET_SUCCESS ? "VMNET_SUCCESS" : "VMNET_SOMETHING";
}

vmnet_network_ref vmnet_network_retain(vmnet_network_ref network)
{
	network->references++;
	return network;
}

void vmnet_network_release(vmnet_network_ref network)
{
	if (network)
		network->references--;
}

static void keep(vmnet_network_ref network, struct vmnet_port_forward forward, sa_family_t family)
{
	forward.external_family = family;
	memset(&forward.external_address, 0, sizeof(forward.external_address));
	network->forwards[network->count++] = forward;
}

static vmnet_return_t refuse(vmnet_network_ref network, struct vmnet_error *error)
{
	if (error && network->refuse == VMNET_SHARING_SERVICE_BUSY)
		snprintf(error->text, sizeof(error->text), "TCP port is in use by VM \"b\"");
	return network->refuse;
}

vmnet_return_t vmnet_network_add_port_forward(vmnet_network_ref network,
					      const struct vmnet_port_forward *forward,
					      struct vmnet_port_forward *bound,
					      struct vmnet_error *error)
{
	if (network->refuse)
		return refuse(network, error);
	if (network->taken != 0 && forward->external_port == network->taken)
		return VMNET_SHARING_SERVICE_BUSY;
	struct vmnet_port_forward made = *forward;
	if (made.external_port == 0)
		made.external_port = FREE_PORT;
	if (made.external_family == AF_UNSPEC) {
		keep(network, made, AF_INET);
		keep(network, made, AF_INET6);
	} else {
		network->forwards[network->count++] = made;
	}
	if (bound)
		*bound = made;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_remove_port_forward(vmnet_network_ref network,
						 const struct vmnet_port_forward *forward,
						 struct vmnet_error *error)
{
	size_t kept = 0;

	if (network->refuse)
		return refuse(network, error);
	for (size_t i = 0; i < network->count; i++) {
		const struct vmnet_port_forward *entry = &network->forwards[i];
		bool matches = entry->protocol == forward->protocol &&
			       entry->external_port == forward->external_port &&
			       (forward->external_family == AF_UNSPEC ||
				forward->external_family == entry->external_family);
		if (!matches)
			network->forwards[kept++] = *entry;
	}
	network->count = kept;
	return VMNET_SUCCESS;
}

size_t vmnet_network_get_port_forwards(vmnet_network_ref network,
				       struct vmnet_port_forward *forwards, size_t capacity)
{
	for (size_t i = 0; i < network->count && i < capacity; i++)
		forwards[i] = network->forwards[i];
	return network->count;
}

void vmnet_network_get_statistics(vmnet_network_ref network, struct vmnet_statistics *statistics)
{
	(void)network;
	*statistics = (struct vmnet_statistics){ .frames_from_guests = 7,
						 .bytes_to_guests = UINT64_C(1) << 40,
						 .tcp_flows = 3,
						 .dropped = 5 };
}

void vmnet_network_visit_drops(vmnet_network_ref network,
			       void (*visit)(void *context, const char *name, uint64_t count),
			       void *context)
{
	(void)network;
	visit(context, "bad_arp", 5);
	visit(context, "no_flow", 0);
}

size_t vmnet_network_get_neighbours(vmnet_network_ref network, struct vmnet_neighbour *neighbours,
				    size_t capacity)
{
	const struct vmnet_neighbour all[] = {
		{ .mac = { { 2, 0, 0, 0, 0, 1 } },
		  .address = { .s_addr = htonl(0x0a010202) },
		  .leased = true,
		  .lease_left_s = 3600 },
		{ .mac = { { 2, 0, 0, 0, 0, 2 } }, .address = { .s_addr = htonl(0x0a010203) } },
	};

	(void)network;
	for (size_t i = 0; i < 2 && i < capacity; i++)
		neighbours[i] = all[i];
	return 2;
}

static void accept_client(struct vmnet_network *network,
			  void (*connected)(void *context, vmnet_return_t status, int fd,
					    const char *error),
			  void *context)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	pthread_mutex_lock(&network->lock);
	network->guest_fd = fds[1];
	pthread_mutex_unlock(&network->lock);
	connected(context, VMNET_SUCCESS, fds[0], "");
}

vmnet_return_t vmnet_network_connect(vmnet_network_ref network, const struct sockaddr_in *guest,
				     void (*connected)(void *context, vmnet_return_t status, int fd,
						       const char *error),
				     void *context, struct vmnet_error *error)
{
	pthread_mutex_lock(&network->lock);
	network->asked = *guest;
	pthread_mutex_unlock(&network->lock);
	switch (ntohs(guest->sin_port)) {
	case 22:
		accept_client(network, connected, context);
		return VMNET_SUCCESS;
	case 23:
		connected(context, VMNET_FAILURE, -1, "the guest \"refuses\"");
		return VMNET_SUCCESS;
	case 24:
		network->waiting_context = context;
		__atomic_store_n(&network->waiting, connected, __ATOMIC_RELEASE);
		return VMNET_SUCCESS;
	default:
		snprintf(error->text, sizeof(error->text), "no descriptor is left");
		return VMNET_FAILURE;
	}
}

void fake_vmnet_answer(struct vmnet_network *network)
{
	accept_client(network, network->waiting, network->waiting_context);
}

int fake_vmnet_take_guest(struct vmnet_network *network, struct sockaddr_in *ret_asked)
{
	pthread_mutex_lock(&network->lock);
	int fd = network->guest_fd;
	network->guest_fd = -1;
	*ret_asked = network->asked;
	pthread_mutex_unlock(&network->lock);
	return fd;
}
