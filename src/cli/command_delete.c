#include "cli/command.h"
#include "cli/named_vm.h"
#include "cli/removal.h"

struct delete_options {
	char **names; /* part of argv */
	int count;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct delete_options *options = state->input;

	(void)argument;
	switch (key) {
	case ARGP_KEY_ARGS:
		options->names = state->argv + state->next;
		options->count = state->argc - state->next;
		for (int i = 0; i < options->count; i++)
			(void)named_vm_parse(state, options->names[i]);
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "the VM's NAME is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int delete_one(const struct vm_home *home, const char *name)
{
	struct vm_directory directory;
	int code = named_vm_open(home, name, COMMAND_VM_STATE, &directory);

	if (code != COMMAND_OK)
		return code;
	code = removal_of_named(home, &directory);
	vm_directory_close(&directory);
	return code;
}

int command_delete(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "NAME...",
		.doc = "Deletes VMs that do not run, with their disks and network assignments. Stops "
		       "at the first that cannot be deleted.\v"
		       "Examples:\n"
		       "  tartlet delete debian\n"
		       "  tartlet delete ci-1 ci-2 ci-3",
	};
	struct delete_options options = { 0 };
	struct vm_home home;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	int code = command_open_home(&home);
	if (code != COMMAND_OK)
		return code;
	for (int i = 0; i < options.count && code == COMMAND_OK; i++)
		code = delete_one(&home, options.names[i]);
	vm_home_close(&home);
	return code;
}
