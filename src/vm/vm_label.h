#pragma once
/*
 * A VM's label, from its name: it names what the host shows (QEMU's process, threads, log lines,
 * the systemd scope). Characters are Unicode code points.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

#define VM_LABEL_LENGTH	   64
#define VM_LABEL_SIZE	   (VM_LABEL_LENGTH * 4 + 1)
#define VM_LABEL_SAFE_SIZE (VM_LABEL_LENGTH + 1)
#define VM_HOSTNAME_SIZE   64 /* a DNS label of at most 63 (RFC 1035 section 2.3.4) and the end */

/* Trimmed of blanks, cut to VM_LABEL_LENGTH characters (before one that would lose its accents). False when nothing is left: no label. */
bool vm_label_from_name(const char *name, char label[VM_LABEL_SIZE]) MUST_USE;

/*
 * For targets that take few characters (process and unit names): every character other than
 * letters, digits, '.', '_' and '-' becomes one '-'.
 */
void vm_label_safe(const char *label, char safe[VM_LABEL_SAFE_SIZE]);

/* Letters, digits and hyphens, lower case, no hyphen at either end (RFC 1123 section 2.1). False
 * when nothing is left. */
bool vm_label_hostname(const char *name, char hostname[VM_HOSTNAME_SIZE]) MUST_USE;
