#include "cli/run_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "cli/capture_file.h"
#include "cli/network_options.h"
#include "control/control_json.h"
#include "vm/seed_documents.h"
#include "vm/seed_settings.h"
#include "vm/vm_home.h"
#include "vm/vm_label.h"

#define PREFIX_LENGTH 30 /* the gateway and one guest: isolated by construction */

/* What one configuration is made of. */
struct plan {
	const struct run_network_request *request;
	const struct ip_prefix *subnet; /* NULL: one is chosen */
	struct run_network *result;	/* what log lines name the VM by */
	ether_addr_t mac;
	vmnet_network_configuration_ref config;
	struct capture_file capture;
};

/* On the network's thread. Many VMs may share one terminal or journal: each line says whose it is. */
static void print_log(void *context, enum vmnet_log_level level, const char *line)
{
	const struct run_network *network = context;

	if (level <= VMNET_LOG_WARNING)
		fprintf(stderr, "%s: %s\n", network->name, line);
}

static int errno_of(vmnet_return_t status)
{
	switch (status) {
	case VMNET_SUCCESS:
		return 0;
	case VMNET_MEM_FAILURE:
		return -ENOMEM;
	case VMNET_INVALID_ARGUMENT:
		return -EINVAL;
	case VMNET_INVALID_ACCESS:
	case VMNET_NOT_AUTHORIZED:
		return -EACCES;
	case VMNET_SHARING_SERVICE_BUSY:
		return -EBUSY;
	case VMNET_BUFFER_EXHAUSTED:
		return -ENOSPC;
	case VMNET_FAILURE:
	case VMNET_SETUP_INCOMPLETE:
	case VMNET_PACKET_TOO_BIG:
	case VMNET_TOO_MANY_PACKETS:
		return -EIO;
	}
	return -EIO;
}

/* The library's own sentence, or at least the name of the status. */
static int check(const struct plan *plan, vmnet_return_t status, struct error *err)
{
	if (status == VMNET_SUCCESS)
		return 0;
	const char *text = vmnet_network_configuration_get_error(plan->config);
	error_set(err, "%s", text && text[0] ? text : vmnet_return_name(status));
	return errno_of(status);
}

/* Is this the subnet that the VM would get by its name anyway? */
static bool is_assigned(const struct run_network_request *request, const struct ip_prefix *subnet)
{
	autofree char *state_directory = NULL;
	struct vmnet_assignment assignment;
	struct ip_prefix assigned;

	if (vm_home_state_directory(request->home, &state_directory, NULL) < 0 ||
	    vmnet_assignment_get(state_directory, request->name, &assignment, NULL) !=
		    VMNET_SUCCESS ||
	    !ip_mask_to_length(ntohl(assignment.mask.s_addr), &assigned.length))
		return false;
	assigned.addr = ip_addr_from_v4(ntohl(assignment.subnet.s_addr));
	return assigned.length == subnet->length && ip_addr_equal(&assigned.addr, &subnet->addr);
}

/* A resumed guest may come from a run with a subnet of its own, or from the VM that this one is a clone of. */
const struct ip_prefix *run_network_wanted_subnet(const struct run_network_request *request)
{
	if (request->options->has_subnet)
		return &request->options->subnet;
	if (request->resumed_subnet && !is_assigned(request, request->resumed_subnet))
		return request->resumed_subnet;
	return NULL;
}

static int set_subnet(const struct plan *plan, struct error *err)
{
	const struct run_network_request *request = plan->request;
	const struct ip_prefix *subnet = plan->subnet;

	if (!subnet) {
		int r = check(
			plan,
			vmnet_network_configuration_set_prefix_length(plan->config, PREFIX_LENGTH),
			err);
		if (r < 0 || !request->is_vm)
			return r;
		/* The same subnet and address next time, until the VM is deleted. */
		return check(plan,
			     vmnet_network_configuration_set_assignment(plan->config, request->name,
									&plan->mac),
			     err);
	}
	struct in_addr address = { .s_addr = htonl(ip_addr_to_v4(&subnet->addr)) };
	struct in_addr mask = { .s_addr = htonl(ip_length_to_mask(subnet->length)) };
	return check(plan,
		     vmnet_network_configuration_set_ipv4_subnet(plan->config, &address, &mask),
		     err);
}

const char *run_network_hostname(const struct run_network_request *request,
				 char from_name[VM_HOSTNAME_SIZE])
{
	if (request->seed && request->seed->hostname)
		return request->seed->hostname;
	return request->is_vm && vm_label_hostname(request->name, from_name) ? from_name : NULL;
}

static int add_seed(const struct plan *plan, const char *hostname, struct error *err)
{
	struct seed_documents documents;

	if (!plan->request->seed)
		return 0;
	int r = seed_documents_build(plan->request->seed, hostname, &documents);
	if (r < 0) {
		error_set(err, "out of memory");
		return r;
	}
	for (size_t i = 0; r == 0 && i < SEED_DOCUMENT_COUNT; i++)
		r = check(plan,
			  vmnet_network_configuration_add_document(
				  plan->config, documents.items[i].path, documents.items[i].text,
				  documents.items[i].size),
			  err);
	seed_documents_done(&documents);
	return r;
}

static int set_names(const struct plan *plan, struct error *err)
{
	const struct run_network_request *request = plan->request;
	autofree char *state_directory = NULL;
	char from_name[VM_HOSTNAME_SIZE];
	const char *hostname = run_network_hostname(request, from_name);

	int r = vm_home_state_directory(request->home, &state_directory, err);
	if (r == 0)
		r = check(plan,
			  vmnet_network_configuration_set_state_directory(plan->config,
									  state_directory),
			  err);
	if (r == 0 && request->label)
		r = check(plan, vmnet_network_configuration_set_label(plan->config, request->label),
			  err);
	if (r == 0 && hostname)
		r = check(plan, vmnet_network_configuration_set_hostname(plan->config, hostname),
			  err);
	return r == 0 ? add_seed(plan, hostname, err) : r;
}

static int set_rules(const struct plan *plan, struct error *err)
{
	const struct rule_list *allow = &plan->request->options->allow;
	const struct rule_list *block = &plan->request->options->block;

	if (allow->count == 0 && block->count == 0)
		return 0;
	return check(plan,
		     vmnet_network_configuration_set_policy(
			     plan->config, (const char *const *)allow->texts, allow->count,
			     (const char *const *)block->texts, block->count),
		     err);
}

static int add_forwards(const struct plan *plan, struct error *err)
{
	const struct forward_specs *specs = &plan->request->options->forwards;
	struct vm_home_settings settings;
	struct vmnet_port_forward start = { .external_family = AF_UNSPEC };

	int r = vm_home_load_settings(plan->request->home, &settings, err);
	if (r < 0)
		return r;
	if (!control_json_parse_address(settings.expose_address, &start))
		start.external_family = AF_UNSPEC; /* loading has checked it */
	for (size_t i = 0; i < specs->count; i++) {
		for (uint32_t port = 0; port < specs->items[i].count; port++) {
			struct vmnet_port_forward forward = start;
			forward_spec_get(&specs->items[i], port, &forward);
			r = check(plan,
				  vmnet_network_configuration_add_port_forward(plan->config,
									       &forward),
				  err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int set_capture(struct plan *plan, struct error *err)
{
	int r = capture_file_open(&plan->capture, plan->request->options->capture_path, err);

	if (r < 0 || plan->capture.fd < 0)
		return r;
	return check(plan,
		     vmnet_network_configuration_set_capture_fd(plan->config, plan->capture.fd),
		     err);
}

static int configure(struct plan *plan, struct error *err)
{
	static const struct in_addr first_free = { .s_addr = INADDR_ANY };
	const struct run_network_request *request = plan->request;

	vmnet_network_configuration_set_log_callback(plan->config, print_log, plan->result);
	int r = set_names(plan, err);
	if (r == 0 && request->options->mtu != 0)
		r = check(plan,
			  vmnet_network_configuration_set_mtu(plan->config, request->options->mtu),
			  err);
	if (r == 0 && request->options->has_busy_poll)
		r = check(plan,
			  vmnet_network_configuration_set_busy_poll(plan->config,
								    request->options->busy_poll_us),
			  err);
	if (r == 0)
		r = set_subnet(plan, err);
	if (r == 0)
		r = check(plan,
			  vmnet_network_configuration_add_dhcp_reservation(plan->config, &plan->mac,
									   &first_free),
			  err);
	if (r == 0)
		r = check(plan,
			  vmnet_network_configuration_set_host_access(
				  plan->config, request->options->host_access),
			  err);
	if (r == 0)
		r = set_rules(plan, err);
	if (r == 0)
		r = add_forwards(plan, err);
	if (r == 0)
		r = set_capture(plan, err);
	return r;
}

/* Subnet and address as they are, not as they were asked for. */
static int read_back(const struct plan *plan, struct run_network *network, struct error *err)
{
	struct in_addr subnet;
	struct in_addr mask;
	struct in_addr address;
	struct in_addr gateway;
	char wanted[IP_PREFIX_TEXT_SIZE];
	char real[IP_PREFIX_TEXT_SIZE];

	vmnet_network_get_ipv4_subnet(network->network, &subnet, &mask);
	network->subnet.addr = ip_addr_from_v4(ntohl(subnet.s_addr));
	if (!ip_mask_to_length(ntohl(mask.s_addr), &network->subnet.length) ||
	    vmnet_network_get_reservation(network->network, &plan->mac, &address) !=
		    VMNET_SUCCESS) {
		error_set(err, "the network does not know its own subnet and reservation");
		return -EIO;
	}
	network->address = ip_addr_from_v4(ntohl(address.s_addr));
	vmnet_network_get_gateway(network->network, &gateway, NULL);
	network->gateway = ip_addr_from_v4(ntohl(gateway.s_addr));
	const struct ip_prefix *asked = plan->subnet;
	if (asked && (asked->length != network->subnet.length ||
		      !ip_addr_equal(&asked->addr, &network->subnet.addr))) {
		error_set(err, "subnet %s was asked for, but the network has %s",
			  ip_prefix_format(asked, wanted),
			  ip_prefix_format(&network->subnet, real));
		return -EIO;
	}
	return 0;
}

int run_network_create(const struct run_network_request *request, struct run_network *ret_network,
		       struct error *err)
{
	struct plan plan = { .request = request,
			     .subnet = run_network_wanted_subnet(request),
			     .result = ret_network,
			     .capture.fd = -1 };
	struct run_network network = { 0 };
	vmnet_return_t status;

	/* Creating may log. */
	ret_network->name = request->is_vm && request->label ? request->label : request->name;
	memcpy(plan.mac.ether_addr_octet, request->mac.octet, sizeof(plan.mac.ether_addr_octet));
	plan.config = vmnet_network_configuration_create(
		request->options->is_host ? VMNET_HOST_MODE : VMNET_SHARED_MODE, &status);
	if (!plan.config) {
		error_set(err, "vmnet_network_configuration_create() failed with status %d",
			  (int)status);
		return errno_of(status);
	}
	int r = configure(&plan, err);
	if (r == 0) {
		network.network = vmnet_network_create(plan.config, &status);
		if (!network.network)
			r = check(&plan, status, err);
	}
	if (r == 0)
		r = read_back(&plan, &network, err);
	if (r == 0)
		r = capture_file_keep(&plan.capture, err);
	capture_file_close(&plan.capture);
	vmnet_network_configuration_release(plan.config);
	if (r < 0) {
		vmnet_network_release(network.network);
		return r;
	}
	/* Not the name, which the network's thread may be reading. */
	ret_network->network = network.network;
	ret_network->subnet = network.subnet;
	ret_network->address = network.address;
	ret_network->gateway = network.gateway;
	return 0;
}

void run_network_done(struct run_network *network)
{
	vmnet_network_release(network->network);
	network->network = NULL;
	json_decref(network->forwards);
	network->forwards = NULL;
}

json_t *run_network_forwards(const struct run_network *network)
{
	return network->network ? control_json_forwards(network->network)
				: json_incref(network->forwards);
}
