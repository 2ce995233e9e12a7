#include "vm/vm_removal.h"

#include <errno.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/vm_home.h"
#include "vm/vm_journal.h"
#include "vm/vm_lock.h"

/*
 * On a full disk there is no room to write the assignments anew. Then the VM's files make it, in
 * their place: the VM stays to be seen until the assignment is gone too, so that an end in between
 * leaves what can be deleted again, and no assignment without a VM.
 */
static int withdraw_or_empty(const struct vm_home *home, const struct vm_directory *directory,
			     struct vm_draft *ret_draft, struct error *err)
{
	int r = vm_journal_withdraw(home, directory, ret_draft, err);
	if (r != -ENOSPC)
		return r;
	r = vm_directory_empty(home, directory, err);
	if (r < 0)
		return r;
	r = vm_journal_withdraw(home, directory, ret_draft, err);
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

/*
 * What an earlier command began may find no room: then the files of this VM make it, before what was
 * begun is completed and the VM goes.
 */
static int make_room(const struct vm_home *home, const struct vm_directory *directory,
		     struct error *err)
{
	int r = vm_home_lock(home, err);

	if (r < 0)
		return r;
	r = vm_directory_check_free(home, directory, err);
	if (r == 0)
		r = vm_directory_empty(home, directory, err);
	vm_home_unlock(home);
	return r;
}

static int lock(const struct vm_home *home, const struct vm_directory *directory, struct error *err)
{
	int r = vm_journal_lock(home, err);

	if (r != -ENOSPC)
		return r;
	r = make_room(home, directory, err);
	return r < 0 ? r : vm_journal_lock(home, err);
}

int vm_removal(const struct vm_home *home, const struct vm_directory *directory, struct error *err)
{
	struct vm_draft draft;

	int r = lock(home, directory, err);
	if (r < 0)
		return r;
	r = take_out(home, directory, &draft, err);
	vm_home_unlock(home);
	if (r == 0)
		vm_draft_end(home, &draft); /* a large disk takes its time */
	return r;
}
