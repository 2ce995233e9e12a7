#pragma once
/* Is there a QEMU, and is it new enough: `-netdev stream` came with 7.2. */

#include <stdbool.h>

#include "base/compiler.h"

struct error;
struct qemu_query_wait;

#define QEMU_VERSION_LEAST_MAJOR 7u
#define QEMU_VERSION_LEAST_MINOR 2u

struct qemu_version {
	unsigned major;
	unsigned minor;
};

/* From what `qemu --version` prints: "QEMU emulator version 7.2.22 (Debian ...)". */
bool qemu_version_parse(const char *text, struct qemu_version *ret_version) MUST_USE;

bool qemu_version_is_before(const struct qemu_version *a, const struct qemu_version *b);

/* Runs `program --version` (found by PATH). 0, or negative errno with a sentence: missing, silent,
 * too old, or not to be understood. -ECANCELED, without a sentence, when stop_fd ended the wait. */
int qemu_version_check(const char *program, const struct qemu_query_wait *wait,
		       struct qemu_version *ret_version, struct error *err) MUST_USE;
