#pragma once
/* The network that softnet's options ask for. */

#include "base/compiler.h"
#include "sidecar/softnet_options.h"
#include "vmnet/vmnet.h"

struct error;

/* What a network needs that gives up its rights. */
struct softnet_trust {
	int informant_fd; /* borrowed */
	/* As of vmnet_network_configuration_set_before_thread(). */
	int (*before_thread)(void *context, char error[512]);
	void *context;
};

/* 0 or negative errno with a sentence. The caller releases the network. */
int softnet_network_create(const struct softnet_options *options, const struct softnet_trust *trust,
			   vmnet_network_ref *ret_network, struct error *err) MUST_USE;

/* Hands the VM's descriptor over, which stays the caller's where that fails. `closed` as of struct vmnet_port_options. */
int softnet_network_attach(const struct softnet_options *options, int vm_fd,
			   vmnet_network_ref network,
			   void (*closed)(void *context, vmnet_port_t port, const char *error),
			   void *context, struct error *err) MUST_USE;

/* One line of JSON: what the network has become. 0 or negative errno with a sentence. */
int softnet_network_report(const struct softnet_options *options, vmnet_network_ref network,
			   struct error *err) MUST_USE;
