#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "vm/vm_lock.h"
#include "vmnet/vmnet.h"

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

/* The directory goes at one stroke, into the draft; it comes back where the assignment cannot be
 * removed. */
static int withdraw(const struct vm_home *home, const struct vm_directory *directory,
		    struct vm_draft *ret_draft, struct error *err)
{
	autofree char *state_directory = NULL;
	struct vmnet_error vmnet_error = { .text = "" };
	struct vm_draft draft;

	int r = vm_home_state_directory(home, &state_directory, err);
	if (r == 0)
		r = vm_home_explain_write(home, vm_directory_withdraw(home, directory, &draft, err),
					  err);
	if (r < 0)
		return r;
	vmnet_return_t status =
		vmnet_assignment_remove(state_directory, directory->name, &vmnet_error);
	if (status == VMNET_SUCCESS) {
		*ret_draft = draft;
		return 0;
	}
	error_set(err, "cannot remove the network assignment of VM \"%s\": %s", directory->name,
		  vmnet_error.text[0] ? vmnet_error.text : vmnet_return_name(status));
	if (vm_directory_restore(home, directory, &draft, NULL) < 0)
		error_prefix(err, "VM \"%s\" is removed, but", directory->name);
	vm_draft_end(home, &draft);
	return status == VMNET_BUFFER_EXHAUSTED ? -ENOSPC : -EIO;
}

/*
 * On a full disk there is no room to write the assignments anew. Then the VM's files make it, in
 * their place: the VM stays to be seen until the assignment is gone too, so that an end in between
 * leaves what can be deleted again, and no assignment without a VM.
 */
static int withdraw_or_empty(const struct vm_home *home, const struct vm_directory *directory,
			     struct vm_draft *ret_draft, struct error *err)
{
	int r = withdraw(home, directory, ret_draft, err);
	if (r != -ENOSPC)
		return r;
	r = vm_directory_empty(directory, err);
	if (r < 0)
		return r;
	r = withdraw(home, directory, ret_draft, err);
	if (r < 0)
		error_prefix(err, "the files of VM \"%s\" are removed, the VM is not",
			     directory->name);
	return r;
}

/* Under the home's lock. The VM's lock is for who does not know that one: nobody starts what is being
 * deleted. */
static int take_out(const struct vm_home *home, const struct vm_directory *directory,
		    struct vm_draft *ret_draft, struct error *err)
{
	int r = vm_directory_check_free(home, directory, err);
	if (r < 0)
		return r;
	autoclose int lock_fd = vm_home_explain_write(home, vm_lock_take(directory->fd, err), err);
	if (lock_fd == -EBUSY)
		error_set(err, "VM \"%s\" is running", directory->name);
	return lock_fd < 0 ? lock_fd : withdraw_or_empty(home, directory, ret_draft, err);
}

static int delete_vm(const struct vm_home *home, const struct vm_directory *directory,
		     struct error *err)
{
	struct vm_draft draft;

	int r = vm_home_lock(home, err);
	if (r < 0)
		return r;
	r = take_out(home, directory, &draft, err);
	vm_home_unlock(home);
	if (r == 0)
		vm_draft_end(home, &draft); /* a large disk takes its time */
	return r;
}

static int delete_one(const struct vm_home *home, const char *name)
{
	struct vm_directory directory;
	struct error err;

	int code = named_vm_open(home, name, COMMAND_VM_STATE, &directory);
	if (code != COMMAND_OK)
		return code;
	int r = delete_vm(home, &directory, &err);
	if (r < 0)
		code = command_fail(r == -ENOENT ? COMMAND_VM_STATE : COMMAND_FAILED, &err);
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
