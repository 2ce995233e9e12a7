#pragma once
/* The options of `tartlet run`. */

#include <stdbool.h>

#include "base/compiler.h"
#include "cli/device_options.h"
#include "cli/disk_spec.h"
#include "cli/network_options.h"
#include "cli/sidecar_options.h"
#include "vm/accel.h"
#include "vm/net_attach.h"
#include "vm/qemu_args.h"

struct run_options {
	const char *name;
	struct network_options network;
	struct sidecar_options sidecar;
	struct device_options devices;
	const char *not_available; /* a network option that is recognised, no more; NULL = none */
	bool serial;
	const char *serial_path; /* NULL = none */
	enum accel accel;
	enum net_attach net_attach;
	struct disk_options root_disk;
	struct disk_spec disks[QEMU_DISK_MOST];
	size_t disk_count;
};

/* Ends the program with 64 on a usage error, and with 0 after --help. */
void run_options_parse(int argc, char **argv, struct run_options *ret_options);
void run_options_done(struct run_options *options);
