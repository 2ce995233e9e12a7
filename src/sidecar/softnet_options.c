#include "sidecar/softnet_options.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netinet/ether.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "control/control_json.h"
#include "sidecar/control_channel.h"
#include "sidecar/sandbox.h"
#include "spec/subnet_spec.h"

#define FAILED		  1 /* Softnet knows no other */
#define MTU_LEAST	  576
#define MTU_MOST	  65520
#define BUSY_POLL_MOST_US 1000
#define NAMES_SIZE	  8192 /* of one entry of passwd(5) or group(5): a group may have many members */

enum {
	KEY_VM_FD = 256,
	KEY_MAC,
	KEY_NET_TYPE,
	KEY_LEASE_TIME,
	KEY_USER,
	KEY_GROUP,
	KEY_ALLOW,
	KEY_BLOCK,
	KEY_EXPOSE,
	KEY_EXPOSE_ADDRESS,
	KEY_CONTROL_FD,
	KEY_ATTACH,
	KEY_SANDBOX,
	KEY_VM_ONCE,
	KEY_REPORT_FD,
	KEY_CAPTURE_FD,
	KEY_LABEL,
	KEY_ASSIGNMENT,
	KEY_STATE_DIRECTORY,
	KEY_RUNTIME_DIRECTORY,
	KEY_HOSTNAME,
	KEY_SUBNET,
	KEY_MTU,
	KEY_BUSY_POLL,
	KEY_TCP_BACKLOG,
	KEY_DOCUMENT,
};

static const struct argp_option options_table[] = {
	{ .name = "vm-fd",
	  .key = KEY_VM_FD,
	  .arg = "N",
	  .doc = "the VM's end: an open descriptor of a unix socket" },
	{ .name = "vm-mac-address",
	  .key = KEY_MAC,
	  .arg = "MAC",
	  .doc = "the MAC address of the VM; frames from any other are dropped" },
	{ .name = "vm-net-type",
	  .key = KEY_NET_TYPE,
	  .arg = "nat|host",
	  .doc = "the outside by NAT (default), or the gateway and nothing else" },
	{ .name = "attach",
	  .key = KEY_ATTACH,
	  .arg = "KIND",
	  .doc = "what the VM's socket is: datagram (default; a frame each), stream (QEMU's, each frame "
		 "behind its length) or vhost-user; the last two connected or listening" },
	{ .name = "allow",
	  .key = KEY_ALLOW,
	  .arg = "RULES",
	  .doc = "rules, RULE[,RULE...], of whom the VM may call and who may call it; RULE is "
		 "[in|out] PREFIX[:PORT[-PORT]], or @host for the gateway" },
	{ .name = "block",
	  .key = KEY_BLOCK,
	  .arg = "RULES",
	  .doc = "the same for whom it may not" },
	{ .name = "expose",
	  .key = KEY_EXPOSE,
	  .arg = "SPECS",
	  .doc = "forward ports of the host to the VM, EXTERNAL:INTERNAL[,...]; also "
		 "[HOST_ADDRESS:]EXTERNAL:INTERNAL[/udp] and ranges; EXTERNAL 0 takes a free port" },
	{ .name = "expose-address",
	  .key = KEY_EXPOSE_ADDRESS,
	  .arg = "ADDRESS",
	  .doc = "where those listen that name no address: \"*\" (default), localhost, or an address" },
	{ .name = "control-fd",
	  .key = KEY_CONTROL_FD,
	  .arg = "N",
	  .doc = "a connected unix stream socket over which the rules can be read and replaced "
		 "(JSON-RPC 2.0, a line each)" },
	{ .name = "user",
	  .key = KEY_USER,
	  .arg = "USER",
	  .doc = "as root: who to become, a name or a number (default nobody)" },
	{ .name = "group",
	  .key = KEY_GROUP,
	  .arg = "GROUP",
	  .doc = "as root: the group to go with it (default that of the user)" },
	{ .name = "sandbox",
	  .key = KEY_SANDBOX,
	  .arg = "default|strict",
	  .doc = "strict: do not start where the kernel lacks a layer of the sandbox" },
	{ .name = "bootpd-lease-time",
	  .key = KEY_LEASE_TIME,
	  .arg = "SECONDS",
	  .doc = "accepted and without effect: it changes a preference of macOS" },
	{ .doc = "What Softnet does not have:", .group = 1 },
	{ .name = "vm-once",
	  .key = KEY_VM_ONCE,
	  .doc = "of a listening --vm-fd, serve the first VM that connects and end with it" },
	{ .name = "report-fd",
	  .key = KEY_REPORT_FD,
	  .arg = "N",
	  .doc = "write one line of JSON there (subnet, gateway, address, forwards) when all is ready" },
	{ .name = "capture-fd",
	  .key = KEY_CAPTURE_FD,
	  .arg = "N",
	  .doc = "write what passes the VM's port there (pcapng)" },
	{ .name = "label", .key = KEY_LABEL, .arg = "TEXT", .doc = "what people call the VM" },
	{ .name = "assignment",
	  .key = KEY_ASSIGNMENT,
	  .arg = "KEY",
	  .doc = "the same subnet and address for KEY each time" },
	{ .name = "state-directory",
	  .key = KEY_STATE_DIRECTORY,
	  .arg = "DIR",
	  .doc = "where assignments are kept" },
	{ .name = "runtime-directory",
	  .key = KEY_RUNTIME_DIRECTORY,
	  .arg = "DIR",
	  .doc = "where is kept what is in use now" },
	{ .name = "hostname",
	  .key = KEY_HOSTNAME,
	  .arg = "NAME",
	  .doc = "the name that the VM gets by DHCP" },
	{ .name = "subnet",
	  .key = KEY_SUBNET,
	  .arg = "CIDR",
	  .doc = "this subnet instead of an automatic one: inside RFC 1918, /8 to /30" },
	{ .name = "mtu",
	  .key = KEY_MTU,
	  .arg = "BYTES",
	  .doc = "size of an IP packet, 576 to 65520 (default 1500)" },
	{ .name = "busy-poll",
	  .key = KEY_BUSY_POLL,
	  .arg = "MICROSECONDS",
	  .doc = "how long to look for the next event before sleeping, 0 to 1000 (default 50)" },
	{ .name = "tcp-backlog",
	  .key = KEY_TCP_BACKLOG,
	  .arg = "auto|kept|peek",
	  .doc = "as of tartlet-run(1)" },
	{ .name = "document",
	  .key = KEY_DOCUMENT,
	  .arg = "PATH=FD",
	  .doc = "the VM can fetch what is in FD from the gateway as http://GATEWAY/PATH" },
	{ 0 },
};

struct parse {
	struct softnet_options *options;
	const char *user;
	const char *group;
	bool has_mac;
};

static unsigned long parse_number(struct argp_state *state, const char *option,
				  const char *argument, unsigned long least, unsigned long most)
{
	char *end;

	errno = 0;
	unsigned long number = strtoul(argument, &end, 10);
	if (argument[0] < '0' || argument[0] > '9' || *end != '\0' || errno != 0 ||
	    number < least || number > most)
		argp_error(state, "invalid value \"%s\" for %s: expected a number from %lu to %lu",
			   argument, option, least, most);
	return number;
}

static int parse_fd(struct argp_state *state, const char *option, const char *argument)
{
	int fd = (int)parse_number(state, option, argument, 0, INT_MAX);

	if (fcntl(fd, F_GETFD) < 0)
		argp_error(state, "invalid value \"%s\" for %s: no such descriptor is open",
			   argument, option);
	return fd;
}

/* The index of the word in a list that ends with NULL. */
static size_t parse_word(struct argp_state *state, const char *option, const char *argument,
			 const char *const *words, const char *expected)
{
	for (size_t i = 0; words[i]; i++) {
		if (strcmp(argument, words[i]) == 0)
			return i;
	}
	argp_error(state, "invalid value \"%s\" for %s: expected %s", argument, option, expected);
	return 0;
}

static void parse_mac(struct argp_state *state, struct parse *parse, const char *argument)
{
	ether_addr_t *mac = &parse->options->mac;
	struct mac_addr parsed;

	if (!mac_addr_parse(argument, &parsed))
		argp_error(
			state,
			"invalid value \"%s\" for --vm-mac-address: expected six pairs of hexadecimal digits",
			argument);
	memcpy(mac->ether_addr_octet, parsed.octet, sizeof(mac->ether_addr_octet));
	parse->has_mac = true;
}

/* Softnet's form, or ours, which has an address before it. */
static bool has_exposed_form(struct text_view piece)
{
	char text[IP_ADDR_TEXT_SIZE];
	struct text_view first;
	struct text_view second;
	struct text_view third;
	struct text_view rest;
	struct ip_addr address;

	if (piece.start[0] == '[')
		return true;
	if (!text_view_cut(piece, ':', &first, &rest))
		return false;
	if (!text_view_cut(rest, ':', &second, &rest))
		return true;
	return !text_view_cut(rest, ':', &third, &rest) &&
	       text_view_copy(first, text, sizeof(text)) && ip_addr_parse(text, &address);
}

/* Softnet's sentence where its form is missed; else ours, which says more. */
static void parse_expose(struct argp_state *state, struct softnet_options *options,
			 const char *argument)
{
	struct text_view rest = text_view_of(argument);
	struct text_view piece;
	struct error err;
	bool more;

	do {
		more = text_view_cut(rest, ',', &piece, &rest);
		if (piece.length > 0 && !has_exposed_form(piece))
			argp_error(
				state,
				"invalid exposed port specification \"%.*s\", the format should be "
				"EXTERNAL:INTERNAL",
				(int)piece.length, piece.start);
	} while (more);
	if (!forward_specs_parse(&options->expose, argument, &err))
		argp_error(state, "%s", err.text);
}

static void parse_document(struct argp_state *state, struct softnet_options *options,
			   const char *argument)
{
	const char *equals = strrchr(argument, '=');

	if (!equals || argument[0] != '/') {
		argp_error(state, "invalid value \"%s\" for --document: expected /PATH=FD",
			   argument);
		return;
	}
	if (options->document_count == SOFTNET_DOCUMENTS_MOST)
		argp_error(state, "--document is given more than %d times", SOFTNET_DOCUMENTS_MOST);
	struct softnet_document *document = &options->documents[options->document_count];
	document->fd = parse_fd(state, "--document", equals + 1);
	document->path = strndup(argument, (size_t)(equals - argument));
	if (!document->path)
		argp_failure(state, FAILED, ENOMEM, "--document");
	options->document_count++;
}

static void parse_rules(struct argp_state *state, struct rule_list *list, const char *argument)
{
	struct error err;

	if (!rule_list_add(list, argument, &err))
		argp_error(state, "%s", err.text);
}

static void parse_subnet(struct argp_state *state, struct softnet_options *options,
			 const char *argument)
{
	struct error err;

	if (!subnet_spec_parse(argument, &options->subnet, &err))
		argp_error(state, "%s", err.text);
	options->has_subnet = true;
}

static void parse_expose_address(struct argp_state *state, struct softnet_options *options,
				 const char *argument)
{
	struct vmnet_port_forward forward;

	if (!control_json_parse_address(argument, &forward))
		argp_error(
			state,
			"invalid value \"%s\" for --expose-address: expected *, localhost or an address",
			argument);
	options->expose_address = argument;
}

static bool is_number(const char *text)
{
	return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* Asked while the files of users may still be read. */
static void find_user(struct argp_state *state, struct softnet_options *options, const char *name)
{
	char buffer[NAMES_SIZE];
	struct passwd entry;
	struct passwd *user = NULL;

	options->has_user = true;
	if (is_number(name)) {
		options->user = (uid_t)parse_number(state, "--user", name, 1, UINT32_MAX - 1);
		options->group = options->user;
		(void)getpwuid_r(options->user, &entry, buffer, sizeof(buffer),
				 &user); /* need not have a name */
	} else if (getpwnam_r(name, &entry, buffer, sizeof(buffer), &user) != 0 || !user) {
		argp_error(state, "invalid value \"%s\" for --user: there is no such user", name);
	}
	if (!user)
		return;
	if (user->pw_uid == 0)
		argp_error(state, "invalid value \"%s\" for --user: root is what is to be given up",
			   name);
	options->user = user->pw_uid;
	options->group = user->pw_gid;
}

/* Who it would be without the options: a group alone does not choose. */
static void keep_user(struct softnet_options *options)
{
	options->has_user = true;
	options->user = geteuid() == 0 ? SANDBOX_NOBODY : geteuid();
}

static void find_group(struct argp_state *state, struct softnet_options *options, const char *name)
{
	char buffer[NAMES_SIZE];
	struct group entry;
	struct group *group = NULL;

	if (is_number(name)) {
		options->group = (gid_t)parse_number(state, "--group", name, 1, UINT32_MAX - 1);
		return;
	}
	if (getgrnam_r(name, &entry, buffer, sizeof(buffer), &group) != 0 || !group)
		argp_error(state, "invalid value \"%s\" for --group: there is no such group", name);
	else if (group->gr_gid == 0)
		argp_error(
			state,
			"invalid value \"%s\" for --group: that of root is what is to be given up",
			name);
	else
		options->group = group->gr_gid;
}

bool softnet_options_name_fd(const struct softnet_options *options, int fd)
{
	return fd == options->vm_fd || fd == options->control_fd || fd == options->report_fd ||
	       fd == options->capture_fd;
}

/* What is written to one must not end up in another. */
static void check_descriptors(struct argp_state *state, const struct softnet_options *options)
{
	const struct {
		const char *option;
		int fd;
	} descriptors[] = {
		{ "--control-fd", options->control_fd },
		{ "--report-fd", options->report_fd },
		{ "--capture-fd", options->capture_fd },
		{ "--vm-fd", options->vm_fd },
	};

	for (size_t i = 0; i < ARRAY_COUNT(descriptors); i++) {
		for (size_t j = i + 1; j < ARRAY_COUNT(descriptors); j++) {
			if (descriptors[i].fd >= 0 && descriptors[i].fd == descriptors[j].fd)
				argp_error(state, "%s and %s are the same descriptor",
					   descriptors[i].option, descriptors[j].option);
		}
	}
}

static void check(struct argp_state *state, const struct parse *parse)
{
	struct softnet_options *options = parse->options;

	if (options->vm_fd < 0)
		argp_error(state, "--vm-fd is missing");
	if (!parse->has_mac)
		argp_error(state, "--vm-mac-address is missing");
	check_descriptors(state, options);
	if (parse->user)
		find_user(state, options, parse->user);
	else if (parse->group)
		keep_user(options);
	if (parse->group)
		find_group(state, options, parse->group);
}

static error_t parse_network_option(int key, char *argument, struct argp_state *state,
				    struct softnet_options *options)
{
	static const char *const backlogs[] = { "auto", "kept", "peek", NULL };

	switch (key) {
	case KEY_LABEL:
		options->label = argument;
		return 0;
	case KEY_ASSIGNMENT:
		options->assignment = argument;
		return 0;
	case KEY_STATE_DIRECTORY:
		options->state_directory = argument;
		return 0;
	case KEY_RUNTIME_DIRECTORY:
		options->runtime_directory = argument;
		return 0;
	case KEY_HOSTNAME:
		options->hostname = argument;
		return 0;
	case KEY_SUBNET:
		parse_subnet(state, options, argument);
		return 0;
	case KEY_MTU:
		options->mtu =
			(uint32_t)parse_number(state, "--mtu", argument, MTU_LEAST, MTU_MOST);
		return 0;
	case KEY_BUSY_POLL:
		options->has_busy_poll = true;
		options->busy_poll_us = (uint32_t)parse_number(state, "--busy-poll", argument, 0,
							       BUSY_POLL_MOST_US);
		return 0;
	case KEY_TCP_BACKLOG:
		options->tcp_backlog = (enum vmnet_tcp_backlog)parse_word(
			state, "--tcp-backlog", argument, backlogs, "auto, kept or peek");
		return 0;
	case KEY_DOCUMENT:
		parse_document(state, options, argument);
		return 0;
	case KEY_VM_ONCE:
		options->once = true;
		return 0;
	case KEY_REPORT_FD:
		options->report_fd = parse_fd(state, "--report-fd", argument);
		return 0;
	case KEY_CAPTURE_FD:
		options->capture_fd = parse_fd(state, "--capture-fd", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	static const char *const types[] = { "nat", "host", NULL };
	static const char *const kinds[] = { "datagram", "stream", "vhost-user", NULL };
	static const char *const sandboxes[] = { "default", "strict", NULL };
	struct parse *parse = state->input;
	struct softnet_options *options = parse->options;

	switch (key) {
	case KEY_VM_FD:
		options->vm_fd = parse_fd(state, "--vm-fd", argument);
		return 0;
	case KEY_MAC:
		parse_mac(state, parse, argument);
		return 0;
	case KEY_NET_TYPE:
		options->mode =
			parse_word(state, "--vm-net-type", argument, types, "nat or host") == 0
				? VMNET_SHARED_MODE
				: VMNET_HOST_MODE;
		return 0;
	case KEY_ATTACH:
		options->attach = (enum softnet_attach)parse_word(
			state, "--attach", argument, kinds, "datagram, stream or vhost-user");
		return 0;
	case KEY_LEASE_TIME:
		(void)parse_number(state, "--bootpd-lease-time", argument, 1, UINT32_MAX);
		return 0;
	case KEY_USER:
		parse->user = argument;
		return 0;
	case KEY_GROUP:
		parse->group = argument;
		return 0;
	case KEY_ALLOW:
		parse_rules(state, &options->allow, argument);
		return 0;
	case KEY_BLOCK:
		parse_rules(state, &options->block, argument);
		return 0;
	case KEY_EXPOSE:
		parse_expose(state, options, argument);
		return 0;
	case KEY_EXPOSE_ADDRESS:
		parse_expose_address(state, options, argument);
		return 0;
	case KEY_CONTROL_FD:
		options->control_fd = parse_fd(state, "--control-fd", argument);
		if (!control_channel_takes(options->control_fd))
			argp_error(
				state,
				"invalid value \"%s\" for --control-fd: it should be a connected unix stream socket",
				argument);
		return 0;
	case KEY_SANDBOX:
		options->strict = parse_word(state, "--sandbox", argument, sandboxes,
					     "default or strict") == 1;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "\"%s\" is no option", argument);
		return 0;
	case ARGP_KEY_END:
		check(state, parse);
		return 0;
	default:
		return parse_network_option(key, argument, state, options);
	}
}

void softnet_options_parse(int argc, char **argv, struct softnet_options *ret_options)
{
	static const struct argp argp = {
		.options = options_table,
		.parser = parse_option,
		.doc = "The network of one VM in a process of its own, which filters what the VM sends and gives up "
		       "all rights before it looks at the first byte of it.\v"
		       "Ends with 0 at SIGINT or SIGTERM and when the VM has left, with 1 when something failed.\n\n"
		       "Example, for a program that has the VM's socket as descriptor 3:\n"
		       "  softnet --vm-fd 3 --vm-mac-address 02:00:00:00:00:01 --block 0.0.0.0/0 "
		       "--allow 198.51.100.7/32:443 --expose 2222:22\n\nSee softnet(1).",
	};
	struct parse parse = { .options = ret_options };

	*ret_options = (struct softnet_options){ .vm_fd = -1,
						 .control_fd = -1,
						 .report_fd = -1,
						 .capture_fd = -1,
						 .mode = VMNET_SHARED_MODE };
	argp_err_exit_status = FAILED;
	if (argp_parse(&argp, argc, argv, 0, NULL, &parse) != 0)
		exit(FAILED);
}

void softnet_options_done(struct softnet_options *options)
{
	rule_list_done(&options->allow);
	rule_list_done(&options->block);
	forward_specs_done(&options->expose);
	for (size_t i = 0; i < options->document_count; i++)
		free(options->documents[i].path);
	options->document_count = 0;
}
