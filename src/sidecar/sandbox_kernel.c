#include "sidecar/sandbox_kernel.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

/* The kernel takes a map in one write (user_namespaces(7)). */
static int write_proc(int proc_fd, const char *path, const char *text)
{
	size_t size = strlen(text);

	autoclose int fd = openat(proc_fd, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	return write(fd, text, size) == (ssize_t)size ? 0 : -1;
}

static int pivot_root(const char *new_root, const char *put_old)
{
	return (int)syscall(SYS_pivot_root, new_root, put_old);
}

static int get_capabilities(cap_user_header_t header, cap_user_data_t data)
{
	return (int)syscall(SYS_capget, header, data);
}

static int set_capabilities(cap_user_header_t header, const struct __user_cap_data_struct *data)
{
	return (int)syscall(SYS_capset, header, data);
}

/* Options refuse what is not zero behind their arguments. */
static int call_prctl(int option, unsigned long first, unsigned long second)
{
	return prctl(option, first, second, 0UL, 0UL);
}

static int create_ruleset(const void *attributes, size_t size, unsigned flags)
{
	return (int)syscall(SYS_landlock_create_ruleset, attributes, size, flags);
}

static int restrict_self(int ruleset_fd, unsigned flags)
{
	return (int)syscall(SYS_landlock_restrict_self, ruleset_fd, flags);
}

const struct sandbox_kernel sandbox_kernel_real = {
	.unshare = unshare,
	.write_proc = write_proc,
	.mount = mount,
	.pivot_root = pivot_root,
	.setgroups = setgroups,
	.setresgid = setresgid,
	.setresuid = setresuid,
	.capget = get_capabilities,
	.capset = set_capabilities,
	.prctl = call_prctl,
	.landlock_create_ruleset = create_ruleset,
	.landlock_restrict_self = restrict_self,
	.load_filter = seccomp_load,
};
