#pragma once
/* The network of one run: what the options ask for, made by libvmnet. */

#include <jansson.h>
#include <stdbool.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "vm/vm_label.h"
#include "vmnet/vmnet.h"

struct error;
struct network_options;
struct seed_settings;
struct vm_home;

/* All borrowed for the call, but for the name and the label. */
struct run_network_request {
	const struct vm_home *home;
	const struct network_options *options;
	const char *name;  /* of a VM, or what else log lines are to begin with */
	const char *label; /* NULL = none */
	/* `name` is a VM's: it gets the same subnet and address next time, and is the host name. */
	bool is_vm;
	struct mac_addr mac;
	/* Where the guest was when it was suspended, and has to be again; NULL: it was not. What the
	 * options say counts more. */
	const struct ip_prefix *resumed_subnet;
	const struct seed_settings *seed; /* NULL = none; what it says is served to the guest */
};

struct run_network {
	vmnet_network_ref network; /* owned: run_network_done(); NULL where softnet has it */
	json_t *forwards;	   /* owned; of softnet's alone, which are for the whole run */
	struct ip_prefix subnet;   /* as it really is */
	struct ip_addr address;	   /* the guest's */
	struct ip_addr gateway;
	const char *name; /* a VM's label, or the request's name; borrowed */
};

/*
 * 0 or negative errno with a sentence; then nothing is held. Its warnings go to standard error as
 * "NAME: text", so name, label and *ret_network have to stay where they are until
 * run_network_done().
 */
int run_network_create(const struct run_network_request *request, struct run_network *ret_network,
		       struct error *err) MUST_USE;
void run_network_done(struct run_network *network);

/* As JSON, as bound: a new reference; NULL without memory. */
json_t *run_network_forwards(const struct run_network *network);

/* The subnet that it has to be; NULL: the one that the VM keeps, or any. */
const struct ip_prefix *run_network_wanted_subnet(const struct run_network_request *request);
/* What the guest is called, or NULL where neither the VM's owner nor its name says. */
const char *run_network_hostname(const struct run_network_request *request,
				 char from_name[VM_HOSTNAME_SIZE]);
