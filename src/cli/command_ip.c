#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/command.h"
#include "cli/exposed_port.h"
#include "cli/named_vm.h"
#include "control/control_client.h"
#include "vm/agent_network.h"
#include "vm/run_state.h"
#include "vm/vm_config.h"
#include "vm/vm_lock.h"
#include "vmnet/vmnet.h"

#define WAIT_MOST_S 65535
/* For one try to ask the agent. */
#define AGENT_LIMIT_NS NS_PER_S

enum resolver {
	RESOLVER_DHCP,	/* what was leased */
	RESOLVER_ARP,	/* what the guest was seen to use */
	RESOLVER_AGENT, /* what the agent in the guest says */
};

struct ip_options {
	const char *name;
	unsigned wait_s;
	enum resolver resolver;
};

enum {
	KEY_WAIT = 256,
	KEY_RESOLVER,
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct ip_options *options = state->input;

	switch (key) {
	case KEY_WAIT:
		options->wait_s =
			(unsigned)command_parse_number(state, "--wait", argument, 0, WAIT_MOST_S);
		return 0;
	case KEY_RESOLVER:
		if (strcmp(argument, "dhcp") == 0)
			options->resolver = RESOLVER_DHCP;
		else if (strcmp(argument, "arp") == 0)
			options->resolver = RESOLVER_ARP;
		else if (strcmp(argument, "agent") == 0)
			options->resolver = RESOLVER_AGENT;
		else
			argp_error(
				state,
				"invalid value \"%s\" for --resolver: expected dhcp, arp or agent",
				argument);
		return 0;
	default:
		return named_vm_parse_only(key, argument, state, &options->name);
	}
}

/* One entry of /v1/neighbours: is it this guest's, by this resolver? */
static bool is_wanted(const json_t *neighbour, const struct mac_addr *mac, enum resolver resolver)
{
	const char *text = json_string_value(json_object_get(neighbour, "macAddress"));
	struct mac_addr found;

	if (!text || !mac_addr_parse(text, &found) || !mac_addr_equal(&found, mac))
		return false;
	return resolver == RESOLVER_ARP || json_is_true(json_object_get(neighbour, "leased"));
}

/* Asks the running VM. False: not known yet, or its control socket is not up yet. */
static bool ask_neighbours(const struct vm_directory *directory, const struct mac_addr *mac,
			   enum resolver resolver, struct ip_addr *ret_address)
{
	json_t *neighbours = NULL;
	const json_t *neighbour;
	size_t i;
	bool found = false;

	if (control_client_request(directory->fd, "GET", "/v1/neighbours", NULL, &neighbours,
				   NULL) < 0)
		return false;
	json_array_foreach(neighbours, i, neighbour)
	{
		const char *text = json_string_value(json_object_get(neighbour, "address"));
		if (text && is_wanted(neighbour, mac, resolver) &&
		    ip_addr_parse(text, ret_address)) {
			found = true;
			break;
		}
	}
	json_decref(neighbours);
	return found;
}

/* The lease of a VM that does not run is what its assignment says: it gets that one again. */
static bool ask_assignment(const struct vm_home *home, const char *name,
			   struct ip_addr *ret_address)
{
	struct vmnet_assignment assignment;
	autofree char *state_directory = NULL;

	if (vm_home_state_directory(home, &state_directory, NULL) < 0 ||
	    vmnet_assignment_get(state_directory, name, &assignment, NULL) != VMNET_SUCCESS)
		return false;
	*ret_address = ip_addr_from_v4(ntohl(assignment.address.s_addr));
	return true;
}

/* Asks the guest. False: it has none yet, or there is no agent (yet). */
static bool ask_agent(const struct vm_directory *directory, const struct mac_addr *mac,
		      struct ip_addr *ret_address)
{
	return agent_network_address(directory->fd, mac,
				     clock_now(&clock_boottime) + AGENT_LIMIT_NS, ret_address,
				     NULL) == 0;
}

/* Softnet's network tells nobody of leases, but gives this guest no other address than the one that is written down.
 * False: it is not softnet's. */
static bool ask_run(const struct vm_directory *directory, struct ip_addr *ret_address)
{
	struct run_state state;

	if (exposed_port_state(directory, &state, NULL) < 0)
		return false;
	*ret_address = state.address;
	run_state_done(&state);
	return true;
}

/* 0 = found, -ENOENT = not (yet), other negative errno with a sentence. */
static int resolve(const struct vm_home *home, const struct vm_directory *directory,
		   enum resolver resolver, struct ip_addr *ret_address, struct error *err)
{
	struct vm_config config;

	/* Each time anew: a run that starts meanwhile may give it another MAC. */
	int r = vm_directory_config(directory, &config, err);
	if (r < 0)
		return r == -ENOENT ? -EIO : r;
	struct mac_addr mac = config.mac;
	vm_config_done(&config);
	bool runs = vm_lock_holder(directory->fd) != 0;
	if (runs && resolver == RESOLVER_AGENT)
		return ask_agent(directory, &mac, ret_address) ? 0 : -ENOENT;
	if (runs && ask_run(directory, ret_address)) {
		if (resolver == RESOLVER_DHCP)
			return 0;
		error_set(
			err,
			"VM \"%s\" has softnet's network, which does not say what it heard by ARP: "
			"--resolver dhcp or agent knows the address",
			directory->name);
		return -EOPNOTSUPP;
	}
	if (runs)
		return ask_neighbours(directory, &mac, resolver, ret_address) ? 0 : -ENOENT;
	if (resolver == RESOLVER_DHCP && ask_assignment(home, directory->name, ret_address))
		return 0;
	return -ENOENT;
}

/* As Tart's: a try a second, and at least one second before giving up. */
static int resolve_in_time(const struct vm_home *home, const struct vm_directory *directory,
			   const struct ip_options *options, struct ip_addr *ret_address,
			   struct error *err)
{
	uint64_t end_ns = clock_now(&clock_boottime) + options->wait_s * NS_PER_S;

	for (;;) {
		int r = resolve(home, directory, options->resolver, ret_address, err);
		if (r != -ENOENT)
			return r;
		struct timespec second = { .tv_sec = 1 };
		while (nanosleep(&second, &second) < 0 && errno == EINTR)
			;
		if (clock_now(&clock_boottime) >= end_ns)
			return -ENOENT;
	}
}

static const char *hint_of(enum resolver resolver)
{
	switch (resolver) {
	case RESOLVER_ARP:
		return " (not all Linux distributions are compatible with the ARP resolver)";
	case RESOLVER_AGENT:
		return " (also make sure that the QEMU guest agent is running inside of a VM)";
	case RESOLVER_DHCP:
		break;
	}
	return "";
}

static int print_address(const struct vm_home *home, const struct vm_directory *directory,
			 const void *context)
{
	const struct ip_options *options = context;
	struct ip_addr address;
	struct error err = { .text = "" };
	char text[IP_ADDR_TEXT_SIZE];

	int r = resolve_in_time(home, directory, options, &address, &err);
	if (r == -ENOENT)
		error_set(&err, "no IP address found%s%s",
			  vm_lock_holder(directory->fd) != 0 ? "" : ", is your VM running?",
			  hint_of(options->resolver));
	if (r < 0)
		return command_fail(COMMAND_FAILED, &err);
	printf("%s\n", ip_addr_format(&address, text));
	return COMMAND_OK;
}

int command_ip(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .name = "wait",
		  .key = KEY_WAIT,
		  .arg = "SECONDS",
		  .doc = "how long to wait for an address (default: 0)" },
		{ .name = "resolver",
		  .key = KEY_RESOLVER,
		  .arg = "dhcp|arp|agent",
		  .doc = "dhcp (default): the address that was leased; arp: the one the guest uses; agent: "
			 "the one that the QEMU guest agent says" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Prints the IPv4 address of a VM.\v"
		       "Examples:\n"
		       "  tartlet ip debian\n"
		       "  ssh user@$(tartlet ip debian --wait 60)",
	};
	struct ip_options options = { .resolver = RESOLVER_DHCP };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.name, COMMAND_VM_STATE, print_address, &options);
}
