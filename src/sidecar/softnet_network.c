#include "sidecar/softnet_network.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "control/control_json.h"

#define PREFIX_LENGTH 30 /* the gateway and one guest: isolated by construction */
#define DOCUMENT_MOST ((size_t)1024 * 1024) /* bytes; as many as a network takes */

/* What one configuration is made of. */
struct plan {
	const struct softnet_options *options;
	const struct softnet_trust *trust;
	vmnet_network_configuration_ref config;
	struct error *err;
};

/* Whoever has many VMs in one journal wants to know whose line it is. */
static void print_log(void *context, enum vmnet_log_level level, const char *line)
{
	const char *label = context;

	if (level <= VMNET_LOG_WARNING)
		fprintf(stderr, "%s%s%s\n", label ? label : "", label ? ": " : "", line);
}

/* The library's own sentence. True when all is well. */
static bool good(const struct plan *plan, vmnet_return_t status)
{
	if (status == VMNET_SUCCESS)
		return true;
	const char *text = vmnet_network_configuration_get_error(plan->config);
	error_set(plan->err, "%s", text && text[0] ? text : vmnet_return_name(status));
	return false;
}

static bool set_subnet(const struct plan *plan)
{
	const struct softnet_options *options = plan->options;

	if (options->has_subnet) {
		struct in_addr address = { .s_addr = htonl(ip_addr_to_v4(&options->subnet.addr)) };
		struct in_addr mask = { .s_addr =
						htonl(ip_length_to_mask(options->subnet.length)) };
		return good(plan, vmnet_network_configuration_set_ipv4_subnet(plan->config,
									      &address, &mask));
	}
	if (!good(plan, vmnet_network_configuration_set_prefix_length(plan->config, PREFIX_LENGTH)))
		return false;
	return !options->assignment ||
	       good(plan, vmnet_network_configuration_set_assignment(
				  plan->config, options->assignment, &options->mac));
}

static bool set_names(const struct plan *plan)
{
	const struct softnet_options *options = plan->options;
	vmnet_network_configuration_ref config = plan->config;

	return (!options->label ||
		good(plan, vmnet_network_configuration_set_label(config, options->label))) &&
	       (!options->hostname ||
		good(plan, vmnet_network_configuration_set_hostname(config, options->hostname))) &&
	       (!options->state_directory ||
		good(plan, vmnet_network_configuration_set_state_directory(
				   config, options->state_directory))) &&
	       (!options->runtime_directory ||
		good(plan, vmnet_network_configuration_set_runtime_directory(
				   config, options->runtime_directory)));
}

static bool add_forwards(const struct plan *plan)
{
	const struct forward_specs *specs = &plan->options->expose;
	struct vmnet_port_forward start = { .external_family = AF_UNSPEC };

	/* Softnet's ports are open to the network. The address was checked as an option. */
	if (plan->options->expose_address &&
	    !control_json_parse_address(plan->options->expose_address, &start))
		return false;
	for (size_t i = 0; i < specs->count; i++) {
		for (uint32_t port = 0; port < specs->items[i].count; port++) {
			struct vmnet_port_forward forward = start;
			forward_spec_get(&specs->items[i], port, &forward);
			if (!good(plan, vmnet_network_configuration_add_port_forward(plan->config,
										     &forward)))
				return false;
		}
	}
	return true;
}

/* The whole of a file, from its beginning. */
static bool read_document(const struct plan *plan, const struct softnet_document *document,
			  char *bytes, size_t *ret_size)
{
	size_t size = 0;
	ssize_t got = 1;

	while (got > 0 && size <= DOCUMENT_MOST) {
		got = pread(document->fd, bytes + size, DOCUMENT_MOST + 1 - size, (off_t)size);
		size += got > 0 ? (size_t)got : 0;
		if (got < 0 && errno == EINTR)
			got = 1;
	}
	if (got < 0)
		error_set(plan->err, "cannot read the document %s: %s", document->path,
			  strerror(errno));
	else if (size > DOCUMENT_MOST)
		error_set(plan->err, "the document %s is larger than %zu bytes", document->path,
			  DOCUMENT_MOST);
	*ret_size = size;
	return got == 0 && size <= DOCUMENT_MOST;
}

static bool add_documents(const struct plan *plan)
{
	autofree char *bytes = plan->options->document_count > 0 ? malloc(DOCUMENT_MOST + 1) : NULL;

	for (size_t i = 0; i < plan->options->document_count; i++) {
		const struct softnet_document *document = &plan->options->documents[i];
		size_t size;
		if (!bytes) {
			error_set(plan->err, "out of memory");
			return false;
		}
		if (!read_document(plan, document, bytes, &size) ||
		    !good(plan, vmnet_network_configuration_add_document(
					plan->config, document->path, bytes, size)))
			return false;
	}
	return true;
}

static bool set_wire(const struct plan *plan)
{
	const struct softnet_options *options = plan->options;
	vmnet_network_configuration_ref config = plan->config;

	return (options->mtu == 0 ||
		good(plan, vmnet_network_configuration_set_mtu(config, options->mtu))) &&
	       (!options->has_busy_poll || good(plan, vmnet_network_configuration_set_busy_poll(
							      config, options->busy_poll_us))) &&
	       (options->capture_fd < 0 || good(plan, vmnet_network_configuration_set_capture_fd(
							      config, options->capture_fd)));
}

static bool configure(const struct plan *plan)
{
	static const struct in_addr first_free = { .s_addr = INADDR_ANY };
	const struct softnet_options *options = plan->options;

	vmnet_network_configuration_set_log_callback(plan->config, print_log, options->label);
	vmnet_network_configuration_set_before_thread(plan->config, plan->trust->before_thread,
						      plan->trust->context);
	return good(plan, vmnet_network_configuration_set_informant_fd(
				  plan->config, plan->trust->informant_fd)) &&
	       set_names(plan) && set_wire(plan) && set_subnet(plan) &&
	       good(plan, vmnet_network_configuration_add_dhcp_reservation(
				  plan->config, &options->mac, &first_free)) &&
	       good(plan, vmnet_network_configuration_set_policy(
				  plan->config, (const char *const *)options->allow.texts,
				  options->allow.count, (const char *const *)options->block.texts,
				  options->block.count)) &&
	       add_forwards(plan) && add_documents(plan);
}

int softnet_network_create(const struct softnet_options *options, const struct softnet_trust *trust,
			   vmnet_network_ref *ret_network, struct error *err)
{
	vmnet_return_t status;
	const struct plan plan = { .options = options,
				   .trust = trust,
				   .config = vmnet_network_configuration_create(options->mode,
										&status),
				   .err = err };

	if (!plan.config) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	*ret_network = NULL;
	if (configure(&plan)) {
		*ret_network = vmnet_network_create(plan.config, &status);
		if (!*ret_network)
			(void)good(&plan, status);
	}
	vmnet_network_configuration_release(plan.config);
	return *ret_network ? 0 : -EIO;
}

int softnet_network_attach(const struct softnet_options *options, int vm_fd,
			   vmnet_network_ref network,
			   void (*closed)(void *context, vmnet_port_t port, const char *error),
			   void *context, struct error *err)
{
	const struct vmnet_port_options port_options = { .closed = closed,
							 .context = context,
							 .tcp_backlog = options->tcp_backlog };
	vmnet_return_t (*attach)(vmnet_network_ref, int, const struct vmnet_port_options *,
				 vmnet_port_t *, struct vmnet_error *) = NULL;
	struct vmnet_error error = { .text = "" };
	vmnet_port_t port;

	switch (options->attach) {
	case SOFTNET_ATTACH_DATAGRAM:
		attach = vmnet_network_attach_datagram_fd;
		break;
	case SOFTNET_ATTACH_STREAM:
		attach = vmnet_network_attach_stream_fd;
		break;
	case SOFTNET_ATTACH_VHOST_USER:
		attach = vmnet_network_attach_vhost_user_fd;
		break;
	}
	vmnet_return_t status = attach(network, vm_fd, &port_options, &port, &error);
	if (status == VMNET_SUCCESS)
		return 0;
	error_set(err, "cannot attach the VM: %s",
		  error.text[0] ? error.text : vmnet_return_name(status));
	return -EIO;
}

static json_t *describe(const struct softnet_options *options, vmnet_network_ref network)
{
	struct in_addr subnet;
	struct in_addr mask;
	struct in_addr gateway;
	struct in_addr address = { .s_addr = INADDR_ANY };
	char texts[2][IP_ADDR_TEXT_SIZE];
	char prefix_text[IP_PREFIX_TEXT_SIZE];
	struct ip_prefix prefix;

	vmnet_network_get_ipv4_subnet(network, &subnet, &mask);
	vmnet_network_get_gateway(network, &gateway, NULL);
	if (!ip_mask_to_length(ntohl(mask.s_addr), &prefix.length) ||
	    vmnet_network_get_reservation(network, &options->mac, &address) != VMNET_SUCCESS)
		return NULL;
	prefix.addr = ip_addr_from_v4(ntohl(subnet.s_addr));
	const struct ip_addr gateway_addr = ip_addr_from_v4(ntohl(gateway.s_addr));
	const struct ip_addr guest_addr = ip_addr_from_v4(ntohl(address.s_addr));
	return json_pack("{s:s, s:s, s:s, s:o}", "subnet", ip_prefix_format(&prefix, prefix_text),
			 "gateway", ip_addr_format(&gateway_addr, texts[0]), "address",
			 ip_addr_format(&guest_addr, texts[1]), "forwards",
			 control_json_forwards(network));
}

/* Not by stdio, which would ask where it is in the file: a call more to allow. */
static int write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, text, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		text += written;
		size -= (size_t)written;
	}
	return 0;
}

int softnet_network_report(const struct softnet_options *options, vmnet_network_ref network,
			   struct error *err)
{
	json_t *report = describe(options, network);
	autofree char *text = report ? json_dumps(report, JSON_COMPACT) : NULL;

	json_decref(report);
	if (!text) {
		error_set(err,
			  "the network does not know what it is, or there is no memory to say it");
		return -ENOMEM;
	}
	size_t size = strlen(text);
	text[size] = '\n'; /* in the place of the end, which nobody needs any more */
	int r = write_all(options->report_fd, text, size + 1);
	if (r < 0)
		error_set(err, "cannot write the report: %s", strerror(-r));
	return r;
}
