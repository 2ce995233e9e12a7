/* Who the process is: as root, somebody with nothing. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/sandbox_internal.h"

static bool is_to_change(const struct sandbox *sandbox)
{
	return sandbox->options.has_user || geteuid() == 0;
}

static int change(struct sandbox *sandbox, uid_t user, gid_t group)
{
	const struct sandbox_kernel *kernel = sandbox->kernel;
	uid_t real;
	uid_t effective;
	uid_t saved;

	if (getresuid(&real, &effective, &saved) < 0)
		return -errno;
	if (kernel->setgroups(0, NULL) < 0 || kernel->setresgid(group, group, group) < 0 ||
	    kernel->setresuid(user, user, effective) < 0)
		return -errno;
	return 0;
}

int sandbox_ids_change(struct sandbox *sandbox, struct error *err)
{
	const struct sandbox_options *options = &sandbox->options;
	uid_t user = options->has_user ? options->user : SANDBOX_NOBODY;
	gid_t group = options->has_user ? options->group : SANDBOX_NOBODY;

	if (!is_to_change(sandbox))
		return 0;
	/* An ordinary user may be named by itself. It keeps its groups: it may not drop them. */
	if (geteuid() != 0 && geteuid() == user && getegid() == group)
		return 0;
	int r = change(sandbox, user, group);
	if (r == 0)
		return 0;
	/* In a container, root may be the only user that there is. */
	if (!options->has_user)
		return sandbox_miss(sandbox, "user of its own", r,
				    " (root is all that it can be here)", err);
	error_set(err, "cannot become user %u, group %u: %s%s", user, group, strerror(-r),
		  r == -EPERM	 ? " (only root may)"
		  : r == -EINVAL ? " (is there such a user in this user namespace?)"
				 : "");
	return r;
}

int sandbox_ids_finish(struct sandbox *sandbox, struct error *err)
{
	uid_t user = geteuid();

	if (sandbox->kernel->setresuid(user, user, user) == 0)
		return 0;
	int r = -errno;
	error_set(err, "cannot forget the calling user: %s", strerror(-r));
	return r;
}
