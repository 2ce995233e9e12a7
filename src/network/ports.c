/* Attaching guests to a network, and what becomes of a port whose attachment ends. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "network/network_internal.h"

int network_run(struct vmnet_network *network, void (*call)(void *context), void *context)
{
	if (network->thread_runs)
		return loop_call(network->loop, call, context);
	call(context);
	return 0;
}

/* --- in the network's thread ------------------------------------------------------------- */

void network_port_writable(void *context, uint32_t port)
{
	struct vmnet_network *network = context;

	nat_port_ready(network->nat, port);
}

/* Called from inside the attachment: it is freed at the end of the batch. */
void network_port_closed(void *context, uint32_t index, const char *reason)
{
	struct vmnet_network *network = context;
	struct network_port *port = &network->ports[index];

	if (port->closed)
		return;
	port->closed = true;
	(void)snprintf(port->reason, sizeof(port->reason), "%s", reason);
	loop_defer(network->loop, &network->reap);
}

static void network_remove_port(struct vmnet_network *network, uint32_t index)
{
	struct network_port *port = &network->ports[index];

	nat_port_gone(network->nat, index);
	gateway_port_gone(network->gateway, index);
	bridge_port_remove(network->bridge, index);
	if (network->filter)
		filter_port_remove(network->filter, index);
	port->attachment = attachment_free(port->attachment);
}

void network_reap_ports(struct loop_deferred *deferred)
{
	struct vmnet_network *network = container_of(deferred, struct vmnet_network, reap);

	for (uint32_t i = 0; i < network->port_capacity; i++) {
		struct network_port *port = &network->ports[i];

		if (!port->attachment || !port->closed)
			continue;
		network_remove_port(network, i);
		log_write(&network->log, LOG_LEVEL_INFO, "port %u: %s", port->id,
			  port->reason[0] != '\0' ? port->reason : "the guest's end was closed");
		if (port->options.closed)
			port->options.closed(port->options.context, port->id, port->reason);
	}
}

void network_remove_all_ports(struct vmnet_network *network)
{
	for (uint32_t i = 0; i < network->port_capacity; i++) {
		if (network->ports[i].attachment)
			network_remove_port(network, i);
	}
}

/* --- calls of other threads --------------------------------------------------------------- */

struct network_attach_call {
	struct vmnet_network *network;
	struct attachment *attachment;
	int fd;
	struct vmnet_port_options options;
	enum nat_backlog backlog;
	vmnet_port_t id;
	int status;
};

/* A port that owns that descriptor. One that is closed has given it back, and the number may be
 * somebody else's by now. */
static bool network_fd_is_attached(const struct vmnet_network *network, int fd)
{
	for (uint32_t i = 0; i < network->port_capacity; i++) {
		const struct network_port *port = &network->ports[i];

		if (port->attachment && !port->closed && port->fd == fd)
			return true;
	}
	return false;
}

static void network_attach_in_thread(void *context)
{
	struct network_attach_call *call = context;
	struct vmnet_network *network = call->network;
	struct frame_sink *ingress;
	uint32_t index;

	/* Two owners would each close it. */
	if (network_fd_is_attached(network, call->fd)) {
		call->status = -EINVAL;
		return;
	}
	call->status = bridge_port_add(network->bridge, attachment_sink(call->attachment), &index,
				       &ingress);
	if (call->status < 0)
		return;
	struct network_port *port = &network->ports[index];
	*port = (struct network_port){
		.attachment = call->attachment,
		.fd = call->fd,
		.id = ++network->last_port_id,
		.options = call->options,
	};
	call->id = port->id;
	nat_port_added(network->nat, index, call->backlog);
	if (network->filter)
		ingress = filter_port_add(network->filter, index, ingress);
	attachment_start(call->attachment, index, ingress);
}

typedef int network_attachment_new(const struct attachment_context *context, int fd,
				   struct attachment **ret_attachment, struct error *err);

/* By default where the port can make use of it. */
static enum nat_backlog network_choose_backlog(const struct vmnet_port_options *options,
					       enum nat_backlog by_default)
{
	switch (options ? options->tcp_backlog : VMNET_TCP_BACKLOG_AUTO) {
	case VMNET_TCP_BACKLOG_KEPT:
		return NAT_BACKLOG_KEPT;
	case VMNET_TCP_BACKLOG_PEEK:
		return NAT_BACKLOG_PEEK;
	case VMNET_TCP_BACKLOG_AUTO:
		break;
	}
	return by_default;
}

static vmnet_return_t network_fail(struct vmnet_error *error, const struct error *err, int status)
{
	if (error)
		(void)snprintf(error->text, sizeof(error->text), "%s",
			       err->text[0] != '\0' ? err->text : strerror(-status));
	return configuration_status_of(status);
}

static vmnet_return_t network_attach(struct vmnet_network *network, network_attachment_new *make,
				     enum nat_backlog by_default, int fd,
				     const struct vmnet_port_options *options, vmnet_port_t *port,
				     struct vmnet_error *error)
{
	const struct attachment_context context = {
		.loop = network->loop,
		.drops = &network->drops,
		.log = &network->log,
		.mtu = network->config.mtu,
		.call_guard = network->call_guard,
		.allow_unsealed_memory = options && options->allow_unsealed_memory,
		.closed = network_port_closed,
		.writable = network_port_writable,
		.context = network,
	};
	struct network_attach_call call = {
		.network = network,
		.fd = fd,
		.backlog = network_choose_backlog(options, by_default),
	};
	struct error err = {};
	int status = make(&context, fd, &call.attachment, &err);

	if (status < 0)
		return network_fail(error, &err, status);
	if (options)
		call.options = *options;
	status = network_run(network, network_attach_in_thread, &call);
	if (status == 0)
		status = call.status;
	if (status < 0) {
		attachment_disown(call.attachment);
		attachment_free(call.attachment);
		if (status == -ENOSPC)
			error_set(&err, "the network has all its %u ports in use",
				  network->port_capacity);
		else if (status == -EINVAL)
			error_set(&err, "file descriptor %d is attached already", fd);
		return network_fail(error, &err, status);
	}
	if (port)
		*port = call.id;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_attach_datagram_fd(vmnet_network_ref network, int fd,
						const struct vmnet_port_options *options,
						vmnet_port_t *port, struct vmnet_error *error)
{
	return network_attach(network, attachment_new_datagram, NAT_BACKLOG_KEPT, fd, options, port,
			      error);
}

vmnet_return_t vmnet_network_attach_stream_fd(vmnet_network_ref network, int fd,
					      const struct vmnet_port_options *options,
					      vmnet_port_t *port, struct vmnet_error *error)
{
	return network_attach(network, attachment_new_stream, NAT_BACKLOG_KEPT, fd, options, port,
			      error);
}

vmnet_return_t vmnet_network_attach_tap_fd(vmnet_network_ref network, int fd,
					   const struct vmnet_port_options *options,
					   vmnet_port_t *port, struct vmnet_error *error)
{
	return network_attach(network, attachment_new_tap, NAT_BACKLOG_ADAPTIVE, fd, options, port,
			      error);
}

vmnet_return_t vmnet_network_attach_vhost_user_fd(vmnet_network_ref network, int fd,
						  const struct vmnet_port_options *options,
						  vmnet_port_t *port, struct vmnet_error *error)
{
	return network_attach(network, attachment_new_vhost_user, NAT_BACKLOG_ADAPTIVE, fd, options,
			      port, error);
}

struct network_detach_call {
	struct vmnet_network *network;
	vmnet_port_t id;
	bool found;
};

static void network_detach_in_thread(void *context)
{
	struct network_detach_call *call = context;
	struct vmnet_network *network = call->network;

	for (uint32_t i = 0; i < network->port_capacity; i++) {
		struct network_port *port = &network->ports[i];

		if (!port->attachment || port->id != call->id)
			continue;
		call->found = true;
		network_remove_port(network, i);
	}
}

vmnet_return_t vmnet_network_detach(vmnet_network_ref network, vmnet_port_t port)
{
	struct network_detach_call call = { .network = network, .id = port };
	int status = network_run(network, network_detach_in_thread, &call);

	if (status < 0)
		return configuration_status_of(status);
	return call.found ? VMNET_SUCCESS : VMNET_INVALID_ARGUMENT;
}
