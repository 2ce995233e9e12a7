#include <errno.h>

#include "cli/command.h"
#include "cli/named_vm.h"
#include "vm/run_state.h"
#include "vm/vm_journal.h"
#include "vm/vm_lock.h"

struct rename_options {
	const char *name;
	const char *new_name;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct rename_options *options = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (options->new_name)
			argp_error(state, "unexpected argument \"%s\"", argument);
		*(options->name ? &options->new_name : &options->name) =
			named_vm_parse(state, argument);
		return 0;
	case ARGP_KEY_END:
		if (!options->new_name)
			argp_error(state, "a VM's name and its new one are needed: NAME NEW");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* A run that has its lock, but not yet its network, will ask for the assignment of the name it was
 * started with. */
static int check_settled(const struct vm_directory *directory, struct error *err)
{
	struct run_state state;

	if (vm_lock_holder(directory->fd) == 0)
		return 0;
	int r = run_state_read(directory->fd, &state, err);
	if (r == 0)
		run_state_done(&state);
	if (r != -ESRCH)
		return r;
	error_set(err, "VM \"%s\" is just being started or stopped: try again", directory->name);
	return -EBUSY;
}

/* Under the home's lock. */
static int rename_vm(const struct vm_home *home, const struct rename_options *options,
		     struct error *err)
{
	struct vm_directory directory = { .fd = -1 };

	int r = vm_directory_open(home, options->name, &directory, err);
	if (r < 0)
		return r;
	r = check_settled(&directory, err);
	if (r == 0)
		r = vm_journal_rename(home, &directory, options->new_name, err);
	vm_directory_close(&directory);
	return r;
}

int command_rename(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "NAME NEW",
		.doc = "Gives the VM NAME the name NEW, also while it runs. It keeps its subnet and "
		       "address.\v"
		       "Examples:\n"
		       "  tartlet rename debian debian-12",
	};
	struct rename_options options = { 0 };
	struct vm_home home;
	struct error err = { .text = "" };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	int code = command_open_home(&home);
	if (code != COMMAND_OK)
		return code;
	int r = vm_journal_lock(&home, &err);
	if (r == 0) {
		r = rename_vm(&home, &options, &err);
		vm_home_unlock(&home);
	}
	/* The contract has it so: a name that is wrong is a wrong argument. */
	if (r == -ENOENT || r == -EEXIST)
		code = command_fail(COMMAND_USAGE, &err);
	else if (r < 0)
		code = command_fail(r == -EBUSY ? COMMAND_VM_STATE : COMMAND_FAILED, &err);
	vm_home_close(&home);
	return code;
}
