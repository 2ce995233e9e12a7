#include "cli/removal.h"

#include <errno.h>

#include "cli/command.h"
#include "vm/vm_removal.h"

static int fail(int status, const struct error *err)
{
	return command_fail(status == -ESRCH ? COMMAND_VM_STATE : COMMAND_FAILED, err);
}

int removal_of_named(const struct vm_home *home, const struct vm_directory *directory)
{
	struct error err;
	int r = vm_removal(home, directory, &err);

	return r < 0 ? fail(r, &err) : COMMAND_OK;
}

int removal_of_chosen(const struct vm_home *home, const struct vm_directory *directory,
		      int64_t accessed_s, bool *ret_removed)
{
	struct error err;
	bool used = vm_directory_usage(directory).accessed_s != accessed_s;
	int r = used ? -EBUSY : vm_removal(home, directory, &err);

	if (r == -EBUSY)
		fprintf(stderr, "VM \"%s\" is in use now: it stays\n", directory->name);
	else if (r < 0 && r != -ESRCH)
		return fail(r, &err);
	*ret_removed = r == 0;
	return COMMAND_OK;
}
