#pragma once
/* The network of one run: what the options ask for, made by libvmnet. */

#include "base/addr.h"
#include "base/compiler.h"
#include "vmnet/vmnet.h"

struct error;
struct run_options;
struct vm_home;

struct run_network {
	vmnet_network_ref network; /* owned: run_network_done() */
	struct ip_prefix subnet;   /* as it really is */
	struct ip_addr address;	   /* the guest's */
	const char *name;	   /* the VM's, borrowed */
};

/*
 * name: the VM's; label: NULL = none. 0 or negative errno with a sentence; then nothing is held. Its
 * warnings go to standard error as "NAME: text", so name and *ret_network have to stay where they are
 * until run_network_done().
 */
int run_network_create(const struct vm_home *home, const struct run_options *options,
		       const char *name, const char *label, const struct mac_addr *mac,
		       struct run_network *ret_network, struct error *err) MUST_USE;
void run_network_done(struct run_network *network);
