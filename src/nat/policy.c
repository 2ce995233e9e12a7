/*
 * What a guest may reach (design: "What a guest may reach by default"). One place decides for every
 * protocol, at each new flow:
 *
 *     never                  0/8, 127/8, multicast, 240/4, the guest's own subnet, other networks
 *     with allow_metadata    169.254/16 and the clouds' other metadata addresses
 *     the gateway's address  own forwards (hairpin); the host, as far as host_access opens it
 *     addresses of the host  own forwards (hairpin); the default route's source with host_access
 *     anything else          the outside
 *
 * A network without NAT has neither hairpins nor the outside.
 *
 * Whatever these let through, the network's own rules (nat_config.admits) may forbid. At an address of the
 * host, those about the host are asked as well as those about that address: both must admit.
 */

#include "nat/nat_internal.h"

/* addr as host-order numbers, so that the table reads like the design. */
struct policy_range {
	uint32_t addr;
	uint8_t length;
};

static const struct policy_range policy_never[] = {
	{ 0x00000000, 8 }, /* "this network", RFC 1122 3.2.1.3 */
	{ 0x7f000000, 8 }, /* loopback */
	{ 0xe0000000, 4 }, /* multicast */
	{ 0xf0000000, 4 }, /* reserved and broadcast */
};

static const struct policy_range policy_metadata[] = {
	{ 0xa9fe0000, 16 }, /* link-local, 169.254.169.254 among it */
	{ 0xa83f8110, 32 }, /* 168.63.129.16 (Azure) */
	{ 0x646464c8, 32 }, /* 100.100.100.200 (Alibaba) */
};

static bool policy_in(const struct policy_range *ranges, size_t count, uint32_t addr)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t mask = ip_length_to_mask(ranges[i].length);

		if ((addr & mask) == ranges[i].addr)
			return true;
	}
	return false;
}

static bool policy_is_forbidden(const struct nat *nat, const struct ip_addr *seen)
{
	const struct nat_config *config = &nat->config;
	uint32_t addr = ip_addr_to_v4(seen);

	if (policy_in(policy_never, ARRAY_COUNT(policy_never), addr))
		return true;
	if (!config->allow_metadata &&
	    policy_in(policy_metadata, ARRAY_COUNT(policy_metadata), addr))
		return true;
	if (ip_prefix_contains(&config->subnet, seen))
		return true;
	return config->belongs_to_other && config->belongs_to_other(config->belongs_context, seen);
}

/* The forward that this is to come back by, or NULL. A guest without a way out gets no sockets at the
 * host's addresses either, not even towards itself. */
static const struct nat_forward *policy_hairpin(const struct nat *nat,
						const struct nat_forward *forward)
{
	return nat->config.outbound ? forward : NULL;
}

/* Where a listener of ours is reached from inside the process. */
static struct ip_addr policy_listener_addr(const struct nat_forward *forward)
{
	const uint8_t loopback6[16] = { [15] = 1 };

	if (!ip_addr_is_unspecified(&forward->external.addr))
		return forward->external.addr;
	return ip_addr_is_v4(&forward->external.addr) ? ip_addr_from_v4(INADDR_LOOPBACK)
						      : ip_addr_from_v6(loopback6);
}

static bool policy_ask(const struct nat *nat, const struct nat_question *question)
{
	const struct nat_config *config = &nat->config;

	return !config->admits || config->admits(config->admits_context, question);
}

bool policy_admits(const struct nat *nat, uint8_t protocol, const struct ip_endpoint *seen)
{
	const struct nat_question question = {
		.from_guest = true,
		.protocol = protocol,
		.remote = *seen,
	};

	return policy_ask(nat, &question);
}

static bool policy_is_gateway(const struct nat *nat, const struct ip_addr *addr)
{
	return ip_addr_equal(addr, &nat->config.addr);
}

/* What the rules say of the host, by whichever of its addresses: of an own forward (a hairpin), as of all that is
 * at the gateway's address; else of the host's own services. */
static bool policy_host_admits(const struct nat *nat, uint8_t protocol, uint16_t port,
			       bool is_hairpin)
{
	const struct nat_question question = {
		.from_guest = true,
		.protocol = protocol,
		.remote = { nat->config.addr, port },
		.to_host = !is_hairpin,
	};

	return policy_ask(nat, &question);
}

static bool policy_may_reach_services(const struct nat *nat, uint8_t protocol, uint16_t port)
{
	return nat->config.host_access != NAT_HOST_ACCESS_NONE &&
	       policy_host_admits(nat, protocol, port, false);
}

/* The gateway's address stands for the host. */
static bool policy_resolve_gateway(const struct nat *nat, uint8_t protocol,
				   const struct ip_endpoint *seen, struct ip_endpoint *ret_real)
{
	struct host *host = nat->context.host;
	const struct nat_forward *own =
		policy_hairpin(nat, forward_find_port(nat, protocol, seen->port));

	ret_real->port = seen->port;
	if (own) {
		ret_real->addr = policy_listener_addr(own);
		return true;
	}
	if (!policy_may_reach_services(nat, protocol, seen->port))
		return false;
	if (nat->config.host_access == NAT_HOST_ACCESS_LAN)
		return host_call(host, default_source, IP_FAMILY_V4, &ret_real->addr);
	ret_real->addr = ip_addr_from_v4(INADDR_LOOPBACK);
	return true;
}

/* One of the host's own addresses. */
static bool policy_may_reach_local(const struct nat *nat, uint8_t protocol,
				   const struct ip_endpoint *seen)
{
	struct ip_addr source;

	if (policy_hairpin(nat, forward_find(nat, protocol, seen)))
		return policy_host_admits(nat, protocol, seen->port, true);
	return policy_may_reach_services(nat, protocol, seen->port) &&
	       host_call(nat->context.host, default_source, IP_FAMILY_V4, &source) &&
	       ip_addr_equal(&source, &seen->addr);
}

bool policy_resolve(const struct nat *nat, uint8_t protocol, const struct ip_endpoint *seen,
		    struct ip_endpoint *ret_real, enum drop_reason *ret_reason)
{
	struct ip_endpoint real = *seen;

	*ret_reason = DROP_FILTERED;
	if (!policy_admits(nat, protocol, seen))
		return false;
	if (policy_is_gateway(nat, &seen->addr)) {
		*ret_reason = DROP_HOST_ACCESS;
		if (!policy_resolve_gateway(nat, protocol, seen, &real))
			return false;
		*ret_real = real;
		return true;
	}
	*ret_reason = DROP_FORBIDDEN_DESTINATION;
	if (!ip_addr_is_v4(&seen->addr) || policy_is_forbidden(nat, &seen->addr))
		return false;
	if (host_call(nat->context.host, is_local, &seen->addr)) {
		*ret_reason = DROP_HOST_ACCESS;
		if (!policy_may_reach_local(nat, protocol, seen))
			return false;
	} else if (!nat->config.outbound) {
		*ret_reason = DROP_NAT_OFF;
		return false;
	}
	*ret_real = real;
	return true;
}

bool policy_may_go_on(const struct nat *nat, uint8_t protocol, const struct ip_endpoint *seen,
		      bool narrower)
{
	const struct nat_forward *own;
	enum drop_reason reason;
	struct ip_endpoint real;

	if (!policy_admits(nat, protocol, seen))
		return false;
	if (policy_is_gateway(nat, &seen->addr))
		own = forward_find_port(nat, protocol, seen->port);
	else if (host_call(nat->context.host, is_local, &seen->addr))
		own = forward_find(nat, protocol, seen);
	else
		return true;
	if (narrower)
		return policy_resolve(nat, protocol, seen, &real, &reason);
	return policy_host_admits(nat, protocol, seen->port, policy_hairpin(nat, own) != NULL);
}

/* Who has no address by which the guest could answer but the gateway's, since they are this host. */
static bool policy_is_host_itself(const struct nat *nat, const struct ip_addr *client)
{
	return ip_addr_is_loopback(client) || ip_prefix_contains(&nat->config.subnet, client) ||
	       host_call(nat->context.host, is_local, client);
}

bool policy_admits_client(const struct nat *nat, uint8_t protocol, const struct ip_endpoint *client)
{
	struct nat_question question = {
		.protocol = protocol,
		.remote = { ip_addr_unmap(&client->addr), client->port },
	};

	if (policy_is_host_itself(nat, &question.remote.addr))
		question.remote.addr = nat->config.addr;
	return policy_ask(nat, &question);
}

struct ip_endpoint policy_client_seen(const struct nat *nat, const struct ip_endpoint *client)
{
	struct ip_endpoint seen = { ip_addr_unmap(&client->addr), client->port };

	/* Without NAT the guest has no router, so it could answer its own subnet alone. */
	if (!nat->config.outbound || !ip_addr_is_v4(&seen.addr) ||
	    policy_is_host_itself(nat, &seen.addr))
		seen.addr = nat->config.addr;
	return seen;
}
