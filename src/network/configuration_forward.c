/* Port forwards of a configuration: judging one, and one against the others. */

#include <stdlib.h>
#include <string.h>

#include "network/configuration.h"

static struct ip_addr configuration_listener(const struct vmnet_port_forward *forward)
{
	switch (forward->external_family) {
	case AF_INET:
		return ip_addr_from_v4(ntohl(forward->external_address.v4.s_addr));
	case AF_INET6:
		return ip_addr_from_v6(forward->external_address.v6.s6_addr);
	default: /* all or loopback, of both families */
		return (struct ip_addr){};
	}
}

bool configuration_judge_forward(const struct vmnet_port_forward *forward, struct error *err)
{
	const struct ip_addr listener = configuration_listener(forward);
	const char *why = ip_addr_why_no_listener(&listener);
	char text[IP_ADDR_TEXT_SIZE];

	if (forward->protocol != IPPROTO_TCP && forward->protocol != IPPROTO_UDP)
		error_set(err, "protocol %u cannot be forwarded, only TCP and UDP",
			  (unsigned)forward->protocol);
	else if (forward->internal_port == 0)
		error_set(err, "a forward's internal port must be 1 to 65535");
	else if (forward->external_family != AF_UNSPEC && forward->external_family != AF_LOCAL &&
		 forward->external_family != AF_INET && forward->external_family != AF_INET6)
		error_set(err, "address family %u cannot be forwarded",
			  (unsigned)forward->external_family);
	else if (why)
		error_set(err, "a forward cannot listen on %s, which %s",
			  ip_addr_format(&listener, text), why);
	else
		return true;
	return false;
}

/* True when both would bind the same address of the same family. */
static bool configuration_forwards_collide(const struct vmnet_port_forward *a,
					   const struct vmnet_port_forward *b)
{
	if (a->protocol != b->protocol || a->external_port != b->external_port ||
	    a->external_port == 0)
		return false;
	if (a->external_family != AF_INET && a->external_family != AF_INET6)
		return true;
	if (b->external_family != AF_INET && b->external_family != AF_INET6)
		return true;
	if (a->external_family != b->external_family)
		return false;
	if (a->external_family == AF_INET)
		return a->external_address.v4.s_addr == b->external_address.v4.s_addr ||
		       a->external_address.v4.s_addr == INADDR_ANY ||
		       b->external_address.v4.s_addr == INADDR_ANY;
	return memcmp(&a->external_address.v6, &b->external_address.v6,
		      sizeof(a->external_address.v6)) == 0 ||
	       IN6_IS_ADDR_UNSPECIFIED(&a->external_address.v6) ||
	       IN6_IS_ADDR_UNSPECIFIED(&b->external_address.v6);
}

vmnet_return_t
vmnet_network_configuration_add_port_forward(vmnet_network_configuration_ref config,
					     const struct vmnet_port_forward *forward)
{
	if (!forward) {
		error_set(&config->error, "a forward is missing");
		return VMNET_INVALID_ARGUMENT;
	}
	if (!configuration_judge_forward(forward, &config->error))
		return VMNET_INVALID_ARGUMENT;
	for (size_t i = 0; i < config->forward_count; i++) {
		if (configuration_forwards_collide(&config->forwards[i], forward)) {
			error_set(&config->error, "%s port %u is forwarded more than once",
				  forward->protocol == IPPROTO_TCP ? "TCP" : "UDP",
				  forward->external_port);
			return VMNET_INVALID_ARGUMENT;
		}
	}
	if (config->forward_count == CONFIGURATION_MAX_FORWARDS) {
		error_set(&config->error, "more than %d forwards", CONFIGURATION_MAX_FORWARDS);
		return VMNET_INVALID_ARGUMENT;
	}
	struct vmnet_port_forward *grown =
		reallocarray(config->forwards, config->forward_count + 1, sizeof(*grown));
	if (!grown) {
		error_set(&config->error, "out of memory");
		return VMNET_MEM_FAILURE;
	}
	config->forwards = grown;
	config->forwards[config->forward_count++] = *forward;
	config->error.text[0] = '\0';
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(
	vmnet_network_configuration_ref config, uint8_t protocol, sa_family_t address_family,
	uint16_t internal_port, uint16_t external_port, const void *internal_address)
{
	struct vmnet_port_forward forward = {
		.protocol = protocol,
		.external_family = AF_LOCAL,
		.external_port = external_port,
		.internal_port = internal_port,
	};

	if (address_family != AF_INET) {
		error_set(&config->error, "address family %u cannot be forwarded, only AF_INET",
			  (unsigned)address_family);
		return VMNET_INVALID_ARGUMENT;
	}
	if (internal_address)
		memcpy(&forward.internal_address, internal_address,
		       sizeof(forward.internal_address));
	return vmnet_network_configuration_add_port_forward(config, &forward);
}
