#include "cli/netns_options.h"

#include <stdlib.h>

#include "cli/command.h"
#include "netns/tap_device.h"

#define INTERFACE_DEFAULT "eth0"

enum {
	KEY_NETNS = 256,
	KEY_IFNAME,
	KEY_NO_CONFIG,
};

static const struct argp_option options_table[] = {
	{ .doc = "Guest:", .group = 1 },
	{ .name = "netns",
	  .key = KEY_NETNS,
	  .arg = "PATH|PID",
	  .doc = "connect this network namespace, by its path or by a process in it, and stay until "
		 "a signal comes" },
	{ .name = "ifname",
	  .key = KEY_IFNAME,
	  .arg = "NAME",
	  .doc = "name of the interface (default " INTERFACE_DEFAULT ")" },
	{ .name = "no-config",
	  .key = KEY_NO_CONFIG,
	  .doc = "no address, no route, an empty resolv.conf: for a DHCP client" },
	{ 0 },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct netns_options *options = state->input;
	struct error err;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->network;
		return 0;
	case KEY_NETNS:
		if (!argument[0])
			argp_error(state, "--netns needs a path or the number of a process");
		options->join = argument;
		return 0;
	case KEY_IFNAME:
		if (tap_device_check_name(argument, &err) < 0)
			argp_error(state, "%s", err.text);
		options->interface = argument;
		return 0;
	case KEY_NO_CONFIG:
		options->no_config = true;
		return 0;
	case ARGP_KEY_ARG:
		/* The rest is the COMMAND's, whatever it looks like. */
		options->argv = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (options->join && options->argv)
			argp_error(state, "--netns takes no COMMAND");
		if (!options->join && !options->argv)
			argp_error(state, "COMMAND is missing");
		if (options->network.is_host && options->network.is_vmnet)
			argp_error(state,
				   "--net-host and the options that begin with --net-vmnet are "
				   "mutually exclusive");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void netns_options_parse(int argc, char **argv, struct netns_options *ret_options)
{
	static const struct argp_child children[] = {
		{ .argp = &network_options_argp, .header = "Network:", .group = 2 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.children = children,
		.parser = parse,
		.args_doc = "-- COMMAND [ARGUMENT...]\n--netns PATH|PID",
		.doc = "Runs COMMAND in a network namespace of its own, or connects one that is "
		       "there, with a network as `tartlet run' gives it to a VM.\v"
		       "Examples:\n"
		       "  tartlet netns -- curl https://example.org/\n"
		       "  tartlet netns --net-vmnet-expose 8080:80 -- python3 -m http.server 80\n"
		       "  tartlet netns --mtu 65520 --net-pcap all.pcapng -- iperf3 -c 192.0.2.1\n"
		       "  tartlet netns --no-config -- busybox udhcpc -f -i eth0\n"
		       "  tartlet netns --netns /run/netns/blue --net-vmnet-expose 2222:22\n"
		       "  tartlet netns --netns 4711",
	};
	struct netns_options options = { .interface = INTERFACE_DEFAULT };

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options) != 0)
		exit(COMMAND_USAGE);
	*ret_options = options;
}

void netns_options_done(struct netns_options *options)
{
	network_options_done(&options->network);
}
