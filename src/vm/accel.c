#include "vm/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

bool accel_parse(const char *text, enum accel *ret_accel)
{
	static const struct {
		const char *name;
		enum accel accel;
	} names[] = { { "auto", ACCEL_AUTO }, { "kvm", ACCEL_KVM }, { "tcg", ACCEL_TCG } };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*ret_accel = names[i].accel;
			return true;
		}
	}
	return false;
}

const char *accel_name(enum accel accel)
{
	switch (accel) {
	case ACCEL_AUTO:
		return "auto";
	case ACCEL_KVM:
		return "kvm";
	case ACCEL_TCG:
		return "tcg";
	}
	return "auto";
}

/* line: "flags\t\t: fpu vme ... vmx ..." */
static bool line_has_flag(char *line)
{
	char *rest;
	char *word = strtok_r(line, " \t:\n", &rest);

	if (!word || strcmp(word, "flags") != 0)
		return false;
	while ((word = strtok_r(NULL, " \t:\n", &rest))) {
		if (strcmp(word, "vmx") == 0 || strcmp(word, "svm") == 0)
			return true;
	}
	return false;
}

bool accel_cpuinfo_has_flag(FILE *stream)
{
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	while (!found && getline(&line, &room, stream) >= 0)
		found = line_has_flag(line);
	free(line);
	return found;
}

static bool cpuinfo_has_flag(const char *path)
{
	FILE *stream = fopen(path, "re");
	if (!stream)
		return false;
	bool found = accel_cpuinfo_has_flag(stream);
	(void)fclose(stream); /* only read from */
	return found;
}

struct accel_host accel_probe(const char *kvm_path, const char *cpuinfo_path)
{
	struct accel_host host = { .cpu_virtualization = cpuinfo_has_flag(cpuinfo_path) };
	autoclose int fd = open(kvm_path, O_RDWR | O_CLOEXEC);

	host.kvm_error = fd < 0 ? -errno : 0;
	return host;
}

static void explain_kvm_error(int kvm_error, struct error *err)
{
	if (kvm_error == -ENOENT)
		error_set(err, "/dev/kvm does not exist");
	else if (kvm_error == -EACCES || kvm_error == -EPERM)
		error_set(err, "no right to open /dev/kvm (is the user in the group kvm?)");
	else
		error_set(err, "/dev/kvm cannot be opened: %s", strerror(-kvm_error));
}

int accel_choose(enum accel wanted, const struct accel_host *host, enum accel *ret_accel,
		 struct error *err)
{
	error_set(err, "%s", "");
	if (wanted == ACCEL_TCG) {
		*ret_accel = ACCEL_TCG;
		return 0;
	}
	if (host->kvm_error < 0) {
		explain_kvm_error(host->kvm_error, err);
		if (wanted == ACCEL_KVM) {
			error_prefix(err, "KVM cannot be used");
			return host->kvm_error;
		}
	} else if (wanted == ACCEL_AUTO && !host->cpu_virtualization) {
		/* Seen on hosts with the PVM patches: firmware runs, a stock kernel hangs. */
		error_set(err, "/dev/kvm is there, but the CPU flags show neither vmx nor svm, so "
			       "it may be unable to run a stock guest (--accel kvm forces it)");
	} else {
		*ret_accel = ACCEL_KVM;
		return 0;
	}
	error_prefix(err, "using TCG, which is slow, instead of KVM");
	*ret_accel = ACCEL_TCG;
	return 0;
}

/* "Y", or "1" of older kernels. */
static bool parameter_is_on(const char *modules_path, const char *module)
{
	char path[256];
	char value = 0;
	int length = snprintf(path, sizeof(path), "%s/%s/parameters/nested", modules_path, module);

	if (length < 0 || (size_t)length >= sizeof(path))
		return false;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &value, 1) == 1 && (value == 'Y' || value == '1');
}

int accel_check_nested(enum accel accel, const char *modules_path, struct error *err)
{
	if (accel != ACCEL_KVM) {
		error_set(err, "--nested needs KVM: a VM inside of an emulated VM is not offered");
		return -EOPNOTSUPP;
	}
	if (parameter_is_on(modules_path, "kvm_intel") || parameter_is_on(modules_path, "kvm_amd"))
		return 0;
	error_set(err, "--nested: this host's KVM does not offer it (the parameter nested of the "
		       "module kvm_intel or kvm_amd is not on)");
	return -EOPNOTSUPP;
}
