#pragma once
/* The disks that a VM has for one run (--disk): looked at before anything is started. */

#include <stddef.h>

#include "base/compiler.h"
#include "vm/qemu_args.h"

struct disk_spec;
struct error;

struct run_disks {
	struct qemu_disk disks[QEMU_DISK_MOST];
	char *paths[QEMU_DISK_MOST]; /* what .disks[].path points to */
	size_t count;
};

/* 0 or negative errno with a sentence. On success one run_disks_done(). */
int run_disks_open(const struct disk_spec *specs, size_t count, struct run_disks *ret_disks,
		   struct error *err) MUST_USE;
void run_disks_done(struct run_disks *disks);
