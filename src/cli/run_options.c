#include "cli/run_options.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/subnet_spec.h"

/* One bit a kind of network; two of them cannot be had at once. */
enum {
	NETWORK_VMNET = 1 << 0,
	NETWORK_BRIDGED = 1 << 1,
	NETWORK_SOFTNET = 1 << 2,
	NETWORK_HOST = 1 << 3,
};

struct run_parser {
	struct run_options options;
	unsigned networks; /* NETWORK_ bits */
};

enum {
	KEY_VMNET = 256,
	KEY_EXPOSE,
	KEY_SUBNET,
	KEY_HOST_ACCESS,
	KEY_PCAP,
	KEY_BRIDGED,
	KEY_SOFTNET,
	KEY_HOST,
	KEY_NO_GRAPHICS,
	KEY_SERIAL,
	KEY_ACCEL,
};

static const struct argp_option options_table[] = {
	{ .doc = "Network:", .group = 1 },
	{ .name = "net-vmnet",
	  .key = KEY_VMNET,
	  .doc = "native vmnet network in this process (the default)" },
	{ .name = "net-vmnet-expose",
	  .key = KEY_EXPOSE,
	  .arg = "SPECS",
	  .doc = "forward ports of the host to the VM, SPEC[,SPEC...]; SPEC is "
		 "[HOST_ADDRESS:]EXTERNAL[-END]:INTERNAL[-END][/tcp|udp]; EXTERNAL 0 takes a free "
		 "port; implies --net-vmnet" },
	{ .name = "net-vmnet-subnet",
	  .key = KEY_SUBNET,
	  .arg = "CIDR",
	  .doc = "this subnet instead of an automatic one: inside RFC 1918, /8 to /30; implies "
		 "--net-vmnet" },
	{ .name = "net-host-access",
	  .key = KEY_HOST_ACCESS,
	  .arg = "lan|loopback",
	  .doc = "let the VM reach this host: what listens on its LAN address, or loopback too" },
	{ .name = "net-pcap",
	  .key = KEY_PCAP,
	  .arg = "FILE",
	  .doc = "write what passes the VM's port to FILE (pcapng)" },
	{ .name = "net-bridged", .key = KEY_BRIDGED, .arg = "IF", .doc = "not available yet" },
	{ .name = "net-softnet", .key = KEY_SOFTNET, .doc = "not available yet" },
	{ .name = "net-host", .key = KEY_HOST, .doc = "not available yet" },
	{ .doc = "Machine:", .group = 2 },
	{ .name = "no-graphics",
	  .key = KEY_NO_GRAPHICS,
	  .doc = "no window (the default; there is none yet)",
	  .group = 2 },
	{ .name = "serial",
	  .key = KEY_SERIAL,
	  .doc = "the VM's console on this terminal (Ctrl-A X ends it)",
	  .group = 2 },
	{ .name = "accel",
	  .key = KEY_ACCEL,
	  .arg = "auto|kvm|tcg",
	  .doc = "auto (default) takes KVM where it can run the VM, else TCG",
	  .group = 2 },
	{ 0 },
};

static void parse_host_access(struct argp_state *state, const char *argument,
			      struct run_options *options)
{
	if (strcmp(argument, "lan") == 0)
		options->host_access = VMNET_HOST_ACCESS_LAN;
	else if (strcmp(argument, "loopback") == 0)
		options->host_access = VMNET_HOST_ACCESS_LOOPBACK;
	else
		argp_error(state,
			   "invalid value \"%s\" for --net-host-access: expected lan or loopback",
			   argument);
}

static error_t parse_network(int key, char *argument, struct argp_state *state)
{
	struct run_parser *parser = state->input;
	struct run_options *options = &parser->options;
	struct error err;

	switch (key) {
	case KEY_VMNET:
		parser->networks |= NETWORK_VMNET;
		return 0;
	case KEY_EXPOSE:
		parser->networks |= NETWORK_VMNET;
		if (!forward_specs_parse(&options->forwards, argument, &err))
			argp_error(state, "%s", err.text);
		return 0;
	case KEY_SUBNET:
		parser->networks |= NETWORK_VMNET;
		if (!subnet_spec_parse(argument, &options->subnet, &err))
			argp_error(state, "%s", err.text);
		options->has_subnet = true;
		return 0;
	case KEY_HOST_ACCESS:
		parse_host_access(state, argument, options);
		return 0;
	case KEY_PCAP:
		if (!argument[0])
			argp_error(state, "--net-pcap needs the name of a file");
		options->capture_path = argument;
		return 0;
	case KEY_BRIDGED:
		parser->networks |= NETWORK_BRIDGED;
		options->not_available = "--net-bridged";
		return 0;
	case KEY_SOFTNET:
		parser->networks |= NETWORK_SOFTNET;
		options->not_available = "--net-softnet";
		return 0;
	case KEY_HOST:
		parser->networks |= NETWORK_HOST;
		options->not_available = "--net-host";
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct run_parser *parser = state->input;
	struct run_options *options = &parser->options;

	switch (key) {
	case KEY_NO_GRAPHICS:
		return 0;
	case KEY_SERIAL:
		options->serial = true;
		return 0;
	case KEY_ACCEL:
		if (!accel_parse(argument, &options->accel))
			argp_error(state,
				   "invalid value \"%s\" for --accel: expected auto, kvm or tcg",
				   argument);
		return 0;
	case ARGP_KEY_ARG:
		if (options->name)
			argp_error(state, "unexpected argument \"%s\"", argument);
		options->name = command_parse_name(state, argument);
		return 0;
	case ARGP_KEY_END:
		if (!options->name)
			argp_error(state, "the VM's NAME is missing");
		if (__builtin_popcount(parser->networks) > 1)
			argp_error(state,
				   "--net-bridged, --net-softnet, --net-host and --net-vmnet "
				   "are mutually exclusive");
		return 0;
	default:
		return parse_network(key, argument, state);
	}
}

void run_options_parse(int argc, char **argv, struct run_options *ret_options)
{
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Runs the VM NAME until it stops. Ctrl-C stops it.\v"
		       "Examples:\n"
		       "  tartlet run debian\n"
		       "  tartlet run debian --net-vmnet-expose 2222:22,5353:53/udp\n"
		       "  tartlet run debian --net-vmnet-expose 127.0.0.1:8000-8009:8000-8009\n"
		       "  tartlet run debian --net-vmnet-subnet 10.9.8.0/30 --serial",
	};
	struct run_parser parser = { .options = { .accel = ACCEL_AUTO } };

	if (argp_parse(&argp, argc, argv, 0, NULL, &parser) != 0)
		exit(COMMAND_USAGE);
	*ret_options = parser.options;
}

void run_options_done(struct run_options *options)
{
	forward_specs_done(&options->forwards);
}
