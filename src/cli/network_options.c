#include "cli/network_options.h"

#include <string.h>

#include "base/error.h"
#include "cli/command.h"
#include "spec/subnet_spec.h"

#define MTU_LEAST 576
#define MTU_MOST  65520

#define BUSY_POLL_MOST_US 1000

/* Away from those of the commands, which begin at 256. */
enum {
	KEY_HOST = 512,
	KEY_EXPOSE,
	KEY_SUBNET,
	KEY_ALLOW,
	KEY_BLOCK,
	KEY_HOST_ACCESS,
	KEY_PCAP,
	KEY_MTU,
	KEY_TCP_BACKLOG,
	KEY_BUSY_POLL,
};

static const struct argp_option options_table[] = {
	{ .name = "net-host",
	  .key = KEY_HOST,
	  .doc = "host-only: the guest reaches the gateway and nothing else, by no route, and "
		 "resolves no names from outside" },
	{ .name = "net-vmnet-expose",
	  .key = KEY_EXPOSE,
	  .arg = "SPECS",
	  .doc = "forward ports of the host to the guest, SPEC[,SPEC...]; SPEC is "
		 "[HOST_ADDRESS:]EXTERNAL:INTERNAL[/udp], each a port or a range (8000-8009); "
		 "EXTERNAL 0 takes a free port" },
	{ .name = "net-vmnet-subnet",
	  .key = KEY_SUBNET,
	  .arg = "CIDR",
	  .doc = "this subnet instead of an automatic one: inside RFC 1918, /8 to /30" },
	{ .name = "net-vmnet-allow",
	  .key = KEY_ALLOW,
	  .arg = "RULES",
	  .doc = "rules, RULE[,RULE...], of whom the guest may call and who may call it; RULE is "
		 "[in|out] PREFIX[:PORT[-PORT]], or @host for the gateway" },
	{ .name = "net-vmnet-block",
	  .key = KEY_BLOCK,
	  .arg = "RULES",
	  .doc = "the same for whom it may not" },
	{ .name = "net-host-access",
	  .key = KEY_HOST_ACCESS,
	  .arg = "lan|loopback",
	  .doc = "let the guest reach this host: what listens on its LAN address, or loopback too" },
	{ .name = "net-pcap",
	  .key = KEY_PCAP,
	  .arg = "FILE",
	  .doc = "write what passes the guest's port to FILE (pcapng)" },
	{ .name = "mtu",
	  .key = KEY_MTU,
	  .arg = "BYTES",
	  .doc = "size of an IP packet, 576 to 65520 (default 1500)" },
	{ .name = "net-tcp-backlog",
	  .key = KEY_TCP_BACKLOG,
	  .arg = "auto|kept|peek",
	  .doc = "where bytes wait until the guest has acknowledged them: in our memory (kept) or "
		 "in the host's sockets (peek); for measuring, auto knows" },
	{ .name = "net-busy-poll",
	  .key = KEY_BUSY_POLL,
	  .arg = "MICROSECONDS",
	  .doc = "how long the network looks for the next event before it sleeps, where short "
		 "questions and answers follow each other: 0 (never) to 1000 (default 50)" },
	{ 0 },
};

static void parse_host_access(struct argp_state *state, const char *argument,
			      struct network_options *options)
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

static void parse_tcp_backlog(struct argp_state *state, const char *argument,
			      struct network_options *options)
{
	if (strcmp(argument, "auto") == 0)
		options->tcp_backlog = VMNET_TCP_BACKLOG_AUTO;
	else if (strcmp(argument, "kept") == 0)
		options->tcp_backlog = VMNET_TCP_BACKLOG_KEPT;
	else if (strcmp(argument, "peek") == 0)
		options->tcp_backlog = VMNET_TCP_BACKLOG_PEEK;
	else
		argp_error(state,
			   "invalid value \"%s\" for --net-tcp-backlog: expected auto, kept or "
			   "peek",
			   argument);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct network_options *options = state->input;
	struct error err;

	switch (key) {
	case KEY_HOST:
		options->is_host = true;
		return 0;
	case KEY_EXPOSE:
		options->is_vmnet = true;
		if (!forward_specs_parse(&options->forwards, argument, &err))
			argp_error(state, "%s", err.text);
		return 0;
	case KEY_SUBNET:
		options->is_vmnet = true;
		if (!subnet_spec_parse(argument, &options->subnet, &err))
			argp_error(state, "%s", err.text);
		options->has_subnet = true;
		return 0;
	case KEY_ALLOW:
	case KEY_BLOCK:
		options->is_vmnet = true;
		if (!rule_list_add(key == KEY_ALLOW ? &options->allow : &options->block, argument,
				   &err))
			argp_error(state, "%s", err.text);
		return 0;
	case KEY_HOST_ACCESS:
		parse_host_access(state, argument, options);
		return 0;
	case KEY_PCAP:
		options->capture_path = command_parse_file(state, "--net-pcap", argument);
		return 0;
	case KEY_MTU:
		options->mtu = (uint32_t)command_parse_number(state, "--mtu", argument, MTU_LEAST,
							      MTU_MOST);
		return 0;
	case KEY_TCP_BACKLOG:
		parse_tcp_backlog(state, argument, options);
		return 0;
	case KEY_BUSY_POLL:
		options->has_busy_poll = true;
		options->busy_poll_us = (uint32_t)command_parse_number(
			state, "--net-busy-poll", argument, 0, BUSY_POLL_MOST_US);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp network_options_argp = { .options = options_table, .parser = parse };

void network_options_done(struct network_options *options)
{
	forward_specs_done(&options->forwards);
	rule_list_done(&options->allow);
	rule_list_done(&options->block);
}
