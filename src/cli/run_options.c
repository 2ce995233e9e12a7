#include "cli/run_options.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/named_vm.h"

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
	KEY_BRIDGED,
	KEY_SOFTNET,
	KEY_HOST,
	KEY_ATTACH,
	KEY_NO_GRAPHICS,
	KEY_SERIAL,
	KEY_ACCEL,
};

static const struct argp_option options_table[] = {
	{ .doc = "Network:", .group = 1 },
	{ .name = "net-vmnet",
	  .key = KEY_VMNET,
	  .doc = "native vmnet network in this process (the default; options of it imply it)" },
	{ .name = "net-bridged", .key = KEY_BRIDGED, .arg = "IF", .doc = "not available yet" },
	{ .name = "net-softnet", .key = KEY_SOFTNET, .doc = "not available yet" },
	{ .name = "net-host", .key = KEY_HOST, .doc = "not available yet" },
	{ .doc = "Machine:", .group = 2 },
	{ .name = "net-attach",
	  .key = KEY_ATTACH,
	  .arg = "auto|vhost-user|stream",
	  .doc = "how QEMU is attached to the network: auto (default) takes vhost-user, which "
		 "shares the VM's memory and is fastest, where it is known to work",
	  .group = 2 },
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

static error_t parse_network(int key, struct argp_state *state)
{
	struct run_parser *parser = state->input;
	struct run_options *options = &parser->options;

	switch (key) {
	case KEY_VMNET:
		parser->networks |= NETWORK_VMNET;
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
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->network;
		return 0;
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
	case KEY_ATTACH:
		if (!net_attach_parse(argument, &options->net_attach))
			argp_error(state,
				   "invalid value \"%s\" for --net-attach: expected auto, "
				   "vhost-user or stream",
				   argument);
		return 0;
	case ARGP_KEY_ARG:
		return named_vm_parse_only(key, argument, state, &options->name);
	case ARGP_KEY_END:
		(void)named_vm_parse_only(key, argument, state, &options->name);
		if (options->network.is_vmnet)
			parser->networks |= NETWORK_VMNET;
		if (__builtin_popcount(parser->networks) > 1)
			argp_error(state,
				   "--net-bridged, --net-softnet, --net-host and --net-vmnet "
				   "are mutually exclusive");
		return 0;
	default:
		return parse_network(key, state);
	}
}

void run_options_parse(int argc, char **argv, struct run_options *ret_options)
{
	static const struct argp_child children[] = {
		{ .argp = &network_options_argp, .group = 1 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.children = children,
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
	network_options_done(&options->network);
}
