#include "vm/vm_leftovers.h"

#include <errno.h>
#include <stddef.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/files.h"
#include "vm/saved_state.h"
#include "vm/vm_home.h"
#include "vm/vm_lock.h"

/* Under both locks nobody is writing any of these. */
static void sweep(int directory_fd)
{
	static const char *const names[] = { "config.json", "run.json", "seed.json",
					     "suspend.refused" };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		files_remove_temporaries(directory_fd, names[i]);
	saved_state_sweep(directory_fd);
}

static int remove_locked(const struct vm_home *home, const struct vm_directory *directory,
			 struct error *err)
{
	int r = vm_directory_check_free(home, directory, err);
	if (r < 0)
		return r;
	autoclose int lock_fd = vm_home_explain_write(home, vm_lock_take(directory->fd, err), err);
	if (lock_fd == -EBUSY)
		error_set(err, "VM \"%s\" is running", directory->name);
	if (lock_fd < 0)
		return lock_fd;
	sweep(directory->fd);
	return 0;
}

int vm_leftovers_remove(const struct vm_home *home, const struct vm_directory *directory,
			struct error *err)
{
	int r = vm_home_lock(home, err);

	if (r < 0)
		return r;
	r = remove_locked(home, directory, err);
	vm_home_unlock(home);
	return r;
}
