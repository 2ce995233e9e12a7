#pragma once
/* The options of `tartlet run`. */

#include <stdbool.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "cli/forward_spec.h"
#include "vm/accel.h"
#include "vmnet/vmnet.h"

struct run_options {
	const char *name;
	struct forward_specs forwards;
	bool has_subnet;
	struct ip_prefix subnet;
	vmnet_host_access_t host_access;
	const char *capture_path;  /* NULL = none */
	const char *not_available; /* a network option that is recognised, no more; NULL = none */
	bool serial;
	enum accel accel;
};

/* Ends the program with 64 on a usage error, and with 0 after --help. */
void run_options_parse(int argc, char **argv, struct run_options *ret_options);
void run_options_done(struct run_options *options);
