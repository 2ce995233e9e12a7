#include "vm/firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/files.h"
#include "vm/vm_config.h"

/* Without Secure Boot, which refuses a kernel that nobody signed. The better one first. */
static const struct {
	const char *code;
	const char *variables;
} pairs[] = {
	/* Debian and Ubuntu: the size of flash that can take future versions, and the older one */
	{ "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
	{ "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd" },
	/* Fedora */
	{ "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
	/* Arch */
	{ "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },
};

static void say_missing(struct error *err)
{
	error_set(err, "UEFI firmware is missing: there is no OVMF on this machine (on Debian: apt "
		       "install ovmf)");
}

static int copy_variables(int directory_fd, const char *path)
{
	autoclose int from_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (from_fd < 0)
		return -errno;
	autoclose int to_fd =
		openat(directory_fd, VM_NVRAM_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to_fd < 0)
		return -errno;
	return files_copy(from_fd, to_fd, NULL);
}

int firmware_make_variables(int directory_fd, struct error *err)
{
	for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
		if (access(pairs[i].code, R_OK) < 0 || access(pairs[i].variables, R_OK) < 0)
			continue;
		int r = copy_variables(directory_fd, pairs[i].variables);
		if (r < 0)
			error_set(err, "cannot copy %s: %s", pairs[i].variables, strerror(-r));
		return r;
	}
	say_missing(err);
	return -ENOENT;
}

const char *firmware_find_code(int directory_fd, struct error *err)
{
	struct stat own;
	struct stat original;

	if (fstatat(directory_fd, VM_NVRAM_NAME, &own, 0) < 0) {
		error_set(err, "cannot read %s: %s", VM_NVRAM_NAME, strerror(errno));
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
		if (access(pairs[i].code, R_OK) == 0 && stat(pairs[i].variables, &original) == 0 &&
		    original.st_size == own.st_size)
			return pairs[i].code;
	}
	say_missing(err);
	return NULL;
}
