#include "cli/sidecar_options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "cli/command.h"
#include "spec/forward_spec.h"
#include "spec/rule_lists.h"

/* Away from those of the commands, which begin at 256, and of the other children. */
enum {
	KEY_SOFTNET = 768,
	KEY_ALLOW,
	KEY_BLOCK,
	KEY_EXPOSE,
	KEY_CONTROL_FD,
};

static const struct argp_option options_table[] = {
	{ .name = "net-softnet",
	  .key = KEY_SOFTNET,
	  .doc = "the network in a process of its own that has no rights, and under rules: without any, "
		 "global addresses and the gateway's services alone (options of it imply it)" },
	{ .name = "net-softnet-allow",
	  .key = KEY_ALLOW,
	  .arg = "RULES",
	  .doc = "rules as of --net-vmnet-allow; one that names @host opens this host's LAN services" },
	{ .name = "net-softnet-block",
	  .key = KEY_BLOCK,
	  .arg = "RULES",
	  .doc = "rules as of --net-vmnet-block" },
	{ .name = "net-softnet-expose",
	  .key = KEY_EXPOSE,
	  .arg = "SPECS",
	  .doc = "forward ports of the host to the guest, as --net-vmnet-expose" },
	{ .name = "net-softnet-control-fd",
	  .key = KEY_CONTROL_FD,
	  .arg = "FD",
	  .doc = "a connected unix stream socket over which the rules can be read and replaced while "
		 "the VM runs (JSON-RPC, a line each)" },
	{ 0 },
};

static void pass(struct argp_state *state, struct sidecar_options *options, const char *option,
		 const char *argument)
{
	size_t size = (options->passed_count + 1) * sizeof(*options->passed);
	char **passed = realloc(options->passed, size);

	if (passed)
		options->passed = passed;
	if (!passed || asprintf(&passed[options->passed_count], "%s=%s", option, argument) < 0)
		argp_failure(state, COMMAND_FAILED, ENOMEM, "%s", option);
	else
		options->passed_count++;
}

static void judge_rules(struct argp_state *state, const char *argument)
{
	struct rule_list rules = { 0 };
	struct error err;

	if (!rule_list_add(&rules, argument, &err))
		argp_error(state, "%s", err.text);
	rule_list_done(&rules);
}

/* Against those of the options before, too: the same port twice is refused. */
static void judge_specs(struct argp_state *state, const struct sidecar_options *options,
			const char *argument)
{
	static const char lead[] = "--expose=";
	struct forward_specs specs = { 0 };
	struct error err;
	bool good = true;

	for (size_t i = 0; good && i < options->passed_count; i++) {
		if (strncmp(options->passed[i], lead, sizeof(lead) - 1) == 0)
			good = forward_specs_parse(&specs, options->passed[i] + sizeof(lead) - 1,
						   &err);
	}
	if (!good || !forward_specs_parse(&specs, argument, &err))
		argp_error(state, "%s", err.text);
	forward_specs_done(&specs);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct sidecar_options *options = state->input;

	switch (key) {
	case KEY_SOFTNET:
		break;
	case KEY_ALLOW:
		judge_rules(state, argument);
		pass(state, options, "--allow", argument);
		break;
	case KEY_BLOCK:
		judge_rules(state, argument);
		pass(state, options, "--block", argument);
		break;
	case KEY_EXPOSE:
		judge_specs(state, options, argument);
		pass(state, options, "--expose", argument);
		break;
	case KEY_CONTROL_FD:
		options->has_control = true;
		options->control_fd = (int)command_parse_number(state, "--net-softnet-control-fd",
								argument, 0, INT_MAX);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	options->is_wanted = true;
	return 0;
}

const struct argp sidecar_options_argp = { .options = options_table, .parser = parse };

static int option_of(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

static bool is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

void sidecar_options_check(struct sidecar_options *options, struct argp_state *state)
{
	int fd = options->control_fd;

	if (!options->has_control)
		return;
	if (fd <= 2 || option_of(fd, SO_DOMAIN) != AF_UNIX ||
	    option_of(fd, SO_TYPE) != SOCK_STREAM || !is_connected(fd) || fd_set_cloexec(fd) < 0)
		argp_error(state,
			   "invalid value \"%d\" for --net-softnet-control-fd: expected an open "
			   "descriptor above 2 that is a connected unix stream socket",
			   fd);
}

void sidecar_options_done(struct sidecar_options *options)
{
	for (size_t i = 0; i < options->passed_count; i++)
		free(options->passed[i]);
	free(options->passed);
	options->passed = NULL;
	options->passed_count = 0;
}
