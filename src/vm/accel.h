#pragma once
/* Which accelerator runs the guest: KVM where it can run a stock kernel, else TCG (emulation). */

#include <stdbool.h>
#include <stdio.h>

#include "base/compiler.h"

struct error;

enum accel {
	ACCEL_AUTO,
	ACCEL_KVM,
	ACCEL_TCG,
};

/* What the host has. */
struct accel_host {
	int kvm_error;		 /* 0, or the negative errno of opening /dev/kvm */
	bool cpu_virtualization; /* vmx or svm among the CPU flags */
};

/* "auto", "kvm", "tcg". */
bool accel_parse(const char *text, enum accel *ret_accel) MUST_USE;
const char *accel_name(enum accel accel);

/* vmx or svm in a line of flags of a stream in the format of /proc/cpuinfo. */
bool accel_cpuinfo_has_flag(FILE *stream);

/* Looks at a device (/dev/kvm) and a file in the format of /proc/cpuinfo. */
struct accel_host accel_probe(const char *kvm_path, const char *cpuinfo_path);

/*
 * The accelerator to use, never ACCEL_AUTO. 0; or negative errno with a sentence where KVM is asked
 * for by name and its device cannot be opened. Where `auto` has to do without KVM, 0 and a sentence
 * in err that says why; else err is emptied.
 */
int accel_choose(enum accel wanted, const struct accel_host *host, enum accel *ret_accel,
		 struct error *err) MUST_USE;

/* --nested: KVM inside of the guest. `modules_path` is /sys/module. 0 or negative errno with a sentence. */
int accel_check_nested(enum accel accel, const char *modules_path, struct error *err) MUST_USE;
