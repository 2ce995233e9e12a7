#include "vm/cpu_model.h"

#include "vm/qemu_version.h"

/*
 * "Fast strings" (ERMS, FSRM and, since QEMU 8.0, FZRM, FSRS, FSRC) tell a guest to copy and to clear
 * memory by `rep movsb` and `rep stosb`. A processor does that in whole cache lines; TCG does it byte
 * by byte. Without these flags kernels and C libraries take words or vectors: TCP of a guest is two to
 * three times as fast (docs/performance.md).
 *
 * 8.1 and not 8.0, since a flag that QEMU does not know ends it, and 8.0 was not tried.
 */
static const struct qemu_version knows_all = { 8, 1 };

#define SLOW_STRINGS	  "max,erms=off,fsrm=off"
#define SLOW_STRINGS_LATE SLOW_STRINGS ",fzrm=off,fsrs=off,fsrc=off"

const char *cpu_model_of(enum accel accel, bool nested, const struct qemu_version *version)
{
	if (accel == ACCEL_KVM)
		return nested ? "host" : "host,vmx=off,svm=off";
	return qemu_version_is_before(version, &knows_all) ? SLOW_STRINGS : SLOW_STRINGS_LATE;
}
