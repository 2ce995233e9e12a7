/* Rights beyond a user's: none, and none to come. */

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#include "sidecar/sandbox_internal.h"

/* All of them, as a bit each; nobody has the right to nothing where they cannot be read. */
static uint64_t effective_set(const struct sandbox *sandbox)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (sandbox->kernel->capget(&header, data) < 0)
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

bool sandbox_has_capability(const struct sandbox *sandbox, unsigned capability)
{
	return effective_set(sandbox) >> capability & 1;
}

bool sandbox_has_capabilities(const struct sandbox *sandbox)
{
	return effective_set(sandbox) != 0;
}

/*
 * Who lacks CAP_SETPCAP may not, and needs it less: what the bounding set lets through comes with execve(), which
 * no_new_privs keeps from giving anything.
 */
int sandbox_empty_bounding_set(struct sandbox *sandbox, struct error *err)
{
	const struct sandbox_kernel *kernel = sandbox->kernel;

	if (!sandbox_has_capability(sandbox, CAP_SETPCAP))
		return 0;
	/* Up to the first that this kernel does not know. */
	for (unsigned long i = 0; kernel->prctl(PR_CAPBSET_READ, i, 0) >= 0; i++) {
		if (kernel->prctl(PR_CAPBSET_DROP, i, 0) < 0) {
			int r = -errno;
			error_set(err, "cannot give up capability %lu: %s", i, strerror(-r));
			return r;
		}
	}
	return 0;
}

int sandbox_drop_capabilities(struct sandbox *sandbox, struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	const struct sandbox_kernel *kernel = sandbox->kernel;

	if (kernel->prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0) == 0 &&
	    kernel->capset(&header, data) == 0)
		return 0;
	int r = -errno;
	error_set(err, "cannot give up the capabilities: %s", strerror(-r));
	return r;
}
