#pragma once
/*
 * UEFI for a VM: OVMF, whose code is the machine's and is shared by all VMs, and whose variables (boot
 * entries, among others) are the VM's own, in VM_NVRAM_NAME.
 */

#include "base/compiler.h"

struct error;

/* Puts fresh variables into the VM's directory. 0 or negative errno with a sentence, -ENOENT where
 * there is no OVMF on the machine. */
int firmware_make_variables(int directory_fd, struct error *err) MUST_USE;

/* The code that goes with the VM's variables: both come in pairs of one size. A path that lasts, or NULL
 * with a sentence. */
const char *firmware_find_code(int directory_fd, struct error *err) MUST_USE;
