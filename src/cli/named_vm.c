#include "cli/named_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "cli/command.h"
#include "vm/vm_name.h"

const char *named_vm_parse(struct argp_state *state, const char *argument)
{
	struct error err;

	if (vm_name_check(argument, &err) < 0)
		argp_error(state, "%s", err.text);
	return argument;
}

error_t named_vm_parse_only(int key, const char *argument, struct argp_state *state,
			    const char **name)
{
	switch (key) {
	case ARGP_KEY_ARG:
		if (*name)
			argp_error(state, "unexpected argument \"%s\"", argument);
		*name = named_vm_parse(state, argument);
		return 0;
	case ARGP_KEY_END:
		if (!*name)
			argp_error(state, "the VM's NAME is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int named_vm_open(const struct vm_home *home, const char *name, int missing_code,
		  struct vm_directory *ret_directory)
{
	struct error err;
	int r = vm_directory_open(home, name, ret_directory, &err);

	if (r < 0)
		return command_fail(r == -ENOENT ? missing_code : COMMAND_FAILED, &err);
	vm_directory_touch(ret_directory);
	return COMMAND_OK;
}

int named_vm_not_running(const struct vm_directory *directory)
{
	struct error err;

	error_set(&err, "VM \"%s\" is not running", directory->name);
	return command_fail(COMMAND_VM_STATE, &err);
}

static int explain_existing(const char *name, int status, struct error *err)
{
	if (status == -EEXIST)
		error_set(err, "VM \"%s\" already exists: --force replaces it", name);
	return status;
}

int named_vm_check_new(const struct vm_home *home, const char *name, bool force, struct error *err)
{
	struct vm_directory directory = { .fd = -1 };
	struct stat status;

	if (fstatat(home->vms_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!force)
		return explain_existing(name, -EEXIST, err);
	int r = vm_directory_open(home, name, &directory, err);
	if (r == -ENOENT) {
		error_set(err, "%s/vms/%s is there, but is no VM: it is not replaced", home->path,
			  name);
		return -EEXIST;
	}
	if (r < 0)
		return r;
	r = vm_home_lock(home, err);
	if (r == 0) {
		r = vm_directory_check_free(home, &directory, err);
		vm_home_unlock(home);
	}
	vm_directory_close(&directory);
	return r == -ESRCH ? 0 : r; /* removed meanwhile */
}

int named_vm_publish(const struct vm_home *home, const struct vm_draft *draft, const char *name,
		     bool force, struct error *err)
{
	if (force)
		return vm_draft_replace(home, draft, name, err);
	return explain_existing(name, vm_draft_publish(home, draft, name, err), err);
}

int named_vm_act(const char *name, int missing_code, named_vm_fn *act, const void *options)
{
	struct vm_directory directory;
	struct vm_home home;
	int code = command_open_home(&home);

	if (code != COMMAND_OK)
		return code;
	code = named_vm_open(&home, name, missing_code, &directory);
	if (code == COMMAND_OK) {
		code = act(&home, &directory, options);
		vm_directory_close(&directory);
	}
	vm_home_close(&home);
	return code;
}
