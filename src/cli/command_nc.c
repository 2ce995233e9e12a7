/* `tartlet nc`: a byte tunnel to a TCP port of the guest, for people and as ssh's ProxyCommand. */

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/byte_tunnel.h"
#include "cli/command.h"
#include "cli/exposed_port.h"
#include "cli/named_vm.h"
#include "control/connect_client.h"
#include "vm/run_state.h"
#include "vm/vm_lock.h"

struct nc_options {
	const char *name;
	uint16_t port; /* 0 = not given yet */
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct nc_options *options = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			options->name = named_vm_parse(state, argument);
		else if (state->arg_num > 1)
			argp_error(state, "unexpected argument \"%s\"", argument);
		else if (!text_parse_u16(text_view_of(argument), &options->port) ||
			 options->port == 0)
			argp_error(state, "invalid port \"%s\": expected a number from 1 to 65535",
				   argument);
		return 0;
	case ARGP_KEY_END:
		if (!options->name)
			argp_error(state, "the VM's NAME is missing");
		if (options->port == 0)
			argp_error(state, "the PORT is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* By the run's control socket, or by a port that is exposed where it has none. */
static int open_connection(const struct vm_directory *directory, uint16_t port, int *ret_fd,
			   struct error *err)
{
	struct run_state state;

	int r = exposed_port_state(directory, &state, err);
	if (r == -ENOENT)
		return connect_client_request(directory->fd, port, ret_fd, err);
	if (r < 0)
		return r;
	r = exposed_port_connect(&state, port, err);
	run_state_done(&state);
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}

static int join(const struct vm_home *home, const struct vm_directory *directory,
		const void *context)
{
	const struct nc_options *options = context;
	struct error err = { .text = "" };
	int fd = -1;

	(void)home;
	if (vm_lock_holder(directory->fd) == 0)
		return named_vm_not_running(directory);
	int r = open_connection(directory, options->port, &fd, &err);
	if (r == 0) {
		struct byte_tunnel tunnel = { fd, STDIN_FILENO, STDOUT_FILENO };
		r = byte_tunnel_run(&tunnel, &err);
	}
	if (r < 0)
		error_prefix(&err, "VM \"%s\"", directory->name);
	/* The socket stays open until the program ends: a thread may still have it. */
	if (r == -ENOENT)
		return command_fail(COMMAND_VM_STATE, &err);
	return r < 0 ? command_fail(COMMAND_FAILED, &err) : COMMAND_OK;
}

int command_nc(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "NAME PORT",
		.doc = "Connects standard input and output to a TCP port of a running VM. No port of "
		       "the host is opened for it.\v"
		       "Examples:\n"
		       "  tartlet nc debian 80\n"
		       "  ssh -o ProxyCommand='tartlet nc %h %p' user@debian",
	};
	struct nc_options options = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.name, COMMAND_VM_STATE, join, &options);
}
