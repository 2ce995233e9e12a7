#include "filter/filter.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "filter/filter_global.h"
#include "filter/filter_source.h"
#include "wire/frame.h"

#define DNS_PORT     53
#define DHCP_PORT    67
#define HTTP_PORT    80
#define PROTOCOL_TCP PACKET_IP_PROTOCOL_TCP
#define PROTOCOL_UDP PACKET_IP_PROTOCOL_UDP

struct filter_port {
	struct frame_sink ingress; /* first: a port is found from its sink */
	struct frame_sink *to_bridge;
	struct filter *filter;
	struct filter_binding binding; /* a MAC of zeros: none yet */
	uint64_t until_ns;	       /* how long it holds, */
	uint32_t changes;	       /* unless this is another number by now */
};

struct filter {
	struct filter_config config;
	struct filter_policy *policy;
	struct drop_counters *drops;
	struct filter_port *ports; /* [port_capacity] */
};

/* Whose address it is was asked before, and nothing has changed since. It is asked for each frame, so that a
 * lease that ended binds nobody: it may be another guest's by now. */
static bool port_knows(const struct filter_port *port)
{
	const struct filter_config *config = &port->filter->config;

	return port->changes == config->address_changes(config->context) &&
	       loop_now(config->loop) < port->until_ns;
}

/* The binding as it is now: leases come and go. False: nobody of that MAC may be here. */
static bool port_refresh(struct filter_port *port, const struct mac_addr *mac)
{
	const struct filter_config *config = &port->filter->config;
	uint64_t until_ns;

	if (!mac_addr_is_zero(&port->binding.mac) && !mac_addr_equal(&port->binding.mac, mac))
		return false;
	port->binding.addr = (struct ip_addr){ .family = IP_FAMILY_NONE };
	port->until_ns = 0;
	if (!config->address_of(config->context, mac, &port->binding.addr, &until_ns))
		return false;
	port->binding.mac = *mac;
	port->until_ns = until_ns;
	port->changes = config->address_changes(config->context);
	return true;
}

static bool port_judge(struct filter_port *port, const struct frame *frame,
		       enum drop_reason *ret_reason)
{
	*ret_reason = DROP_BAD_SOURCE_MAC;
	return (port_knows(port) || port_refresh(port, &frame->packet.mac_source)) &&
	       filter_judge_source(frame, &port->binding, ret_reason);
}

static void ingress_push(struct frame_sink *sink, struct frame *frame)
{
	struct filter_port *port = container_of(sink, struct filter_port, ingress);
	enum drop_reason reason;

	if (port_judge(port, frame, &reason))
		frame_sink_push(port->to_bridge, frame);
	else
		drop_count(port->filter->drops, reason);
}

static void ingress_flush(struct frame_sink *sink)
{
	frame_sink_flush(container_of(sink, struct filter_port, ingress)->to_bridge);
}

static size_t ingress_room(struct frame_sink *sink, uint32_t port)
{
	return frame_sink_room(container_of(sink, struct filter_port, ingress)->to_bridge, port);
}

static const struct frame_sink_ops ingress_ops = {
	.push = ingress_push,
	.flush = ingress_flush,
	.room = ingress_room,
};

int filter_new(const struct filter_config *config, struct filter_policy *policy,
	       struct drop_counters *drops, struct filter **ret_filter)
{
	struct filter *filter = calloc(1, sizeof(*filter));

	if (!filter)
		return -ENOMEM;
	filter->ports = calloc(config->port_capacity, sizeof(*filter->ports));
	if (!filter->ports) {
		free(filter);
		return -ENOMEM;
	}
	filter->config = *config;
	filter->policy = policy;
	filter->drops = drops;
	*ret_filter = filter;
	return 0;
}

struct filter *filter_free(struct filter *filter)
{
	if (!filter)
		return NULL;
	filter_policy_free(filter->policy);
	free(filter->ports);
	free(filter);
	return NULL;
}

void filter_set_policy(struct filter *filter, struct filter_policy *policy)
{
	filter_policy_free(filter->policy);
	filter->policy = policy;
}

const struct filter_policy *filter_policy_of(const struct filter *filter)
{
	return filter->policy;
}

struct frame_sink *filter_port_add(struct filter *filter, uint32_t port,
				   struct frame_sink *to_bridge)
{
	assert(port < filter->config.port_capacity);
	filter->ports[port] = (struct filter_port){
		.ingress.ops = &ingress_ops,
		.to_bridge = to_bridge,
		.filter = filter,
	};
	return &filter->ports[port].ingress;
}

void filter_port_remove(struct filter *filter, uint32_t port)
{
	assert(port < filter->config.port_capacity);
	filter->ports[port].binding = (struct filter_binding){};
	filter->ports[port].until_ns = 0;
}

/* Services of the gateway's that guests are told of, by DHCP or before they start. */
static bool is_offered(const struct filter *filter, const struct filter_question *question)
{
	if (question->protocol == PROTOCOL_TCP && question->port == HTTP_PORT)
		return filter->config.has_documents;
	return question->port == DNS_PORT &&
	       (question->protocol == PROTOCOL_UDP || question->protocol == PROTOCOL_TCP);
}

/* A rule opens the ports that it names and no others, nor does one about a network that the host is in. */
static bool admits_host(const struct filter *filter, const struct filter_match *match)
{
	return match->verdict != FILTER_BLOCK &&
	       (filter->config.host_is_open || match->named == FILTER_ALLOW);
}

static bool admits_out(const struct filter *filter, const struct filter_question *question)
{
	const struct filter_match match =
		filter_policy_match(filter->policy, FILTER_OUT, &question->remote, question->port);
	const bool to_gateway = ip_addr_equal(&question->remote, &filter->config.gateway);

	/* The guest's server is the gateway, which has answered already: no other is asked. */
	if (question->protocol == PROTOCOL_UDP && question->port == DHCP_PORT)
		return false;
	if (question->to_host)
		return admits_host(filter, &match);
	/* A block of everything is not meant for the name server that is offered to the guest. */
	if (to_gateway && is_offered(filter, question) && !match.is_exact)
		return true;
	switch (match.verdict) {
	case FILTER_ALLOW:
		return true;
	case FILTER_BLOCK:
		return false;
	case FILTER_NO_RULE:
		break;
	}
	return to_gateway || filter_is_global(&question->remote);
}

/* A policy that is outbound only lets in everybody to whom the answers may go out: else a client would
 * see a connection that never says anything. */
static bool admits_in(const struct filter *filter, const struct filter_question *question)
{
	const enum filter_direction asked =
		filter_policy_is_stateful(filter->policy) ? FILTER_IN : FILTER_OUT;

	return filter_policy_match(filter->policy, asked, &question->remote, question->port)
		       .verdict != FILTER_BLOCK;
}

bool filter_admits(const struct filter *filter, const struct filter_question *question)
{
	return question->direction == FILTER_OUT ? admits_out(filter, question)
						 : admits_in(filter, question);
}
