/*
 * Landlock: a set of rules that handles every right to a file and allows none. What is open already stays so. TCP's
 * bind() and connect() are not handled: they are what the process is for. From ABI 6 on, neither abstract unix
 * sockets nor signals reach anybody outside.
 */

#include <errno.h>
#include <stdint.h>

#include "base/fd.h"
#include "sidecar/sandbox_internal.h"

/* linux/landlock.h of Debian 12 knows ABI 2: what came later is written down here, under the kernel's meanings. */
#define CREATE_RULESET_VERSION (1U << 0)
#define SCOPE_ABSTRACT_UNIX    (1ULL << 0)
#define SCOPE_SIGNAL	       (1ULL << 1)

/* The rights to files are bits without gaps; how many there are in each ABI, from 1 on. */
static const uint8_t file_rights[] = {
	13, /* execute, write, read, list, remove and make each kind */
	14, /* link or rename to another directory */
	15, /* truncate */
	15, /* (TCP) */
	16, /* ioctl of devices */
	16, /* (scopes) */
	16, /* (audit) */
};
#define SCOPES_SINCE 6

struct ruleset_attributes {
	uint64_t handled_files;
	uint64_t handled_network;
	uint64_t scoped;
};

static struct ruleset_attributes attributes_of(int abi)
{
	size_t known = abi < (int)ARRAY_COUNT(file_rights) ? (size_t)abi : ARRAY_COUNT(file_rights);
	struct ruleset_attributes attributes = {
		.handled_files = (1ULL << file_rights[known - 1]) - 1,
	};

	if (known >= SCOPES_SINCE)
		attributes.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	return attributes;
}

static int restrict_self(const struct sandbox *sandbox)
{
	const struct sandbox_kernel *kernel = sandbox->kernel;
	int abi = kernel->landlock_create_ruleset(NULL, 0, CREATE_RULESET_VERSION);

	if (abi < 0)
		return -errno;
	if (abi == 0)
		return -ENOTSUP;
	/* An older kernel takes the longer structure where what it does not know is zero. */
	const struct ruleset_attributes attributes = attributes_of(abi);
	autoclose int fd = kernel->landlock_create_ruleset(&attributes, sizeof(attributes), 0);
	if (fd < 0)
		return -errno;
	return kernel->landlock_restrict_self(fd, 0) < 0 ? -errno : 0;
}

int sandbox_restrict_files(struct sandbox *sandbox, struct error *err)
{
	int r = restrict_self(sandbox);

	return r < 0 ? sandbox_miss(sandbox, "Landlock", r, "", err) : 0;
}
