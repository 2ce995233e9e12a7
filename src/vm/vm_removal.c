#include "vm/vm_removal.h"

#include <errno.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/vm_home.h"
#include "vm/vm_lock.h"
#include "vmnet/vmnet.h"

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

int vm_removal(const struct vm_home *home, const struct vm_directory *directory, struct error *err)
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
