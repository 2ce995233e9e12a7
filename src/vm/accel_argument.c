#include "vm/accel_argument.h"

#include <assert.h>

#include "vm/qemu_version.h"

/*
 * TCG with a thread for each of the guest's processors may keep code that the guest has changed: until
 * QEMU 8.1 (its commit deba78709ae8) a piece that one processor changes while another translates it is
 * kept as it was. Linux changes its own code while it runs, by a breakpoint that it puts over an
 * instruction for a moment ("static keys": each boot has some, and so has a packet filter's first rule). A
 * processor that keeps the breakpoint meets it for ever, mostly with interrupts off: the guest hangs.
 *
 * One thread for all of them translates and runs by turns. It is no slower where the host has as few
 * processors as the guest (docs/performance.md).
 */
static const struct qemu_version locks_code = { 8, 1 };

const char *accel_argument_of(enum accel accel, const struct qemu_version *version)
{
	assert(accel != ACCEL_AUTO);
	if (accel == ACCEL_KVM)
		return "kvm";
	return qemu_version_is_before(version, &locks_code) ? "tcg,thread=single" : "tcg";
}
