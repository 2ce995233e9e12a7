#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/exposed_port.h"
#include "cli/forward_text.h"
#include "cli/named_vm.h"
#include "control/control_client.h"
#include "control/control_json.h"
#include "spec/forward_spec.h"
#include "vm/run_state.h"
#include "vm/vm_lock.h"

enum action {
	ACTION_NONE,
	ACTION_ADD,
	ACTION_REMOVE,
	ACTION_LIST,
};

struct forward_options {
	enum action action;
	const char *name;
	const char *spec_text;
	struct forward_specs specs;
	bool json;
};

static enum action parse_action(struct argp_state *state, const char *argument)
{
	if (strcmp(argument, "add") == 0)
		return ACTION_ADD;
	if (strcmp(argument, "remove") == 0)
		return ACTION_REMOVE;
	if (strcmp(argument, "list") == 0)
		return ACTION_LIST;
	argp_error(state, "unknown action \"%s\", expected add, remove or list", argument);
	return ACTION_NONE;
}

static void check_complete(struct argp_state *state, struct forward_options *options)
{
	struct error err;
	bool good = true;

	if (options->action == ACTION_NONE)
		argp_error(state, "the action is missing: add, remove or list");
	if (!options->name)
		argp_error(state, "the VM's NAME is missing");
	if (options->action == ACTION_LIST)
		return;
	if (!options->spec_text) {
		argp_error(state, "the port forwarding SPEC is missing");
		return;
	}
	if (options->action == ACTION_ADD)
		good = forward_specs_parse(&options->specs, options->spec_text, &err);
	else
		good = forward_specs_parse_removal(&options->specs, options->spec_text, &err);
	if (!good)
		argp_error(state, "%s", err.text);
	if (options->specs.count == 0)
		argp_error(state, "the port forwarding SPEC is empty");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct forward_options *options = state->input;

	switch (key) {
	case 'f':
		options->json = command_parse_format(state, argument);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			options->action = parse_action(state, argument);
		else if (state->arg_num == 1)
			options->name = named_vm_parse(state, argument);
		else if (state->arg_num == 2 && options->action != ACTION_LIST)
			options->spec_text = argument;
		else
			argp_error(state, "unexpected argument \"%s\"", argument);
		return 0;
	case ARGP_KEY_END:
		check_complete(state, options);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The server's text is a sentence about one forward; this says which. */
static int request(const struct vm_directory *directory, const char *method, const char *path,
		   const json_t *body, json_t **ret_answer, struct error *err)
{
	int r = control_client_request(directory->fd, method, path, body, ret_answer, err);

	if (r < 0 && r != -EREMOTEIO)
		error_prefix(err, "VM \"%s\"", directory->name);
	return r;
}

static void print_forwards(const json_t *forwards, bool json)
{
	const json_t *forward;
	size_t i;

	if (json) {
		command_print_json(forwards);
		return;
	}
	json_array_foreach(forwards, i, forward)
	{
		char text[FORWARD_TEXT_SIZE];
		puts(forward_text_from_json(forward, text));
	}
}

/* One request, so that nothing that ends this program leaves half of them. */
static int add_all(const struct vm_home *home, const struct vm_directory *directory,
		   const struct forward_specs *specs, json_t **ret_bound, struct error *err)
{
	struct vm_home_settings settings;

	int r = vm_home_load_settings(home, &settings, err);
	if (r < 0)
		return r;
	json_t *wanted = json_array();
	for (size_t i = 0; i < specs->count; i++) {
		for (uint32_t port = 0; port < specs->items[i].count; port++) {
			struct vmnet_port_forward forward = { 0 };
			if (!control_json_parse_address(settings.expose_address, &forward))
				forward.external_family = AF_UNSPEC; /* was checked on loading */
			forward_spec_get(&specs->items[i], port, &forward);
			json_array_append_new(wanted, control_json_forward(&forward));
		}
	}
	r = request(directory, "POST", "/v1/forwards", wanted, ret_bound, err);
	json_decref(wanted);
	return r;
}

/* The VM's forwards, as bound. */
struct bound_forwards {
	struct vmnet_port_forward *items; /* owned: free() */
	size_t count;
};

static int get_bound(const struct vm_directory *directory, struct bound_forwards *ret_bound,
		     struct error *err)
{
	struct bound_forwards bound = { 0 };
	json_t *list = NULL;
	const json_t *entry;
	size_t i;

	int r = request(directory, "GET", "/v1/forwards", NULL, &list, err);
	if (r < 0)
		return r;
	bound.items = calloc(json_array_size(list) + 1, sizeof(*bound.items));
	if (!bound.items) {
		json_decref(list);
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	json_array_foreach(list, i, entry)
	{
		if (control_json_parse_forward(entry, &bound.items[bound.count], NULL))
			bound.count++;
	}
	json_decref(list);
	*ret_bound = bound;
	return 0;
}

/* Is `found` of the VM's list what the spec means? An internal port that was not written is any. */
static bool is_meant(const struct vmnet_port_forward *found,
		     const struct vmnet_port_forward *wanted)
{
	char wanted_address[CONTROL_ADDRESS_TEXT_SIZE];
	char address[CONTROL_ADDRESS_TEXT_SIZE];

	if (found->protocol != wanted->protocol || found->external_port != wanted->external_port ||
	    (wanted->internal_port != 0 && found->internal_port != wanted->internal_port))
		return false;
	return wanted->external_family == AF_UNSPEC ||
	       strcmp(control_json_format_address(found, address),
		      control_json_format_address(wanted, wanted_address)) == 0;
}

/* Marks what is meant by one spec; one that means nothing is an error. */
static int mark_meant(const struct bound_forwards *bound, const struct vmnet_port_forward *wanted,
		      const char *name, bool *meant, struct error *err)
{
	bool found = false;

	for (size_t i = 0; i < bound->count; i++) {
		if (is_meant(&bound->items[i], wanted)) {
			meant[i] = true;
			found = true;
		}
	}
	if (found)
		return 0;
	error_set(err, "VM \"%s\" has no such forward: external port %u/%s", name,
		  (unsigned)wanted->external_port, control_json_protocol_name(wanted->protocol));
	return -ENOENT;
}

/*
 * All are looked for before one is removed. Each goes with the address it is bound to: a request
 * without one would take every forward of that port, also to another internal port.
 */
static int remove_meant(const struct vm_directory *directory, const struct bound_forwards *bound,
			const struct forward_specs *specs, struct error *err)
{
	autofree bool *meant = calloc(bound->count + 1, sizeof(*meant));
	int r = 0;

	if (!meant) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < specs->count && r == 0; i++) {
		for (uint32_t port = 0; port < specs->items[i].count && r == 0; port++) {
			struct vmnet_port_forward wanted = { .external_family = AF_UNSPEC };
			forward_spec_get(&specs->items[i], port, &wanted);
			r = mark_meant(bound, &wanted, directory->name, meant, err);
		}
	}
	if (r < 0)
		return r;
	json_t *list = json_array();
	for (size_t i = 0; i < bound->count; i++) {
		if (meant[i])
			json_array_append_new(list, control_json_forward(&bound->items[i]));
	}
	json_t *removed = NULL;
	r = request(directory, "DELETE", "/v1/forwards", list, &removed, err);
	json_decref(list);
	json_decref(removed);
	return r;
}

static int remove_all(const struct vm_directory *directory, const struct forward_specs *specs,
		      struct error *err)
{
	struct bound_forwards bound;

	int r = get_bound(directory, &bound, err);
	if (r < 0)
		return r;
	r = remove_meant(directory, &bound, specs, err);
	free(bound.items);
	return r;
}

/* Its ports are softnet's: they can be shown, not changed. */
static int act_on_softnet(const struct vm_directory *directory, const struct run_state *state,
			  const struct forward_options *options)
{
	struct error err;

	if (options->action == ACTION_LIST) {
		print_forwards(state->forwards, options->json);
		return COMMAND_OK;
	}
	error_set(
		&err,
		"the ports of VM \"%s\" cannot be changed while it runs: its network is softnet's, "
		"which is told them at the start (`tartlet run --net-softnet-expose')",
		directory->name);
	return command_fail(COMMAND_VM_STATE, &err);
}

static int act(const struct vm_home *home, const struct vm_directory *directory,
	       const void *context)
{
	const struct forward_options *options = context;
	struct error err = { .text = "" };
	struct run_state state;
	json_t *forwards = NULL;

	if (vm_lock_holder(directory->fd) == 0)
		return named_vm_not_running(directory);
	int r = exposed_port_state(directory, &state, &err);
	if (r == 0) {
		int code = act_on_softnet(directory, &state, options);
		run_state_done(&state);
		return code;
	}
	if (r != -ENOENT)
		return command_fail(COMMAND_FAILED, &err);
	r = 0;
	switch (options->action) {
	case ACTION_NONE:
		break;
	case ACTION_ADD:
		r = add_all(home, directory, &options->specs, &forwards, &err);
		break;
	case ACTION_REMOVE:
		r = remove_all(directory, &options->specs, &err);
		break;
	case ACTION_LIST:
		r = request(directory, "GET", "/v1/forwards", NULL, &forwards, &err);
		break;
	}
	if (r == 0 && forwards)
		print_forwards(forwards, options->json);
	json_decref(forwards);
	return r < 0 ? command_fail(COMMAND_FAILED, &err) : COMMAND_OK;
}

int command_forward(int argc, char **argv)
{
	static const struct argp_option options_table[] = { COMMAND_FORMAT_OPTION, { 0 } };
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "add NAME SPEC\nremove NAME SPEC\nlist NAME",
		.doc = "Changes or shows the port forwards of a running VM. SPEC is "
		       "[HOST_ADDRESS:]EXTERNAL[-END]:INTERNAL[-END][/tcp|udp], several separated by "
		       "commas; to remove, EXTERNAL[/udp] is enough.\v"
		       "Examples:\n"
		       "  tartlet forward add debian 8080:80\n"
		       "  tartlet forward add debian 127.0.0.1:0:22,5353:53/udp\n"
		       "  tartlet forward remove debian 8080\n"
		       "  tartlet forward list debian",
	};
	struct forward_options options = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	int code = named_vm_act(options.name, COMMAND_VM_STATE, act, &options);
	forward_specs_done(&options.specs);
	return code;
}
