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
	KEY_ATTACH,
	KEY_SERIAL,
	KEY_SERIAL_PATH,
	KEY_ACCEL,
	KEY_ROOT_DISK,
	KEY_DISK,
};

static const struct argp_option options_table[] = {
	{ .doc = "Network:", .group = 1 },
	{ .name = "net-vmnet",
	  .key = KEY_VMNET,
	  .doc = "native vmnet network in this process (the default; options of it imply it)" },
	{ .name = "net-bridged", .key = KEY_BRIDGED, .arg = "IF", .doc = "not available yet" },
	{ .doc = "Machine:", .group = 2 },
	{ .name = "net-attach",
	  .key = KEY_ATTACH,
	  .arg = "auto|vhost-user|stream",
	  .doc = "how QEMU is attached to the network: auto (default) takes vhost-user, which "
		 "shares the VM's memory and is fastest, where it is known to work",
	  .group = 2 },
	{ .name = "serial",
	  .key = KEY_SERIAL,
	  .doc = "the VM's console on this terminal (Ctrl-A X ends it)",
	  .group = 2 },
	{ .name = "serial-path",
	  .key = KEY_SERIAL_PATH,
	  .arg = "PATH",
	  .doc = "the VM's console on another terminal (such as the end of a pty), or into a file",
	  .group = 2 },
	{ .name = "accel",
	  .key = KEY_ACCEL,
	  .arg = "auto|kvm|tcg",
	  .doc = "auto (default) takes KVM where it can run the VM, else TCG",
	  .group = 2 },
	{ .name = "disk",
	  .key = KEY_DISK,
	  .arg = "PATH[:OPTIONS]",
	  .doc = "one more disk for this run, a file (raw or qcow2) or a block device; OPTIONS, "
		 "separated by commas: ro, sync=none|fsync|full, "
		 "caching=automatic|cached|uncached",
	  .group = 2 },
	{ .name = "root-disk-opts",
	  .key = KEY_ROOT_DISK,
	  .arg = "OPTIONS",
	  .doc = "the same options for the VM's own first disk",
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
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void parse_disk(struct argp_state *state, const char *argument, struct run_options *options)
{
	struct error err;

	if (options->disk_count == QEMU_DISK_MOST)
		argp_error(state, "--disk: at most %d disks can be added", QEMU_DISK_MOST);
	else if (!disk_spec_parse(argument, &options->disks[options->disk_count], &err))
		argp_error(state, "%s", err.text);
	else
		options->disk_count++;
}

static void check_network(struct argp_state *state, struct run_parser *parser)
{
	struct run_options *options = &parser->options;

	if (options->network.is_vmnet)
		parser->networks |= NETWORK_VMNET;
	if (options->network.is_host)
		parser->networks |= NETWORK_HOST;
	if (options->sidecar.is_wanted)
		parser->networks |= NETWORK_SOFTNET;
	if (__builtin_popcount(parser->networks) > 1)
		argp_error(state, "--net-bridged, --net-softnet, --net-host and --net-vmnet are "
				  "mutually exclusive");
	if (options->sidecar.is_wanted && options->network.host_access != VMNET_HOST_ACCESS_NONE)
		argp_error(state, "--net-host-access does not go with --net-softnet: "
				  "--net-softnet-allow @host opens what listens on this host's LAN "
				  "address");
	sidecar_options_check(&options->sidecar, state);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct run_parser *parser = state->input;
	struct run_options *options = &parser->options;
	struct error err;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->network;
		state->child_inputs[1] = &options->sidecar;
		state->child_inputs[2] = &options->devices;
		return 0;
	case KEY_SERIAL:
		options->serial = true;
		return 0;
	case KEY_SERIAL_PATH:
		if (!argument[0])
			argp_error(state, "--serial-path needs the name of a terminal or a file");
		options->serial_path = argument;
		return 0;
	case KEY_ACCEL:
		if (!accel_parse(argument, &options->accel))
			argp_error(state,
				   "invalid value \"%s\" for --accel: expected auto, kvm or tcg",
				   argument);
		return 0;
	case KEY_DISK:
		parse_disk(state, argument, options);
		return 0;
	case KEY_ROOT_DISK:
		if (!disk_options_parse(argument, &options->root_disk, &err))
			argp_error(state, "--root-disk-opts: %s", err.text);
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
		check_network(state, parser);
		if (options->serial && options->serial_path)
			argp_error(state, "--serial and --serial-path are mutually exclusive");
		return 0;
	default:
		return parse_network(key, state);
	}
}

void run_options_parse(int argc, char **argv, struct run_options *ret_options)
{
	static const struct argp_child children[] = {
		{ .argp = &network_options_argp, .group = 1 },
		{ .argp = &sidecar_options_argp, .group = 1 },
		{ .argp = &device_options_argp, .group = 2 },
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
		       "  tartlet run debian --net-vmnet-subnet 10.9.8.0/30 --serial\n"
		       "  tartlet run debian --net-host\n"
		       "  tartlet run debian --net-softnet-block 0.0.0.0/0 --net-softnet-allow @host\n"
		       "  tartlet run debian --disk data.qcow2 --disk installer.iso:ro\n"
		       "  tartlet run debian --dir src:~/src --dir /usr/share/doc:ro,tag=doc",
	};
	struct run_parser parser = { .options = { .accel = ACCEL_AUTO } };

	if (argp_parse(&argp, argc, argv, 0, NULL, &parser) != 0)
		exit(COMMAND_USAGE);
	*ret_options = parser.options;
}

void run_options_done(struct run_options *options)
{
	network_options_done(&options->network);
	sidecar_options_done(&options->sidecar);
	device_options_done(&options->devices);
	for (size_t i = 0; i < options->disk_count; i++)
		disk_spec_done(&options->disks[i]);
	options->disk_count = 0;
}
