/*
 * Forwards of a network: one that stands for both families is two sockets with one port. A socket is
 * bound by NAT in the network's thread; its record in the registry, which names us to others, is
 * written by the calling thread, because it may wait for the disk.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/network_internal.h"

/* With port 0 and two families, the port that is free for one may be taken for the other. */
#define FORWARDS_FREE_PORT_TRIES 16

struct forwards_call {
	struct vmnet_network *network;
	struct nat_forward forward;
	struct ip_endpoint bound;
	int status;
};

static void forwards_add_in_thread(void *context)
{
	struct forwards_call *call = context;

	call->status = nat_forward_add(call->network->nat, &call->forward, &call->bound);
}

static void forwards_remove_in_thread(void *context)
{
	struct forwards_call *call = context;

	call->status = nat_forward_remove(call->network->nat, call->forward.protocol,
					  &call->forward.external);
}

static struct vmnet_port_forward forwards_public(const struct nat_forward *forward,
						 const struct ip_endpoint *bound)
{
	struct vmnet_port_forward public = {
		.protocol = forward->protocol,
		.external_port = bound->port,
		.internal_port = forward->internal.port,
		.internal_address.s_addr = htonl(ip_addr_to_v4(&forward->internal.addr)),
	};

	if (ip_addr_is_v4(&bound->addr)) {
		public.external_family = AF_INET;
		public.external_address.v4.s_addr = htonl(ip_addr_to_v4(&bound->addr));
	} else {
		public.external_family = AF_INET6;
		memcpy(&public.external_address.v6, bound->addr.octet, sizeof(struct in6_addr));
	}
	return public;
}

static struct ip_endpoint forwards_endpoint(const struct vmnet_port_forward *bound)
{
	return (struct ip_endpoint){
		.addr = bound->external_family == AF_INET
				? ip_addr_from_v4(ntohl(bound->external_address.v4.s_addr))
				: ip_addr_from_v6(bound->external_address.v6.s6_addr),
		.port = bound->external_port,
	};
}

/* Is a socket of ours in the way? An unspecified address is in the way of all of its family. */
static bool forwards_is_ours(struct vmnet_network *network, const struct nat_forward *wanted)
{
	list_for_each_safe(node, next, &network->forwards)
	{
		const struct vmnet_port_forward *bound =
			&container_of(node, struct network_forward, node)->bound;
		struct ip_endpoint at = forwards_endpoint(bound);

		if (bound->protocol == wanted->protocol && at.port == wanted->external.port &&
		    at.addr.family == wanted->external.addr.family &&
		    (ip_addr_equal(&at.addr, &wanted->external.addr) ||
		     ip_addr_is_unspecified(&at.addr) ||
		     ip_addr_is_unspecified(&wanted->external.addr)))
			return true;
	}
	return false;
}

static void forwards_explain(struct vmnet_network *network, const struct forwards_call *call,
			     struct error *err)
{
	const struct ip_endpoint *at = &call->forward.external;
	const char *protocol = call->forward.protocol == IPPROTO_TCP ? "TCP" : "UDP";
	char text[IP_ADDR_TEXT_SIZE];
	bool is_ours = call->status == -EADDRINUSE && forwards_is_ours(network, &call->forward);

	ip_addr_format(&at->addr, text);
	switch (is_ours ? EEXIST : -call->status) {
	case EADDRINUSE:
		registry_explain_port(network->registry, call->forward.protocol, at, err);
		break;
	case EEXIST:
		error_set(err, "%s port %u on %s is forwarded already", protocol, at->port, text);
		break;
	case EACCES:
	case EPERM:
		error_set(err,
			  "%s port %u on %s needs a right that this user lacks: choose a port from "
			  "1024 on, or lower net.ipv4.ip_unprivileged_port_start",
			  protocol, at->port, text);
		break;
	case ENOSPC:
		error_set(err, "%s port %u: the network has as many forwards as it can have",
			  protocol, at->port);
		break;
	case EMFILE:
	case ENFILE:
		error_set(err,
			  "%s port %u: no file descriptor is left; raise the limit (ulimit -n) or "
			  "forward fewer ports",
			  protocol, at->port);
		break;
	case EADDRNOTAVAIL:
		error_set(err, "%s port %u: the host has no address %s", protocol, at->port, text);
		break;
	default:
		error_set(err, "cannot listen on %s port %u of %s: %s", protocol, at->port, text,
			  strerror(-call->status));
		break;
	}
}

/* The family is absent on this host (IPv6 switched off), which both-family forwards forgive. */
static bool forwards_family_is_absent(int status)
{
	return status == -EAFNOSUPPORT || status == -EADDRNOTAVAIL;
}

static void forwards_unbind(struct vmnet_network *network, struct network_forward *forward)
{
	struct ip_endpoint at = forwards_endpoint(&forward->bound);
	struct forwards_call call = {
		.network = network,
		.forward = { .protocol = forward->bound.protocol, .external = at },
	};

	/* Both fail only where there is nothing left to undo. */
	int status = network_run(network, forwards_remove_in_thread, &call);
	if (status == 0)
		status =
			registry_release_port(network->holding, forward->bound.protocol, &at, NULL);
	if (status < 0)
		log_write(&network->log, LOG_LEVEL_WARNING, "forward of port %u: %s", at.port,
			  strerror(-status));
	list_remove(&forward->node);
	free(forward);
}

/* One socket. The lock is held. */
static int forwards_bind_one(struct vmnet_network *network, const struct nat_forward *wanted,
			     struct network_forward **ret_forward, struct error *err)
{
	struct forwards_call call = { .network = network, .forward = *wanted };
	struct network_forward *forward = calloc(1, sizeof(*forward));
	int status = forward ? network_run(network, forwards_add_in_thread, &call) : -ENOMEM;

	if (status == 0)
		status = call.status;
	if (status < 0) {
		call.status = status;
		forwards_explain(network, &call, err);
		free(forward);
		return status;
	}
	forward->bound = forwards_public(wanted, &call.bound);
	list_append(&network->forwards, &forward->node);
	status = registry_hold_port(network->holding, wanted->protocol, &call.bound, err);
	if (status < 0) {
		forwards_unbind(network, forward);
		return status;
	}
	*ret_forward = forward;
	return 0;
}

/* Both families on `v4` and `v6` with one port. */
static int forwards_bind_both(struct vmnet_network *network, const struct nat_forward *wanted,
			      const struct ip_addr *v4, const struct ip_addr *v6,
			      struct vmnet_port_forward *ret_bound, struct error *err)
{
	struct nat_forward one = *wanted;

	for (unsigned try = 0;; try++) {
		struct network_forward *first;
		struct network_forward *second;

		one.external = (struct ip_endpoint){ *v4, wanted->external.port };
		int status = forwards_bind_one(network, &one, &first, err);
		if (status < 0)
			return status;
		one.external = (struct ip_endpoint){ *v6, first->bound.external_port };
		status = forwards_bind_one(network, &one, &second, err);
		if (status == 0 || forwards_family_is_absent(status)) {
			*ret_bound = first->bound;
			return 0;
		}
		forwards_unbind(network, first);
		if (status != -EADDRINUSE || wanted->external.port != 0 ||
		    try == FORWARDS_FREE_PORT_TRIES)
			return status;
	}
}

static int forwards_internal(const struct vmnet_network *network,
			     const struct vmnet_port_forward *forward,
			     struct ip_endpoint *ret_internal, struct error *err)
{
	char text[IP_ADDR_TEXT_SIZE];
	char subnet[IP_PREFIX_TEXT_SIZE];
	struct ip_addr addr = ip_addr_from_v4(ntohl(forward->internal_address.s_addr));

	if (forward->internal_address.s_addr == 0) {
		if (network->reservation_count != 1) {
			error_set(err, "a forward without a guest address needs a network with "
				       "exactly one reservation");
			return -EINVAL;
		}
		addr = network->reservations[0].addr;
	}
	if (!configuration_judge_address(&network->subnet, &addr, NULL)) {
		error_set(err, "a forward to %s: the address is no guest's in %s",
			  ip_addr_format(&addr, text), ip_prefix_format(&network->subnet, subnet));
		return -EINVAL;
	}
	*ret_internal = (struct ip_endpoint){ addr, forward->internal_port };
	return 0;
}

static int forwards_bind_locked(struct vmnet_network *network,
				const struct vmnet_port_forward *forward,
				struct vmnet_port_forward *ret_bound, struct error *err)
{
	const uint8_t any6[16] = {};
	const uint8_t loopback6[16] = { [15] = 1 };
	bool local = forward->external_family == AF_LOCAL;
	const struct ip_addr v4 = ip_addr_from_v4(local ? INADDR_LOOPBACK : INADDR_ANY);
	const struct ip_addr v6 = ip_addr_from_v6(local ? loopback6 : any6);
	struct nat_forward wanted = { .protocol = forward->protocol };
	struct network_forward *bound;
	int status = forwards_internal(network, forward, &wanted.internal, err);

	if (status < 0)
		return status;
	if (forward->external_family != AF_INET && forward->external_family != AF_INET6) {
		wanted.external.port = forward->external_port;
		return forwards_bind_both(network, &wanted, &v4, &v6, ret_bound, err);
	}
	wanted.external = forwards_endpoint(forward);
	status = forwards_bind_one(network, &wanted, &bound, err);
	if (status == 0)
		*ret_bound = bound->bound;
	return status;
}

int network_bind_forward(struct vmnet_network *network, const struct vmnet_port_forward *forward,
			 struct vmnet_port_forward *ret_bound, struct error *err)
{
	if (!configuration_judge_forward(forward, err))
		return -EINVAL;
	(void)pthread_mutex_lock(&network->forwards_lock);
	int status = forwards_bind_locked(network, forward, ret_bound, err);
	(void)pthread_mutex_unlock(&network->forwards_lock);
	return status;
}

void network_forget_forwards(struct vmnet_network *network)
{
	list_for_each_safe(node, next, &network->forwards)
	{
		list_remove(node);
		free(container_of(node, struct network_forward, node));
	}
}

static vmnet_return_t forwards_fail(int status, const struct error *err, struct vmnet_error *error)
{
	if (error)
		(void)snprintf(error->text, sizeof(error->text), "%s", err->text);
	return configuration_status_of(status);
}

/* The record of a forward, by which others name its holder, could not be written or removed any more. */
static bool forwards_are_fixed(const struct vmnet_network *network, struct vmnet_error *error)
{
	if (network->informant && error)
		(void)snprintf(
			error->text, sizeof(error->text),
			"the ports of a network that opens no files are forwarded when it is "
			"created, and stay: give them at its start");
	return network->informant;
}

vmnet_return_t vmnet_network_add_port_forward(vmnet_network_ref network,
					      const struct vmnet_port_forward *forward,
					      struct vmnet_port_forward *bound,
					      struct vmnet_error *error)
{
	struct vmnet_port_forward result;
	struct error err = {};

	if (forwards_are_fixed(network, error))
		return VMNET_NOT_AUTHORIZED;
	int status = network_bind_forward(network, forward, &result, &err);

	if (status < 0)
		return forwards_fail(status, &err, error);
	if (bound)
		*bound = result;
	return VMNET_SUCCESS;
}

static bool forwards_is_meant(const struct vmnet_port_forward *bound,
			      const struct vmnet_port_forward *asked)
{
	if (bound->protocol != asked->protocol || bound->external_port != asked->external_port)
		return false;
	if (asked->external_family != AF_INET && asked->external_family != AF_INET6)
		return true;
	struct ip_endpoint a = forwards_endpoint(bound);
	struct ip_endpoint b = forwards_endpoint(asked);
	return bound->external_family == asked->external_family && ip_addr_equal(&a.addr, &b.addr);
}

vmnet_return_t vmnet_network_remove_port_forward(vmnet_network_ref network,
						 const struct vmnet_port_forward *forward,
						 struct vmnet_error *error)
{
	struct error err = {};
	bool found = false;

	if (forwards_are_fixed(network, error))
		return VMNET_NOT_AUTHORIZED;
	(void)pthread_mutex_lock(&network->forwards_lock);
	list_for_each_safe(node, next, &network->forwards)
	{
		struct network_forward *one = container_of(node, struct network_forward, node);

		if (!forwards_is_meant(&one->bound, forward))
			continue;
		found = true;
		forwards_unbind(network, one);
	}
	(void)pthread_mutex_unlock(&network->forwards_lock);
	if (found)
		return VMNET_SUCCESS;
	error_set(&err, "%s port %u is not forwarded",
		  forward->protocol == IPPROTO_UDP ? "UDP" : "TCP", forward->external_port);
	return forwards_fail(-EINVAL, &err, error);
}

size_t vmnet_network_get_port_forwards(vmnet_network_ref network,
				       struct vmnet_port_forward *forwards, size_t capacity)
{
	size_t count = 0;

	(void)pthread_mutex_lock(&network->forwards_lock);
	list_for_each_safe(node, next, &network->forwards)
	{
		if (count < capacity)
			forwards[count] = container_of(node, struct network_forward, node)->bound;
		count++;
	}
	(void)pthread_mutex_unlock(&network->forwards_lock);
	return count;
}
